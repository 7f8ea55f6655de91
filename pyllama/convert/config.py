"""A checkpoint's ``config.json``: plain JSON, read with checks, under any of its usual names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pyllama.convert.documents import read_object
from pyllama.errors import ConversionError

MAX_LAYERS = 512
MAX_SIZE = 1 << 24
"""No width, head count or vocabulary of a model comes near this."""

_TEXT_PARTS = ("text_config", "llm_config")


class Config:
    """The values of ``config.json``, those of the text model where it has several.

    Every method takes the names under which a value may stand, first come first served; ``null``
    counts as absent. Raises ConversionError where a value is missing without a default, or is of
    another kind than asked for.
    """

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        text = [values[part] for part in _TEXT_PARTS if isinstance(values.get(part), dict)]
        self.path = path
        self.values: Mapping[str, Any] = {**values, **(text[0] if text else {})}
        self._own = values

    @classmethod
    def read(cls, folder: Path) -> Config:
        """The configuration of the checkpoint in a folder."""
        path = folder / "config.json"
        return cls(path, read_object(path))

    def completed(self, defaults: Mapping[str, Any]) -> Config:
        """The same with other values where this one has none."""
        given = {name: value for name, value in self.values.items() if value is not None}
        result = Config(self.path, self._own)
        result.values = {**defaults, **given}
        return result

    @property
    def architecture(self) -> str:
        """What ``architectures`` names first: the class of the model."""
        names = self._own.get("architectures")
        if not (isinstance(names, list) and names and isinstance(names[0], str)):
            raise self.error(
                "architectures", "is missing", "only a model with one can be converted"
            )
        return names[0]

    def given(self, *names: str) -> Any:
        """A value of any kind, or None."""
        return next((self.values[n] for n in names if self.values.get(n) is not None), None)

    def whole(self, *names: str, default: int | None = None, high: int = 1 << 31) -> int:
        """A whole number from 0 to ``high``."""
        value = self._required(names, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
            raise self.error(names[0], f"is {value!r:.40}, not a whole number from 0 to {high}")
        return value

    def real(self, *names: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._required(names, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise self.error(names[0], f"is {value!r:.40}, not a finite number")
        return float(value)

    def flag(self, *names: str, default: bool | None = None) -> bool:
        """True or false."""
        value = self._required(names, default)
        if not isinstance(value, bool):
            raise self.error(names[0], f"is {value!r:.40}, not true or false")
        return value

    def text(self, *names: str, default: str | None = None) -> str:
        """A string."""
        value = self._required(names, default)
        if not isinstance(value, str):
            raise self.error(names[0], f"is {value!r:.40}, not a text")
        return value

    def section(self, *names: str) -> Config:
        """A nested object as a configuration of its own; empty where there is none."""
        value = self.given(*names)
        if value is not None and not isinstance(value, dict):
            raise self.error(names[0], f"is {value!r:.40}, not an object")
        return Config(self.path, value or {})

    def error(self, name: str, problem: str, remedy: str = "") -> ConversionError:
        """The error for a value."""
        return ConversionError(self.path, f"{name} {problem}", remedy)

    def _required(self, names: tuple[str, ...], default: Any) -> Any:
        value = self.given(*names)
        if value is None:
            value = default
        if value is None:
            raise self.error(names[0], "is missing", "get the checkpoint's own config.json")
        return value

    @cached_property
    def layers(self) -> int:
        """Number of layers."""
        return self.whole("num_hidden_layers", "n_layer", "n_layers", "num_layers", high=MAX_LAYERS)

    @cached_property
    def width(self) -> int:
        """Elements of a token's hidden state."""
        return self.whole("hidden_size", "n_embd", "d_model", "dim", high=MAX_SIZE)

    @cached_property
    def heads(self) -> int:
        """Query heads; at least 1."""
        names = ("num_attention_heads", "n_head", "n_heads")
        heads = self.whole(*names, high=1 << 16)
        if not heads:
            raise self.error(names[0], "is 0")
        return heads

    @cached_property
    def kv_heads(self) -> int:
        """Key heads: as many as query heads where nothing is said; at least 1."""
        names = ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads")
        heads = self.whole(*names, default=self.heads, high=1 << 16)
        if not heads:
            raise self.error(names[0], "is 0")
        return heads

    @cached_property
    def head_dim(self) -> int:
        """Elements of a head."""
        return self.whole("head_dim", default=self.width // self.heads, high=1 << 16)

    @cached_property
    def experts(self) -> int:
        """Experts of a layer, 0 of a dense model."""
        names = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
        return self.whole(*names, default=0, high=1 << 12)

    @cached_property
    def vocabulary(self) -> int:
        """Tokens, as the configuration counts them."""
        return self.whole("vocab_size", "padded_vocab_size", high=MAX_SIZE)

    @cached_property
    def rope(self) -> Config:
        """How positions turn: ``rope_parameters``, or ``rope_scaling`` and its companions.

        Names are those of ``rope_parameters``: rope_type, rope_theta, factor, ... Where layers of
        two kinds have parameters of their own, those of full attention.
        """
        values = self.given("rope_parameters", "rope_scaling") or {}
        if not isinstance(values, dict):
            raise self.error("rope_parameters", f"is {values!r:.40}, not an object")
        values = {**values, **(values.get("full_attention") or {})}
        outside = {
            "rope_theta": self.given("rope_theta", "rotary_emb_base"),
            "partial_rotary_factor": self.given("partial_rotary_factor", "rotary_pct"),
            "original_max_position_embeddings": self.given("original_max_position_embeddings"),
            "rope_type": values.get("type"),
        }
        given = {name: value for name, value in values.items() if value is not None}
        return Config(self.path, {**outside, **given})
