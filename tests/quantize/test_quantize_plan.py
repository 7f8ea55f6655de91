"""What a file will be: types, order, metadata, and what stands in the way."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from small_model import LAYERS, SHAPES, write_model

from pyllama.errors import FileError, UsageError
from pyllama.gguf import Field, GGUFFile, TensorType, ValueType
from pyllama.gguf.file_types import FileType
from pyllama.quantize import (
    Importance,
    Override,
    Plan,
    QuantizeOptions,
    make_plan,
    obstacles,
)


def types_of(plan: Plan) -> dict[str, TensorType]:
    return {tensor.name: tensor.type for tensor in plan.tensors}


def override(text: str) -> Override:
    pattern, type = text.split("=")
    return Override(re.compile(pattern), TensorType[type])


def test_a_recipe_gives_every_tensor_its_type(model: GGUFFile) -> None:
    types = types_of(make_plan(model, FileType.Q4_K_M, QuantizeOptions()))
    assert types["output.weight"] is TensorType.Q6_K
    assert types["token_embd.weight"] is TensorType.Q4_K
    assert types["blk.0.attn_norm.weight"] is TensorType.F32
    assert types["blk.0.ffn_gate_inp.weight"] is TensorType.F32
    assert types["rope_freqs.weight"] is TensorType.F32
    assert types["blk.1.attn_v.weight"] is TensorType.Q4_K
    assert types["blk.2.attn_v.weight"] is TensorType.Q6_K  # the last eighth of three layers
    assert types["blk.0.ffn_up_exps.weight"] is TensorType.Q4_K


def test_tensors_are_in_order_of_layer_and_name(model: GGUFFile) -> None:
    names = [tensor.name for tensor in make_plan(model, FileType.Q8_0, QuantizeOptions()).tensors]
    assert names[:5] == [
        "output.weight",
        "output_norm.weight",
        "rope_freqs.weight",
        "token_embd.weight",
        "blk.0.attn_k.weight",
    ]
    assert len(names) == len(SHAPES)


def test_rows_that_blocks_do_not_divide_fall_back(model: GGUFFile) -> None:
    plan = make_plan(model, FileType.Q4_K_M, QuantizeOptions())
    fallbacks = {t.name: (t.choice.wanted, t.type) for t in plan.fallbacks}
    assert fallbacks == {
        "blk.0.ffn_down.weight": (TensorType.Q4_K, TensorType.Q5_0),
        "blk.1.ffn_down.weight": (TensorType.Q4_K, TensorType.Q5_0),
        "blk.2.ffn_down.weight": (TensorType.Q6_K, TensorType.Q8_0),
    }
    assert plan.n_bytes == sum(t.n_bytes for t in plan.tensors)
    assert not obstacles(plan)
    strict = make_plan(model, FileType.Q4_K_M, QuantizeOptions(allow_fallback=False))
    assert obstacles(strict) == [
        "'blk.0.ffn_down.weight' has rows of 96, which q4_K does not divide; "
        "leave out --no-fallback to make it q5_0"
    ]


def test_a_type_that_nothing_smaller_replaces_becomes_f16(tmp_path: Path) -> None:
    write_model(tmp_path / "odd.gguf", {"blk.0.attn_q.weight": np.ones((4, 33), np.float32)})
    with GGUFFile.open(tmp_path / "odd.gguf") as file:
        for recipe in (FileType.Q8_0, FileType.Q4_K_M, FileType.IQ4_XS):
            (tensor,) = make_plan(file, recipe, QuantizeOptions()).tensors
            assert tensor.type is TensorType.F16
            assert tensor.choice.wanted is not None


def test_overrides_win_in_order(model: GGUFFile) -> None:
    rules = (override("attn_q=Q8_0"), override(r"blk\.0\.attn=Q5_K"))
    types = types_of(make_plan(model, FileType.Q4_K_S, QuantizeOptions(overrides=rules)))
    assert types["blk.0.attn_q.weight"] is TensorType.Q8_0
    assert types["blk.0.attn_k.weight"] is TensorType.Q5_K
    assert types["blk.1.attn_k.weight"] is TensorType.Q4_K


def test_rules_that_decide_nothing_are_known(model: GGUFFile) -> None:
    rules = tuple(map(override, ("attn_norm=Q8_0", "blk=Q5_K", "attn_q=Q8_0", "output=Q8_0")))
    options = QuantizeOptions(overrides=rules, output_type=TensorType.Q6_K)
    plan = make_plan(model, FileType.Q4_K_S, options)
    assert [rule.pattern.pattern for rule in plan.idle_rules] == ["attn_norm", "attn_q", "output"]


def test_options_for_embeddings_and_output(model: GGUFFile) -> None:
    options = QuantizeOptions(output_type=TensorType.Q4_0, embedding_type=TensorType.Q5_1)
    types = types_of(make_plan(model, FileType.Q4_K_M, options))
    assert types["output.weight"] is TensorType.Q4_0
    assert types["token_embd.weight"] is TensorType.Q5_1
    kept = types_of(make_plan(model, FileType.Q4_K_M, QuantizeOptions(keep_output=True)))
    assert kept["output.weight"] is TensorType.F32


def test_pure_knows_no_rules(model: GGUFFile) -> None:
    types = types_of(make_plan(model, FileType.Q4_K_M, QuantizeOptions(pure=True)))
    assert types["output.weight"] is types["blk.2.attn_v.weight"] is TensorType.Q4_K


def test_an_importance_matrix_changes_the_mix(model: GGUFFile) -> None:
    importance = Importance(Path("i.gguf"), {"blk.0.attn_q.weight": np.ones(256, np.float32)})
    options = QuantizeOptions(importance=importance)
    plan = make_plan(model, FileType.IQ4_NL, options)
    assert {t.name for t in plan.tensors if t.importance is not None} == {"blk.0.attn_q.weight"}
    assert "blk.1.attn_q.weight" in {t.name for t in plan.without_importance}


def test_copy_keeps_everything(model: GGUFFile) -> None:
    plan = make_plan(model, None, QuantizeOptions())
    assert not any(tensor.converted for tensor in plan.tensors)
    assert list(plan.fields)[-1] == "general.file_type"  # set again, as in llama.cpp
    assert plan.fields["general.file_type"].value == 0


def test_metadata_end_with_what_quantization_says(model: GGUFFile) -> None:
    importance = Importance(
        Path("x" * 200), {"blk.0.attn_q.weight": np.ones(256, np.float32)}, ("text",), 9
    )
    extra = {"general.name": Field(ValueType.STRING, "other")}
    options = QuantizeOptions(importance=importance, metadata=extra)
    fields = make_plan(model, FileType.Q6_K, options).fields
    values = {key: field.value for key, field in fields.items()}
    assert list(values)[-7:] == [
        "general.quantization_version",
        "general.file_type",
        "general.name",
        "quantize.imatrix.file",
        "quantize.imatrix.dataset",
        "quantize.imatrix.entries_count",
        "quantize.imatrix.chunks_count",
    ]
    assert list(values.values())[-7:] == [2, 18, "other", "x" * 127, "text", 1, 9]
    assert fields["general.file_type"].type is ValueType.UINT32


def test_layers_left_out_let_the_others_close_ranks(model: GGUFFile) -> None:
    options = QuantizeOptions(prune_layers=frozenset({1}))
    plan = make_plan(model, FileType.Q8_0, options)
    renamed = {t.source.name: t.name for t in plan.tensors}
    assert renamed["blk.2.attn_q.weight"] == "blk.1.attn_q.weight"
    assert "blk.1.attn_q.weight" not in renamed
    assert list(plan.fields)[-1] == "llama.block_count"
    assert plan.fields["llama.block_count"].value == LAYERS - 1
    widths = plan.fields["llama.feed_forward_length"].value
    assert isinstance(widths, np.ndarray)
    assert widths.tolist() == [96, 98]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (QuantizeOptions(overrides=(override("attn_x=Q8_0"),)), "attn_x: no tensor of .* matches"),
        (
            QuantizeOptions(overrides=(override(r"blk\.2=Q8_0"),), prune_layers=frozenset({0})),
            "no tensor of .* matches",
        ),
        (QuantizeOptions(prune_layers=frozenset({9})), "has no layer 9"),
        (QuantizeOptions(prune_layers=frozenset({0, 1, 2})), "no layer of .* would stay"),
    ],
)
def test_options_without_effect_are_refused(
    model: GGUFFile, options: QuantizeOptions, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make_plan(model, FileType.Q4_K_M, options)


def test_rules_for_a_recipe_of_floats_are_refused(model: GGUFFile) -> None:
    options = QuantizeOptions(overrides=(override("attn_q=Q8_0"),))
    with pytest.raises(UsageError, match="--tensor-type has no effect on F16"):
        make_plan(model, FileType.F16, options)
    with pytest.raises(UsageError, match="--tensor-type has no effect on COPY"):
        make_plan(model, None, options)


def test_an_importance_matrix_of_another_model_is_refused(model: GGUFFile) -> None:
    stranger = Importance(Path("i.gguf"), {"blk.9.attn_q.weight": np.ones(256, np.float32)})
    with pytest.raises(FileError, match=r"i\.gguf: has no entry for any tensor of"):
        make_plan(model, FileType.Q4_K_M, QuantizeOptions(importance=stranger))
    wide = Importance(Path("i.gguf"), {"blk.0.attn_q.weight": np.ones(512, np.float32)})
    with pytest.raises(FileError, match=r"512 values for 'blk.0.attn_q.weight', .* 1 x 256"):
        make_plan(model, FileType.Q4_K_M, QuantizeOptions(importance=wide))


def test_very_small_types_need_an_importance_matrix(model: GGUFFile) -> None:
    (text,) = obstacles(make_plan(model, FileType.Q2_K_S, QuantizeOptions()))
    assert text.startswith("'blk.0.attn_k.weight' as q2_K would be garbage without an importance")
    assert not obstacles(make_plan(model, FileType.Q2_K, QuantizeOptions()))


def test_quantized_models_are_refused_unless_allowed(tmp_path: Path) -> None:
    write_model(tmp_path / "q8.gguf", type=TensorType.Q8_0)
    with GGUFFile.open(tmp_path / "q8.gguf") as file:
        (text,) = obstacles(make_plan(file, FileType.Q4_0, QuantizeOptions()))
        assert text.startswith("'output.weight' is q8_0 already; quantize the original model")
        allowed = QuantizeOptions(allow_requantize=True)
        assert not obstacles(make_plan(file, FileType.Q4_0, allowed))
        assert not obstacles(make_plan(file, FileType.Q8_0, QuantizeOptions()))
