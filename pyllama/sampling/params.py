"""The options of the sampling chain with their defaults, and what a model file says about them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pyllama.errors import ModelError, UsageError
from pyllama.sampling.options import (
    DEFAULT_SAMPLERS,
    OPTIONS,
    Option,
    check_samplers,
    parse_samplers,
)
from pyllama.sampling.rng import RANDOM_SEED

_SEQUENCE_KEY = "general.sampling.sequence"


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """The options of the sampling chain, with llama.cpp's defaults; ranges are in ``OPTIONS``.

    Raises UsageError where a value is out of its range or two of them contradict each other.
    """

    seed: int = RANDOM_SEED
    """Seed of the generators; -1 for a random one."""
    samplers: tuple[str, ...] = DEFAULT_SAMPLERS
    """The filters in their order, see ``parse_samplers``; those with nothing to do are left out."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token and what is added to its logit, -inf to forbid it; may be given as a mapping."""

    repeat_penalty: float = 1.0
    """Divides positive and multiplies negative logits of recent tokens; 1 is off."""
    repeat_last_n: int = 64
    """How many recent tokens the three penalties look at; 0 is off."""
    presence_penalty: float = 0.0
    """Subtracted once from the logit of each recent token."""
    frequency_penalty: float = 0.0
    """Subtracted for every occurrence of a recent token."""

    dry_multiplier: float = 0.0
    """Strength of the penalty on tokens that continue a repetition; 0 is off."""
    dry_base: float = 1.75
    """Growth of that penalty with each token of the repetition."""
    dry_allowed_length: int = 2
    """Length of the repetitions from which on they are penalized."""
    dry_penalty_last_n: int = 64
    """How many recent tokens are searched for repetitions; 0 is off."""
    dry_sequence_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    """Texts over which no repetition reaches; needs the tokenizer unless it is empty."""

    top_n_sigma: float = -1.0
    """Forbid logits more than so many standard deviations below the best; 0 or less is off."""
    top_k: int = 40
    """Keep the k largest logits; 0 or less keeps all."""
    typical_p: float = 1.0
    """Keep the most typical tokens up to this probability; 1 keeps all."""
    top_p: float = 0.95
    """Keep the likeliest tokens up to this probability; 1 keeps all."""
    min_p: float = 0.05
    """Keep tokens at least this likely, as a share of the likeliest; 0 keeps all."""
    xtc_probability: float = 0.0
    """How often the top choices are dropped; 0 is off."""
    xtc_threshold: float = 0.1
    """Probability that makes a token one of the top choices; above 0.5 is off."""

    temperature: float = 0.8
    """Divides the logits; 0 or less is greedy."""
    dynatemp_range: float = 0.0
    """The temperature varies by so much around its value, with the entropy; 0 is off."""
    dynatemp_exponent: float = 1.0
    """Exponent of the entropy in that."""

    mirostat: int = 0
    """1 or 2: the temperature and that version of Mirostat are all of the chain; 0 is off."""
    mirostat_lr: float = 0.1
    """How fast Mirostat corrects its limit (eta)."""
    mirostat_ent: float = 5.0
    """The surprise in bits that Mirostat aims at (tau)."""
    adaptive_target: float = -1.0
    """Prefer tokens near this probability; negative is off."""
    adaptive_decay: float = 0.9
    """How long that remembers: about 1 / (1 - decay) tokens."""

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            option.check(getattr(self, name))
        object.__setattr__(self, "samplers", check_samplers(self.samplers))
        object.__setattr__(self, "logit_bias", _pairs(self.logit_bias))
        object.__setattr__(self, "dry_sequence_breakers", tuple(self.dry_sequence_breakers))
        if self.mirostat and self.adaptive_target >= 0:
            raise UsageError(
                f"--mirostat {self.mirostat} and --adaptive-target {self.adaptive_target} both "
                "choose the token; give one of the two"
            )

    def __str__(self) -> str:
        """The numbers in groups, a line each."""
        lines = (", ".join(f"{n} = {getattr(self, n):.6g}" for n in names) for names in _SHOWN)
        return "".join(f"\n\t{line}" for line in lines)

    @property
    def penalizes(self) -> bool:
        """Whether any of the three penalties does something."""
        neutral = (self.repeat_penalty, self.presence_penalty, self.frequency_penalty) == (1, 0, 0)
        return self.repeat_last_n > 0 and not neutral

    @property
    def left_out(self) -> tuple[str, ...]:
        """The options, as they are given, that ask something of a filter which is not in the order.

        None with Mirostat, which has no order.
        """
        return tuple(
            option.flag
            for option in OPTIONS.values()
            if option.filter in DEFAULT_SAMPLERS
            and option.filter not in self.samplers
            and getattr(self, option.field) != self.__dataclass_fields__[option.field].default
            and not self.mirostat
        )

    @classmethod
    def for_model(
        cls,
        path: str | os.PathLike[str],
        metadata: Mapping[str, object],
        given: Mapping[str, object | None],
    ) -> Self:
        """What the user gave, else the file's ``general.sampling.*``, else the defaults.

        given: field -> value, None for an option that was not given. Raises UsageError for a
        given value out of range, ModelError for one in the file.
        """
        options: dict[str, Any] = {name: x for name, x in given.items() if x is not None}
        params = cls(**options)
        for option in OPTIONS.values():
            key = f"general.sampling.{option.key}"
            if option.key and key in metadata and given.get(option.field) is None:
                params = params._with_file_value(path, key, option, metadata[key])
        if _SEQUENCE_KEY in metadata and given.get("samplers") is None:
            params = params._with_file_sequence(path, metadata[_SEQUENCE_KEY])
        return params

    def _with_file_value(
        self, path: str | os.PathLike[str], key: str, option: Option, value: object
    ) -> Self:
        remedy = f"give {option.flag} to override it"
        whole = isinstance(getattr(self, option.field), int)
        if not isinstance(value, int if whole else int | float) or isinstance(value, bool):
            kind = "a whole number" if whole else "a number"
            raise ModelError(path, f"{key} is {str(value)[:40]!r} instead of {kind}", remedy)
        try:
            changed: dict[str, Any] = {option.field: value}
            return replace(self, **changed)
        except UsageError as error:
            raise ModelError(path, f"{key}: {error}", remedy) from error

    def _with_file_sequence(self, path: str | os.PathLike[str], value: object) -> Self:
        remedy = "give --samplers to override it"
        if not isinstance(value, str):
            problem = f"{_SEQUENCE_KEY} is {str(value)[:40]!r} instead of a text"
            raise ModelError(path, problem, remedy)
        try:
            return replace(self, samplers=parse_samplers(value[:1000], _SEQUENCE_KEY))
        except UsageError as error:
            raise ModelError(path, str(error), remedy) from error


_SHOWN = (
    ("repeat_last_n", "repeat_penalty", "frequency_penalty", "presence_penalty"),
    ("dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n"),
    ("top_k", "top_p", "min_p", "xtc_probability", "xtc_threshold", "typical_p", "top_n_sigma"),
    ("temperature", "dynatemp_range", "dynatemp_exponent"),
    ("mirostat", "mirostat_lr", "mirostat_ent", "adaptive_target", "adaptive_decay"),
)


def _pairs(
    biases: Mapping[int, float] | Iterable[tuple[int, float]],
) -> tuple[tuple[int, float], ...]:
    """The biases as pairs; raises UsageError for what is no bias."""
    pairs = tuple(biases.items() if isinstance(biases, Mapping) else biases)
    for token, bias in pairs:
        if not 0 <= token < 2**31 or not bias < float("inf"):
            raise UsageError(
                f"--logit-bias {token}{bias:+} is out of range; give a token id of 0 or more and "
                "a finite number, or -inf"
            )
    return pairs
