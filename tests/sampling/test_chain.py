"""From options to the chain: names and order, biases, what replaces what, DRY's breakers."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import pytest

from pyllama.errors import ModelError, PyllamaError, UsageError
from pyllama.sampling import (
    DEFAULT_SAMPLERS,
    OPTIONS,
    Candidates,
    Mt19937,
    Sampler,
    SamplingParams,
    Xtc,
    find_breakers,
    parse_logit_bias,
    parse_sampler_sequence,
    parse_samplers,
    suppressed_tokens,
)
from pyllama.tokenizers.tokenizer import Tokenizer

ALL_ON: dict[str, Any] = {
    "repeat_penalty": 1.1,
    "dry_multiplier": 0.8,
    "dry_sequence_breakers": (),
    "top_n_sigma": 1.0,
    "typical_p": 0.9,
    "xtc_probability": 0.5,
    "logit_bias": {3: 1.0},
}


def test_llama_cpp_s_order() -> None:
    assert ";".join(DEFAULT_SAMPLERS) == (
        "penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature"
    )
    assert str(Sampler.from_params(SamplingParams(**ALL_ON))) == (
        "logits -> logit-bias -> penalties -> dry -> top-n-sigma -> top-k -> typical -> top-p"
        " -> min-p -> xtc -> temp -> dist"
    )


def test_another_order() -> None:
    assert parse_samplers("Temp; nucleus;typ-p;top_k;") == (
        "temperature",
        "top_p",
        "typ_p",
        "top_k",
    )
    assert parse_sampler_sequence("edskypmxt") == DEFAULT_SAMPLERS
    assert parse_sampler_sequence("ta") == ("temperature", "adaptive_p")
    assert parse_samplers("") == ()
    chain = Sampler.from_params(SamplingParams(samplers=("temperature", "min_p")))
    assert str(chain) == "logits -> temp -> min-p -> dist"
    assert str(Sampler.from_params(SamplingParams(samplers=()))) == "logits -> dist"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: parse_samplers("top_k;topp"), ["--samplers", "'topp'", "top_p"]),
        (lambda: parse_samplers("infill"), ["--samplers", "'infill'"]),
        (lambda: parse_sampler_sequence("kz"), ["--sampler-seq", "'z'"]),
        (lambda: SamplingParams(samplers=("top-k",)), ["--samplers", "'top-k'"]),
    ],
)
def test_names_that_are_none(call: Any, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("options", "chain"),
    [
        ({"mirostat": 1}, "logits -> temp -> mirostat"),
        ({"mirostat": 2, "top_k": 5}, "logits -> temp -> mirostat-v2"),
        ({"mirostat": 2, "dynatemp_range": 0.1}, "logits -> temp-ext -> mirostat-v2"),
        ({"adaptive_target": 0.3, "samplers": ("min_p",)}, "logits -> min-p -> adaptive-p"),
        ({"adaptive_target": -1.0, "samplers": ("adaptive_p",)}, "logits -> dist"),
        ({"samplers": ("temperature",), "dynatemp_range": 0.2}, "logits -> temp-ext -> dist"),
    ],
)
def test_what_chooses(options: dict[str, Any], chain: str) -> None:
    assert str(Sampler.from_params(SamplingParams(**options))) == chain


def test_mirostat_says_what_it_replaces(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Sampler.from_params(SamplingParams(mirostat=1))
        assert not caplog.messages
        Sampler.from_params(SamplingParams(**ALL_ON, mirostat=1))
    (message,) = caplog.messages
    assert all(word in message for word in ("--mirostat", "penalties", "--dry-multiplier"))


def test_options_that_contradict_each_other_are_both_named() -> None:
    with pytest.raises(UsageError, match=r"--mirostat 2 and --adaptive-target 0\.5"):
        SamplingParams(mirostat=2, adaptive_target=0.5)


@pytest.mark.parametrize("field", OPTIONS)
def test_every_number_has_a_range(field: str) -> None:
    option = OPTIONS[field]
    outside = [math.nan, math.inf, -math.inf]
    outside += [bound + step for bound, step in ((option.low, -1), (option.high, 1))]
    for value in outside:
        with pytest.raises(UsageError, match=f"{option.flag} .* out of range; give "):
            SamplingParams(**{field: value})  # type: ignore[arg-type]
    for bound in (option.low, option.high):
        if math.isfinite(bound):
            SamplingParams(**{field: bound})  # type: ignore[arg-type]


def test_every_option_is_in_the_table() -> None:
    others = {"samplers", "logit_bias", "dry_sequence_breakers"}
    assert OPTIONS.keys() | others == SamplingParams.__dataclass_fields__.keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("15043+1", (15043, 1.0)),
        ("15043-1.5", (15043, -1.5)),
        ("0-inf", (0, -math.inf)),
        ("7+1e-3", (7, 1e-3)),
    ],
)
def test_a_bias_in_words(text: str, expected: tuple[int, float]) -> None:
    assert parse_logit_bias(text) == expected


@pytest.mark.parametrize("text", ["", "+1", "15043", "15043=1", "a+1", "1+", "1+x", "1 +1"])
def test_what_is_no_bias(text: str) -> None:
    with pytest.raises(UsageError, match="--logit-bias"):
        parse_logit_bias(text)


def test_biases_add_up_and_banned_tokens_stay_out() -> None:
    params = SamplingParams(logit_bias=((1, 2.0), (1, 3.0), (2, 100.0)), samplers=())
    sampler = Sampler.from_params(params, banned=[2])
    logits = sampler.candidates(np.zeros(4, np.float32)).logits
    assert logits.tolist() == [0, 5, -math.inf, 0]


@pytest.mark.parametrize("bias", [{-1: 1.0}, {2**31: 1.0}, {1: math.inf}, {1: math.nan}])
def test_biases_out_of_range(bias: dict[int, float]) -> None:
    with pytest.raises(UsageError, match="--logit-bias"):
        SamplingParams(logit_bias=bias)  # type: ignore[arg-type]


def test_forbidding_everything_is_an_error_with_every_filter() -> None:
    params = SamplingParams(**{**ALL_ON, "logit_bias": ()})
    with pytest.raises(PyllamaError, match="no token"):
        Sampler.from_params(params, banned=range(9)).sample(np.zeros(9, np.float32))


def test_xtc_has_random_numbers_of_its_own() -> None:
    """Its chances are libstdc++'s floats of the same seed."""
    random = Mt19937(42)
    chances = [random.uniform_float() for _ in range(20)]
    # the high words of the doubles 0.7965..., 0.1834..., see test_rng
    assert chances[:2] == [np.float32(1608637542 / 2**32), np.float32(3421126067 / 2**32)]
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    step = Xtc(0.5, 0.1, seed=42)
    kept = [len(step(Candidates.of(logits))) for _ in chances]
    assert kept == [1 if chance <= 0.5 else 3 for chance in chances]
    step.reset()
    assert len(step(Candidates.of(logits))) == kept[0]


