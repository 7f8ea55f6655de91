"""What a gate does to what it lets through: the two halves of a gated feed-forward become one."""

from __future__ import annotations

from collections.abc import Callable

from pyllama.kernels.functions import gelu, sigmoid, silu
from pyllama.kernels.language import Builder, Value

Gate = Callable[[Builder, Value, Value], Value]

CLAMPED_ALPHA, CLAMPED_LIMIT = 1.702, 7.0
"""Constants of gpt-oss."""


def swiglu(k: Builder, gate: Value, up: Value) -> Value:
    """``silu(gate) * up`` (Shazeer 2020)."""
    return silu(k, gate) * up


def geglu(k: Builder, gate: Value, up: Value) -> Value:
    """``gelu(gate) * up`` (Shazeer 2020)."""
    return gelu(k, gate) * up


def clamped_swiglu(k: Builder, gate: Value, up: Value) -> Value:
    """``gate * sigmoid(1.702 * gate) * (up + 1)``, both clamped to 7 (gpt-oss, 2025)."""
    gate = k.min(gate, CLAMPED_LIMIT)
    up = k.max(k.min(up, CLAMPED_LIMIT), -CLAMPED_LIMIT)
    return gate * sigmoid(k, gate * CLAMPED_ALPHA) * (up + 1.0)


GATES: dict[str, Gate] = {"silu": swiglu, "gelu": geglu, "clamped": clamped_swiglu}
"""By the name that ops give the activation."""
