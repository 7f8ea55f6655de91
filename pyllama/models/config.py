"""A model's hyperparameters, read once from the metadata into frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from pyllama.errors import ModelError

MAX_LAYERS = 512
MAX_SIZE = 1 << 24
"""No width, head count or vocabulary of a model comes near this."""

MAX_CONTEXT = 1 << 30


@dataclass(frozen=True)
class RopeConfig:
    """Frequencies of the rotary embedding and how they are scaled.

    ``scaling`` is ``none``, ``linear``, ``yarn`` or ``dynamic``. ``attention_factor`` is YaRN's
    factor of cosines and sines where the file gives it, else ``None``.
    """

    dims: int
    base: float
    scaling: str
    factor: float
    original_context: int
    attention_factor: float | None
    extra_attention_factor: float
    beta_fast: float
    beta_slow: float
    extrapolation: float


@dataclass(frozen=True)
class ModelConfig:
    """What the graph of a model depends on besides its tensors. Sizes are in elements."""

    architecture: str
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    context_length: int
    norm_epsilon: float
    window: int
    rope: RopeConfig


class _Keys:
    """Checked look-ups of ``{architecture}.*`` keys."""

    def __init__(self, path: str | PathLike[str], metadata: Mapping[str, Any], prefix: str) -> None:
        self._path, self._metadata, self._prefix = path, metadata, prefix

    def _value(self, key: str) -> Any:
        return self._metadata.get(f"{self._prefix}.{key}")

    def fail(self, key: str, problem: str) -> ModelError:
        """The error for a key."""
        return ModelError(
            self._path, f"{self._prefix}.{key} {problem}", "the file is damaged: get it again"
        )

    def integer(
        self, key: str, default: int | None = None, low: int = 1, high: int = MAX_SIZE
    ) -> int:
        """An integer within bounds; an array is accepted when all its elements are equal."""
        value = self._value(key)
        if value is None:
            if default is None:
                raise self.fail(key, "is missing")
            return default
        if isinstance(value, np.ndarray) and value.size and (value == value[0]).all():
            value = value[0].item()
        if isinstance(value, np.ndarray):
            raise self.fail(key, "differs from layer to layer, which this architecture does not do")
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.fail(key, f"is no integer: {value!r}")
        if not low <= value <= high:
            raise self.fail(key, f"is {value}, not between {low} and {high}")
        return value

    def number(self, key: str, default: float | None = None, positive: bool = True) -> float:
        """A finite number."""
        value = self._value(key)
        if value is None:
            if default is None:
                raise self.fail(key, "is missing")
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(key, f"is no number: {value!r}")
        if not np.isfinite(value) or (positive and value <= 0):
            raise self.fail(key, f"is {value}")
        return float(value)

    def text(self, key: str, default: str) -> str:
        """A string."""
        value = self._value(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.fail(key, f"is no text: {value!r}")
        return value


def read_config(path: str | PathLike[str], metadata: Mapping[str, Any]) -> ModelConfig:
    """The hyperparameters of a model file; ModelError names the key that is wrong."""
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise ModelError(
            path, "general.architecture is missing", "the file holds no model: get another"
        )
    keys = _Keys(path, metadata, architecture)
    width = keys.integer("embedding_length")
    heads = keys.integer("attention.head_count", high=1 << 16)
    kv_heads = keys.integer("attention.head_count_kv", heads, high=1 << 16)
    if heads % kv_heads:
        raise keys.fail("attention.head_count", f"is {heads}, no multiple of {kv_heads} key heads")
    head_dim = keys.integer("attention.key_length", max(1, width // heads), high=1 << 12)
    if keys.integer("attention.value_length", head_dim, high=1 << 12) != head_dim:
        raise keys.fail("attention.value_length", "differs from attention.key_length")
    context = keys.integer("context_length", high=MAX_CONTEXT)
    return ModelConfig(
        architecture=architecture,
        layers=keys.integer("block_count", high=MAX_LAYERS),
        width=width,
        feed_forward=keys.integer("feed_forward_length"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        context_length=context,
        norm_epsilon=keys.number("attention.layer_norm_rms_epsilon"),
        window=keys.integer("attention.sliding_window", 0, low=0, high=MAX_CONTEXT),
        rope=_rope(keys, head_dim, context),
    )


SCALINGS = ("none", "linear", "yarn", "dynamic")


def _rope(keys: _Keys, head_dim: int, context: int) -> RopeConfig:
    dims = keys.integer("rope.dimension_count", head_dim, low=2)
    if dims % 2 or dims > head_dim:
        raise keys.fail("rope.dimension_count", f"is {dims}; it must be even and fit a head")
    scaling = keys.text("rope.scaling.type", "linear")
    if scaling not in SCALINGS:
        known = ", ".join(SCALINGS)
        raise keys.fail("rope.scaling.type", f"is {scaling!r}, which is not one of {known}")
    given = keys.number("rope.scaling.yarn_attn_factor", 0.0, positive=False)
    return RopeConfig(
        dims=dims,
        base=keys.number("rope.freq_base", 10000.0),
        scaling=scaling,
        factor=keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 1.0)),
        original_context=keys.integer(
            "rope.scaling.original_context_length", context, high=MAX_CONTEXT
        ),
        attention_factor=given or None,
        extra_attention_factor=keys.number("rope.scaling.attn_factor", 1.0),
        beta_fast=keys.number("rope.scaling.yarn_beta_fast", 32.0),
        beta_slow=keys.number("rope.scaling.yarn_beta_slow", 1.0),
        extrapolation=keys.number("rope.scaling.yarn_ext_factor", 1.0, positive=False),
    )
