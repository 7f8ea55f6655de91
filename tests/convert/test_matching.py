"""Rules against checkpoints: what is taken, what is missed, what nobody wants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from raw_checkpoint import LLAMA, Array, safetensors_bytes

from pyllama.convert.config import Config
from pyllama.convert.family import Extra, Family, Rule, extended
from pyllama.convert.keys import Key, whole
from pyllama.convert.matching import Match, match_tensors
from pyllama.convert.sources.checkpoint import open_checkpoint
from pyllama.convert.tensor import held
from pyllama.convert.transforms import join
from pyllama.errors import ConversionError

VALUES = {**LLAMA, "num_hidden_layers": 2, "num_local_experts": 3}
ROW = np.arange(4, dtype=np.float32)


def matched(
    folder: Path,
    names: list[str],
    *rules: Rule,
    config: dict[str, object] | None = None,
    **of: object,
) -> dict[str, Array]:
    """The tensors by target; tensor number n of the checkpoint is filled with n."""
    tensors = {name: ("F32", np.full(4, i, np.float32)) for i, name in enumerate(names)}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    family = Family("tiny", ("Tiny",), (), rules, **of)  # type: ignore[arg-type]
    values = Config(folder / "config.json", {**VALUES, "architectures": ["Tiny"], **(config or {})})
    matches: list[Match] = match_tensors(open_checkpoint(folder), family, values)
    return {match.target: match.tensor.read() for match in matches}


def test_layers_and_experts(tmp_path: Path) -> None:
    names = [f"l.{i}.e.{e}" for i in range(2) for e in range(3)]
    found = matched(tmp_path, names, Rule("l.{i}.e.{e}", "blk.{i}.exps"))
    assert list(found) == ["blk.0.exps", "blk.1.exps"]
    np.testing.assert_array_equal(found["blk.1.exps"][:, 0], [3, 4, 5])


def test_tensors_come_by_layer(tmp_path: Path) -> None:
    rules = Rule("l.{i}.a", "blk.{i}.a"), Rule("n", "norm"), Rule("l.{i}.b", "blk.{i}.b")
    names = ["l.0.a", "l.1.a", "n", "l.0.b", "l.1.b"]
    extra = Extra("extra", lambda _: held("extra", ROW))
    none = Extra("none", lambda _: None)
    found = matched(tmp_path, names, *rules, extras=(extra, none))
    assert list(found) == ["extra", "norm", "blk.0.a", "blk.0.b", "blk.1.a", "blk.1.b"]


def test_several_sources_and_several_targets(tmp_path: Path) -> None:
    rules = Rule(("a", "b"), "ab", join), Rule("b", "b")
    found = matched(tmp_path, ["a", "b"], *rules)
    np.testing.assert_array_equal(found["ab"], [0] * 4 + [1] * 4)
    np.testing.assert_array_equal(found["b"], [1] * 4)


def test_the_first_rule_whose_sources_are_there_is_taken(tmp_path: Path) -> None:
    rules = Rule("new", "x"), Rule("old", "x")
    np.testing.assert_array_equal(matched(tmp_path, ["old"], *rules)["x"], [0] * 4)
    with pytest.raises(ConversionError, match="'new' is missing, which tiny needs"):
        matched(tmp_path, ["other"], *rules)


def test_layers_of_a_rule(tmp_path: Path) -> None:
    rules = (
        Rule("l.{i}.dense", "blk.{i}.dense", layers=lambda _: range(1)),
        Rule("l.{i}.moe", "blk.{i}.moe", layers=lambda c: range(1, c.layers)),
    )
    assert list(matched(tmp_path, ["l.0.dense", "l.1.moe"], *rules)) == ["blk.0.dense", "blk.1.moe"]
    with pytest.raises(ConversionError, match=r"'l\.1\.moe' is missing"):
        matched(tmp_path, ["l.0.dense", "l.0.moe"], *rules)


def test_a_part_of_an_optional_source_is_missing(tmp_path: Path) -> None:
    rule = Rule("l.{i}.e.{e}", "blk.{i}.exps", optional=True)
    assert matched(tmp_path, ["n"], rule, Rule("n", "n")) == {"n": pytest.approx(np.zeros(4))}
    with pytest.raises(ConversionError, match=r"'l\.0\.e\.2' is missing"):
        matched(tmp_path, ["l.0.e.0", "l.0.e.1", "n"], rule, Rule("n", "n"))


def test_a_tensor_without_a_place(tmp_path: Path) -> None:
    names = ["a", "l.2.a", "l.0.z"]
    with pytest.raises(
        ConversionError, match=r"no place in a Tiny with 2 layers for .* 'l\.0\.z' and 1 other"
    ):
        matched(tmp_path, names, Rule("a", "a"))
    ignored = ("l.{beyond}.*", "*.z")
    assert list(matched(tmp_path, names, Rule("a", "a"), ignored=ignored)) == ["a"]
    with pytest.raises(ConversionError, match=r"no place .* for the tensor 'l\.1\.a'"):
        matched(tmp_path, ["a", "l.1.a"], Rule("a", "a"), ignored=ignored)


@pytest.mark.parametrize(("said", "by_default"), [(True, False), (None, True)])
def test_a_tied_head_is_dropped(tmp_path: Path, said: bool | None, by_default: bool) -> None:
    rules = Rule("embed", "token_embd.weight"), Rule("lm_head.weight", "output.weight")
    config = {} if said is None else {"tie_word_embeddings": said}
    for names in (["embed"], ["embed", "lm_head.weight"]):
        found = matched(tmp_path, names, *rules, config=config, tied=by_default)
        assert list(found) == ["token_embd.weight"]
    with pytest.raises(ConversionError, match=r"'lm_head\.weight' is missing"):
        matched(tmp_path, ["embed"], *rules, config={"tie_word_embeddings": False}, tied=by_default)


def test_wrappers_of_models_that_see(tmp_path: Path) -> None:
    names = ["model.language_model.norm", "vision_tower.x"]
    assert list(matched(tmp_path, names, Rule("model.norm", "norm"))) == ["norm"]
    names = ["language_model.model.norm", "multi_modal_projector.y"]
    assert list(matched(tmp_path, names, Rule("model.norm", "norm"))) == ["norm"]


def test_extended_rules_take_the_place_of_what_they_override() -> None:
    base = Rule("a", "A"), Rule("b", "B"), Rule("c", "C")
    by_source, by_target, new = Rule("a", "X"), Rule("z", "C"), Rule("n", "N")
    assert extended(base, new, by_target, by_source) == (by_source, base[1], by_target, new)
    split = Rule("b", "B1"), Rule("b", "B2")
    assert extended(base, *split) == (base[0], *split, base[2])


def test_extended_keys() -> None:
    base = whole("a", "x"), whole("b", "y")
    new = Key("b", lambda _: 3)
    assert extended(base, new) == (base[0], new)


def test_two_models_in_one_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="of the same name with and without language_model"):
        matched(tmp_path, ["model.norm", "language_model.model.norm"], Rule("model.norm", "norm"))


def test_a_model_without_experts(tmp_path: Path) -> None:
    rules = Rule("l.{i}.e.{e}", "blk.{i}.exps"), Rule("n", "n")
    assert list(matched(tmp_path, ["n"], *rules, config={"num_local_experts": 0})) == ["n"]
