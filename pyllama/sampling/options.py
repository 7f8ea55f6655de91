"""The options of the sampling chain: their names, the filter they belong to, and their ranges.

The names, the defaults (in ``SamplingParams``) and the meanings are llama.cpp's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pyllama.errors import UsageError


@dataclass(frozen=True, slots=True)
class Option:
    """One number of ``SamplingParams``.

    field: its name there; flag: on the command line; filter: whom it concerns, by the name that
    ``--samplers`` has for it, or a word for what is no filter; low, high: the range, inclusive;
    key: behind ``general.sampling.`` in a model's file, empty if it has none.
    """

    field: str
    flag: str
    filter: str
    low: float = -math.inf
    high: float = math.inf
    key: str = ""

    def check(self, value: float) -> None:
        """Raise UsageError where ``value`` is not a number in the range."""
        if not (math.isfinite(value) and self.low <= value <= self.high):
            raise UsageError(f"{self.flag} {value} is out of range; give {self.range}")

    @property
    def range(self) -> str:
        """The range in words."""
        if math.isinf(self.low):
            return "a finite number" if math.isinf(self.high) else f"{self.high:.12g} or less"
        if math.isinf(self.high):
            return f"{self.low:.12g} or more"
        return f"{self.low:.12g} to {self.high:.12g}"


_LARGEST_INT = 2**31 - 1

OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        option.field: option
        for option in (
            Option("seed", "--seed", "dist", -1, 2**32 - 1),
            Option(
                "repeat_last_n", "--repeat-last-n", "penalties", 0, _LARGEST_INT, "penalty_last_n"
            ),
            Option("repeat_penalty", "--repeat-penalty", "penalties", 1e-6, key="penalty_repeat"),
            Option("presence_penalty", "--presence-penalty", "penalties"),
            Option("frequency_penalty", "--frequency-penalty", "penalties"),
            Option("dry_multiplier", "--dry-multiplier", "dry", 0),
            Option("dry_base", "--dry-base", "dry", 1),
            Option("dry_allowed_length", "--dry-allowed-length", "dry", 0, _LARGEST_INT),
            Option("dry_penalty_last_n", "--dry-penalty-last-n", "dry", 0, _LARGEST_INT),
            Option("top_n_sigma", "--top-n-sigma", "top_n_sigma"),
            Option("top_k", "--top-k", "top_k", -_LARGEST_INT, _LARGEST_INT, "top_k"),
            Option("typical_p", "--typical", "typ_p", 0, 1),
            Option("top_p", "--top-p", "top_p", 0, 1, "top_p"),
            Option("min_p", "--min-p", "min_p", 0, 1, "min_p"),
            Option("xtc_probability", "--xtc-probability", "xtc", 0, 1, "xtc_probability"),
            Option("xtc_threshold", "--xtc-threshold", "xtc", 0, 1, "xtc_threshold"),
            Option("temperature", "--temp", "temperature", key="temp"),
            Option("dynatemp_range", "--dynatemp-range", "temperature", 0),
            Option("dynatemp_exponent", "--dynatemp-exp", "temperature", 0),
            Option("mirostat", "--mirostat", "mirostat", 0, 2, "mirostat"),
            Option("mirostat_lr", "--mirostat-lr", "mirostat", 0, key="mirostat_eta"),
            Option("mirostat_ent", "--mirostat-ent", "mirostat", 0, key="mirostat_tau"),
            Option("adaptive_target", "--adaptive-target", "adaptive_p", high=1),
            Option("adaptive_decay", "--adaptive-decay", "adaptive_p", 0, 0.99),
        )
    }
)
"""Every number of ``SamplingParams`` by its field, in the order of the chain."""

SEQUENCE: Mapping[str, str] = MappingProxyType(
    {
        "e": "penalties",
        "d": "dry",
        "s": "top_n_sigma",
        "k": "top_k",
        "y": "typ_p",
        "p": "top_p",
        "m": "min_p",
        "x": "xtc",
        "t": "temperature",
        "a": "adaptive_p",
    }
)
"""Letter of ``--sampler-seq`` -> name of the filter, in the default order."""

DEFAULT_SAMPLERS = tuple(name for name in SEQUENCE.values() if name != "adaptive_p")
"""The default order of the filters. The temperature comes last, so the others see the model's own
distribution."""

_ALIASES = {
    "top-k": "top_k",
    "top-p": "top_p",
    "nucleus": "top_p",
    "top-n-sigma": "top_n_sigma",
    "typical-p": "typ_p",
    "typical": "typ_p",
    "typ-p": "typ_p",
    "typ": "typ_p",
    "min-p": "min_p",
    "temp": "temperature",
    "adaptive-p": "adaptive_p",
}


def parse_samplers(text: str, option: str = "--samplers") -> tuple[str, ...]:
    """The filters of ``top_k;temperature``; raises UsageError for a name that is unknown."""
    names = [name.strip().lower() for name in text.split(";")]
    return check_samplers((_ALIASES.get(name, name) for name in names if name), option)


def parse_sampler_sequence(letters: str, option: str = "--sampler-seq") -> tuple[str, ...]:
    """The filters of ``kt``; raises UsageError for a letter that is unknown."""
    return check_samplers((SEQUENCE.get(letter, letter) for letter in letters), option)


def check_samplers(names: Iterable[str], option: str = "--samplers") -> tuple[str, ...]:
    """The names as they are; raises UsageError for one that is no filter."""
    chosen = tuple(names)
    for name in chosen:
        if name not in SEQUENCE.values():
            letters = option == "--sampler-seq"
            known = " ".join(SEQUENCE) if letters else "; ".join(SEQUENCE.values())
            kind = "letter" if letters else "name"
            raise UsageError(f"{option}: {name!r} is no sampler's {kind}; pyllama has {known}")
    return chosen


def parse_logit_bias(text: str, option: str = "--logit-bias") -> tuple[int, float]:
    """Token and bias of ``15043+1`` or ``15043-0.5``; ``-inf`` forbids the token.

    Raises UsageError where the text does not read like that.
    """
    digits = len(text) - len(text.lstrip("0123456789"))
    try:
        if text[digits : digits + 1] not in ("+", "-"):
            raise ValueError
        return int(text[:digits]), float(text[digits:])
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is no token id and bias; write 15043+1 or 15043-0.5"
        ) from None
