"""Defaults, ranges, and what a model file may say."""

from __future__ import annotations

import math

import pytest

from pyllama.errors import ModelError, UsageError
from pyllama.sampling import OPTIONS, SamplingParams


def test_defaults_are_those_of_llama_cpp() -> None:
    params = SamplingParams()
    assert (params.temperature, params.top_k, params.top_p, params.min_p) == (0.8, 40, 0.95, 0.05)
    assert (params.repeat_penalty, params.repeat_last_n) == (1.0, 64)
    assert (params.presence_penalty, params.frequency_penalty) == (0.0, 0.0)
    assert params.seed == -1
    assert not params.penalizes


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("top_p", 1.5),
        ("top_p", -0.1),
        ("min_p", 2.0),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("repeat_penalty", 0.0),
        ("repeat_penalty", math.inf),
        ("repeat_last_n", -1),
        ("presence_penalty", math.nan),
    ],
)
def test_out_of_range(option: str, value: float) -> None:
    with pytest.raises(UsageError, match=OPTIONS[option].flag):
        SamplingParams(**{option: value})  # type: ignore[arg-type]


FILE = {
    "general.sampling.temp": 0.25,
    "general.sampling.top_k": 5,
    "general.sampling.penalty_repeat": 1,
    "general.sampling.penalty_last_n": 16,
}


def test_the_file_overrides_the_defaults_and_the_user_overrides_the_file() -> None:
    given = {"temperature": None, "top_k": 3, "top_p": None, "seed": 11}
    params = SamplingParams.for_model("m.gguf", FILE, given)
    assert params == SamplingParams(seed=11, temperature=0.25, top_k=3, repeat_last_n=16)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temp", "hot"),
        ("temp", math.nan),
        ("temp", True),
        ("temp", [1.0]),
        ("top_k", 4.5),
        ("top_k", math.inf),
        ("top_p", 7.0),
        ("penalty_last_n", -1),
    ],
)
def test_nonsense_in_the_file_names_file_key_and_remedy(key: str, value: object) -> None:
    metadata = {f"general.sampling.{key}": value}
    with pytest.raises(ModelError) as caught:
        SamplingParams.for_model("m.gguf", metadata, {})
    message = str(caught.value)
    assert message.startswith("m.gguf: ")
    assert f"general.sampling.{key}" in message
    assert "give --" in message
    assert "\n" not in message


def test_an_option_that_the_user_gave_makes_nonsense_in_the_file_harmless() -> None:
    metadata = {"general.sampling.temp": "hot"}
    assert SamplingParams.for_model("m", metadata, {"temperature": 0.5}).temperature == 0.5


def test_what_the_order_leaves_out() -> None:
    order = ("top_k", "temperature")
    assert SamplingParams(samplers=order).left_out == ()
    assert SamplingParams(samplers=order, top_k=3, temperature=0.1, seed=1).left_out == ()
    idle = SamplingParams(samplers=order, min_p=0.3, dry_multiplier=0.5, adaptive_target=0.3)
    assert idle.left_out == ("--dry-multiplier", "--min-p")
    assert SamplingParams(samplers=order, min_p=0.3, mirostat=2).left_out == ()