def vocabulary(*words: str) -> Tokenizer:
    """The bytes, after two special tokens, and some words."""
    texts = ["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    return Tokenizer.from_metadata(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": texts,
            "tokenizer.ggml.token_type": np.array([2, 3] + [6] * 256 + [1] * len(words), np.int32),
            "tokenizer.ggml.scores": np.arange(len(texts), dtype=np.float32),
            "tokenizer.ggml.add_space_prefix": False,
        },
        "test",
    )


def test_breakers_are_tokens_that_contain_or_begin_one() -> None:
    words = ("end.\n", "x", "ab", "cd", "xab", "cde", "▁a")
    tokenizer = vocabulary(*words)
    ids = tokenizer.vocabulary.ids
    assert find_breakers(["\n"], tokenizer) == {ids["<0x0A>"]: [()], ids["end.\n"]: [()]}
    letter = ids["<0x61>"]
    tail = tuple(tokenizer.encode("bcd", add_special=False))
    assert find_breakers(["abcd", ""], tokenizer) == {
        ids["ab"]: [(ids["cd"],)],
        ids["xab"]: [(ids["cd"],)],
        letter: [tail],
        ids["▁a"]: [tail],
    }


def test_dry_needs_the_tokenizer_for_its_breakers() -> None:
    params = SamplingParams(dry_multiplier=1.0)
    with pytest.raises(UsageError, match="tokenizer"):
        Sampler.from_params(params)
    assert "dry" in str(Sampler.from_params(params, vocabulary("a")))
    off = SamplingParams(dry_multiplier=1.0, dry_penalty_last_n=0)
    assert "dry" not in str(Sampler.from_params(off))


def test_a_bias_outside_of_the_vocabulary() -> None:
    params = SamplingParams(logit_bias=((258, 1.0),))
    with pytest.raises(UsageError, match=r"token 258.* ends with token 257"):
        Sampler.from_params(params, vocabulary())


KEY = "tokenizer.ggml.suppress_tokens"


def test_tokens_that_the_file_suppresses() -> None:
    assert suppressed_tokens("m", {}, 10) == frozenset()
    assert suppressed_tokens("m", {KEY: np.array([], np.int32)}, 10) == frozenset()
    assert suppressed_tokens("m", {KEY: np.array([3, 9], np.int32)}, 10) == {3, 9}


@pytest.mark.parametrize("value", [[10], [-1], [0.5], ["a"], 3, "text", [[1]]])
def test_suppressed_tokens_that_are_none(value: object) -> None:
    with pytest.raises(ModelError, match=f"^m: {KEY}"):
        suppressed_tokens("m", {KEY: value}, 10)


def test_the_order_in_the_file() -> None:
    metadata = {
        "general.sampling.sequence": "temperature;top_k",
        "general.sampling.mirostat_tau": 3.0,
        "general.sampling.xtc_probability": 0.25,
    }
    params = SamplingParams.for_model("m", metadata, {})
    assert params.samplers == ("temperature", "top_k")
    assert (params.mirostat_ent, params.xtc_probability) == (3.0, 0.25)
    given = SamplingParams.for_model("m", metadata, {"samplers": ("min_p",), "mirostat_ent": 5.0})
    assert (given.samplers, given.mirostat_ent) == (("min_p",), 5.0)


@pytest.mark.parametrize("value", ["top_k;nothing", 7])
def test_an_order_in_the_file_that_is_none(value: object) -> None:
    with pytest.raises(ModelError, match=r"^m: general.sampling.sequence.*give --samplers"):
        SamplingParams.for_model("m", {"general.sampling.sequence": value}, {})


def test_only_what_was_drawn_teaches_the_choice() -> None:
    sampler = Sampler.from_params(SamplingParams(mirostat=2, seed=1))
    sampler.accept(*range(20))
    assert sampler.choice.mu == 10.0  # type: ignore[attr-defined]
    sampler.accept(sampler.sample(np.arange(9, dtype=np.float32)))
    assert sampler.choice.mu != 10.0  # type: ignore[attr-defined]
    sampler.reset()
    assert sampler.choice.mu == 10.0  # type: ignore[attr-defined]
