"""The rules of the recipes, on models of invented figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyllama.errors import UsageError
from pyllama.gguf.file_types import FileType as F
from pyllama.gguf.types import TensorType as T
from pyllama.quantize.mix import Mix, MixOptions
from pyllama.quantize.recipes import BASE_TYPES, parse_recipe, parse_tensor_type
from pyllama.quantize.rules import more_bits
from pyllama.quantize.tensors import ModelFacts, Tensor, is_quantizable, sort_key

DENSE = ModelFacts("llama", n_layer=32, n_expert=0, n_gqa=1, n_values=32, tied=False)
MIXTRAL = replace(DENSE, n_expert=8, n_gqa=4)
FALCON = replace(DENSE, architecture="falcon")
PLAIN = MixOptions()


def types(recipe: F, model: ModelFacts, part: str, options: MixOptions = PLAIN) -> list[T | None]:
    """The types that the tensors ``blk.N.part.weight`` of all layers get."""
    mix = Mix(recipe, model, options)
    shape = (8, 512, 512) if part.endswith("_exps") else (512, 512)
    return [mix.choose(Tensor(f"blk.{i}.{part}.weight", shape)).type for i in range(model.n_layer)]


def only(recipe: F, model: ModelFacts, part: str, options: MixOptions = PLAIN) -> T | None:
    (type,) = set(types(recipe, model, part, options))
    return type


def test_layers_that_get_more_bits() -> None:
    chosen = [i for i in range(32) if more_bits(i, 32)]
    assert chosen == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]


def test_medium_recipes_spread_their_bits() -> None:
    for part in ("attn_v", "ffn_down"):
        assert types(F.Q4_K_M, DENSE, part).count(T.Q6_K) == 16
    assert types(F.Q3_K_M, DENSE, "attn_v")[:3] == [T.Q5_K, T.Q5_K, T.Q4_K]
    assert types(F.Q3_K_M, DENSE, "ffn_down")[:3] == [T.Q5_K, T.Q5_K, T.Q4_K]


def test_eight_experts_share_precise_attention() -> None:
    assert only(F.Q4_K_M, MIXTRAL, "attn_v") is T.Q8_0
    assert only(F.Q4_K_M, MIXTRAL, "attn_k") is T.Q8_0
    assert only(F.Q4_K_M, MIXTRAL, "attn_output") is T.Q5_K
    assert only(F.Q5_K_M, MIXTRAL, "attn_output") is T.Q5_K
    assert only(F.IQ2_XXS, MIXTRAL, "attn_k") is T.Q4_K
    assert only(F.IQ2_XXS, MIXTRAL, "attn_output") is T.Q5_K


def test_the_layer_of_an_expert_tensor_is_in_its_name() -> None:
    mix = Mix(F.Q4_K_M, MIXTRAL)
    assert mix.choose(Tensor("blk.30.ffn_down_exps.weight", (8, 512, 512))).type is T.Q6_K
    assert mix.choose(Tensor("blk.5.ffn_down_exps.weight", (8, 512, 512))).type is T.Q4_K


def test_falcon_has_rules_of_its_own() -> None:
    assert types(F.Q4_K_M, FALCON, "ffn_down")[:4] == [T.Q6_K, T.Q6_K, T.Q5_K, T.Q5_K]
    assert only(F.Q4_K_S, FALCON, "ffn_down") is T.Q4_K
    assert only(F.Q3_K_M, FALCON, "attn_output") is T.Q3_K
    assert only(F.Q3_K_L, FALCON, "attn_output") is T.Q4_K
    output = Tensor("output.weight", (512, 512))
    assert Mix(F.Q4_K_M, FALCON).choose(output).type is T.Q8_0


def test_importance_makes_some_guards_needless_and_others_needed() -> None:
    weighted = MixOptions(has_importance=True)
    assert types(F.IQ4_XS, DENSE, "ffn_down")[:5] == [T.Q5_K] * 4 + [T.IQ4_XS]
    assert only(F.IQ4_XS, DENSE, "ffn_down", weighted) is T.IQ4_XS
    assert only(F.Q4_0, DENSE, "ffn_down") is T.Q4_0
    assert types(F.Q4_0, DENSE, "ffn_down", weighted)[:5] == [T.Q4_1] * 4 + [T.Q4_0]


def test_tied_embeddings_count_as_output() -> None:
    tied = replace(DENSE, tied=True)
    embedding = Tensor("token_embd.weight", (512, 512))
    assert Mix(F.Q4_0, tied).choose(embedding).type is T.Q6_K
    assert Mix(F.Q4_0, DENSE).choose(embedding).type is T.Q4_0
    options = MixOptions(output_type=T.Q5_1)
    assert Mix(F.Q4_0, tied, options).choose(embedding).type is T.Q5_1


def test_what_is_never_quantized() -> None:
    for name in ("blk.0.attn_norm.weight", "blk.0.ffn_gate_inp.weight", "blk.0.attn_q.bias"):
        assert not is_quantizable(name, (64, 64))
    assert not is_quantizable("blk.0.attn_q.weight", (1, 64))
    assert is_quantizable("blk.0.attn_q.weight", (2, 64))


def test_tensors_sort_by_layer_then_name() -> None:
    names = ["blk.10.a", "output.weight", "blk.2.b", "blk.2.a", "a.weight"]
    ordered = ["a.weight", "output.weight", "blk.2.a", "blk.2.b", "blk.10.a"]
    assert sorted(names, key=sort_key) == ordered


def test_names_of_recipes() -> None:
    assert parse_recipe("q4_k_m") is parse_recipe("15") is parse_recipe("Q4_K") is F.Q4_K_M
    assert parse_recipe("NVFP4") is parse_recipe("4") is parse_recipe("") is None
    assert all(parse_recipe(recipe.name) is recipe for recipe in BASE_TYPES)


def test_names_of_tensor_types() -> None:
    assert parse_tensor_type("q5_k") is T.Q5_K
    with pytest.raises(UsageError, match=r"'q9' is no tensor type; known: .*iq4_nl"):
        parse_tensor_type("q9")
