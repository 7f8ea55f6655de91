"""How a model wants to be sampled from: ``generation_config.json`` as ``general.sampling.*``."""

from __future__ import annotations

import math
from pathlib import Path

from pyllama.convert.documents import read_optional
from pyllama.gguf import Field, ValueType

_KEYS: tuple[tuple[str, type[int] | type[float], tuple[str, ...]], ...] = (
    ("top_k", int, ("top_k",)),
    ("top_p", float, ("top_p",)),
    ("min_p", float, ("min_p",)),
    ("xtc_probability", float, ("xtc_probability",)),
    ("xtc_threshold", float, ("xtc_threshold",)),
    ("temp", float, ("temperature",)),
    ("penalty_last_n", int, ("penalty_last_n",)),
    ("penalty_repeat", float, ("penalty_repeat", "repetition_penalty")),
    ("mirostat", int, ("mirostat",)),
    ("mirostat_tau", float, ("mirostat_tau",)),
    ("mirostat_eta", float, ("mirostat_eta",)),
)
"""Key, kind and the names in generation_config.json."""


def sampling_fields(folder: Path) -> dict[str, Field]:
    """What the checkpoint recommends; values that are no numbers are left out."""
    config = read_optional(folder / "generation_config.json")
    fields: dict[str, Field] = {}
    for key, kind, names in _KEYS:
        value = next((config[name] for name in names if config.get(name) is not None), None)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            type = ValueType.INT32 if kind is int else ValueType.FLOAT32
            fields[f"general.sampling.{key}"] = Field(type, kind(value))
    return fields
