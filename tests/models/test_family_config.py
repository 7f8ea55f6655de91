"""Hyperparameters of families: defaults that files leave unsaid, and files that say nonsense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.sizes import SIZES
from pyllama.errors import ModelError
from pyllama.models import ARCHITECTURES
from pyllama.models.config import ModelConfig, read_config


def read(family: str, **keys: Any) -> ModelConfig:
    """The configuration of a file that says so; dots in keys are given as two underscores."""
    named = {name.replace("__", "."): value for name, value in keys.items()}
    metadata = {f"{family}.{name}": value for name, value in (SIZES | named).items()}
    architecture = ARCHITECTURES[family]
    return read_config("tiny.gguf", metadata, architecture.name, architecture.traits)


def test_windows_by_period() -> None:
    window = {"attention__sliding_window": 8}
    assert read("llama", **window).windows == (8,) * 6
    assert read("gemma2", **window).windows == (8, 0) * 3
    assert read("gemma3", **window).windows == (8,) * 5 + (0,)
    assert read("cohere2", **window).windows == (8, 8, 8, 0, 8, 8)
    assert read("gemma2").windows == (4096, 0) * 3
    assert read("gemma3").windows == (0,) * 6


@pytest.mark.parametrize("pattern", [np.array([True, False] * 3), np.array([1, 0] * 4), 2])
def test_windows_by_pattern(pattern: Any) -> None:
    keys = {"attention__sliding_window": 8, "attention__sliding_window_pattern": pattern}
    assert read("gemma3", **keys).windows == (8, 0) * 3


def test_rotation_of_layers_with_a_window() -> None:
    scaled = {"rope__freq_base": 1e6, "rope__scaling__type": "linear", "rope__scaling__factor": 8.0}
    gemma = read("gemma3", **scaled)
    assert (gemma.rope.base, gemma.rope.factor) == (1e6, 8.0)
    assert (gemma.local_rope.base, gemma.local_rope.factor) == (1e4, 1.0)
    assert read("gemma3", **scaled, rope__freq_base_swa=500.0).local_rope.base == 500.0
    assert read("cohere2", **scaled).local_rope == read("cohere2", **scaled).rope


def test_scales() -> None:
    assert read("gemma").scales.embedding == 8.0
    assert read("granite", logit_scale=4.0).scales.logits == 0.25
    assert read("command-r", logit_scale=4.0).scales.logits == 4.0
    assert read("gemma2").scales.attention == 0.25
    wide = read("gemma2", block_count=46, attention__key_length=32)
    assert wide.scales.attention == 0.25, "of width / heads, not of a head"
    assert read("gemma2", attention__scale=0.5).scales.attention == 0.5


def test_softcaps_that_are_said_to_be_zero_are_those_of_the_family() -> None:
    config = read("gemma2", attn_logit_softcapping=0.0)
    assert (config.attention_softcap, config.logit_softcap) == (50.0, 30.0)
    assert read("llama").attention_softcap == 0


def test_alibi_of_the_larger_baichuan() -> None:
    assert read("baichuan").alibi == 0
    assert read("baichuan", block_count=40).alibi == 8.0
    assert read("baichuan", attention__max_alibi_bias=4.0).alibi == 4.0


@pytest.mark.parametrize(
    ("family", "key", "value"),
    [
        ("gemma2", "attn_logit_softcapping", -1.0),
        ("gemma2", "final_logit_softcapping", float("nan")),
        ("gemma2", "attention.scale", float("inf")),
        ("gemma3", "attention.sliding_window", -1),
        ("gemma3", "attention.sliding_window_pattern", np.array([True])),
        ("gemma3", "attention.sliding_window_pattern", "LLG"),
        ("gemma3", "rope.freq_base_swa", 0.0),
        ("gptneox", "use_parallel_residual", 1),
        ("gptneox", "attention.layer_norm_epsilon", None),
        ("mpt", "attention.clamp_kqv", "much"),
        ("minicpm", "residual_scale", None),
        ("granite", "logit_scale", None),
    ],
)
def test_nonsense(family: str, key: str, value: Any) -> None:
    keys = {"embedding_scale": 1.0, "residual_scale": 1.0, "logit_scale": 1.0}
    window = {"attention.sliding_window": 8}
    given = {**window, **keys, key: value}
    with pytest.raises(ModelError, match=f"{family}.{key}"):
        read(family, **{name.replace(".", "__"): v for name, v in given.items()})
