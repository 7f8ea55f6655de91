"""Metadata given on the command line, in place of the file's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from pyllama.commands.words import items
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.commands.model_options import OverrideOptions

Value = str | int | float | bool

_MAX_KEY = 127
_MAX_TEXT = 127
_TYPES: dict[str, Callable[[str], Value]] = {
    "int": int,
    "float": float,
    "bool": {"true": True, "false": False}.__getitem__,
    "str": str,
}


def key_values(options: Iterable[str]) -> dict[str, Value]:
    """What ``--override-kv KEY=TYPE:VALUE,...`` says; UsageError where it cannot be read."""
    return dict(_key_value(item) for option in options for item in items("--override-kv", option))


def _key_value(text: str) -> tuple[str, Value]:
    key, equals, rest = text.partition("=")
    kind, colon, value = rest.partition(":")
    if not (key and equals and colon) or kind not in _TYPES:
        raise UsageError(
            f"--override-kv {text!r} is not KEY=TYPE:VALUE with TYPE int, float, bool or str"
        )
    if len(key.encode()) > _MAX_KEY or (kind == "str" and len(value.encode()) > _MAX_TEXT):
        raise UsageError(
            f"--override-kv {key[:40]}: key and text may have at most {_MAX_KEY} bytes"
        )
    try:
        return key, _TYPES[kind](value)
    except (ValueError, KeyError):
        raise UsageError(f"--override-kv {key}: {value!r} is no {kind}") from None


def rope_overrides(options: OverrideOptions) -> dict[str, Value]:
    """The metadata that ``--rope-*`` and ``--yarn-*`` stand for.

    Keys begin with a dot: behind the architecture's name. Raises UsageError for values out of
    range, and for a scale that is given twice, or that nothing shall be scaled by.
    """
    scale, inverse = options.rope_scale, options.rope_freq_scale
    if scale is not None and inverse is not None:
        raise UsageError("--rope-scale and --rope-freq-scale both give the scale; leave one out")
    for name, number in (
        ("--rope-scale", scale),
        ("--rope-freq-scale", inverse),
        ("--rope-freq-base", options.rope_freq_base),
    ):
        if number is not None and not (math.isfinite(number) and number > 0):
            raise UsageError(f"{name} is {number}; give a number above 0")
    if options.rope_scaling not in (None, "none", "linear", "yarn"):
        raise UsageError(f"--rope-scaling is {options.rope_scaling!r}; give none, linear or yarn")
    if options.rope_scaling == "none" and (scale, inverse) != (None, None):
        name = "--rope-scale" if inverse is None else "--rope-freq-scale"
        raise UsageError(f"--rope-scaling none and {name} contradict; leave one of them")
    values: dict[str, Value | None] = {
        ".rope.scaling.type": options.rope_scaling,
        ".rope.scaling.factor": scale if inverse is None else 1 / inverse,
        ".rope.freq_base": options.rope_freq_base,
        ".rope.scaling.original_context_length": options.yarn_orig_ctx or None,
        ".rope.scaling.yarn_ext_factor": _unless_negative(options.yarn_ext_factor),
        ".rope.scaling.attn_factor": _unless_negative(options.yarn_attn_factor),
        ".rope.scaling.yarn_beta_slow": _unless_negative(options.yarn_beta_slow),
        ".rope.scaling.yarn_beta_fast": _unless_negative(options.yarn_beta_fast),
    }
    return {key: value for key, value in values.items() if value is not None}


def idle_yarn_options(options: OverrideOptions, metadata: Mapping[str, object]) -> list[str]:
    """Options for YaRN that are given to a model whose positions it does not scale.

    metadata: of the model, with the options' own in it.
    """
    if metadata.get(f"{metadata.get('general.architecture')}.rope.scaling.type") == "yarn":
        return []
    given = {
        "--yarn-ext-factor": options.yarn_ext_factor,
        "--yarn-beta-slow": options.yarn_beta_slow,
        "--yarn-beta-fast": options.yarn_beta_fast,
    }
    return [name for name, value in given.items() if value >= 0]


def _unless_negative(value: float) -> float | None:
    return value if value >= 0 else None
