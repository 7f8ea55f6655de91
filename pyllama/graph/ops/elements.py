"""Ops that work on each element alone, and the functions that they compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pyllama.graph.ops.base import Array, Op, Rows, StepState, Tensor, same_shape

Function = Callable[[Array, float], Array]
GateFunction = Callable[[Array, Array], Array]


def _silu(x: Array, steepness: float = 1.0) -> Array:
    result: Array = x / (1 + np.exp(-np.clip(steepness * x, -80, None)))
    return result


def _gelu(x: Array) -> Array:
    result: Array = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return result


def _gelu_erf(x: Array) -> Array:
    result: Array = 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    return result


def _clamped(gate: Array, up: Array) -> Array:
    result: Array = _silu(np.minimum(gate, 7), 1.702) * (np.clip(up, -7, 7) + 1)
    return result


FUNCTIONS: Mapping[str, Function] = {
    "scale": lambda x, p: x * np.float32(p),
    "clamp": lambda x, p: np.clip(x, -p, p),
    "softcap": lambda x, p: np.float32(p) * np.tanh(x / np.float32(p)),
    "gelu": lambda x, p: _gelu(x),
    "gelu_erf": lambda x, p: _gelu_erf(x),
    "relu2": lambda x, p: np.square(np.maximum(x, 0)),
}
"""``f(x, parameter)``. ``gelu`` is the approximation by tanh (Hendrycks and Gimpel 2016)."""

ACTIVATIONS = ("gelu", "gelu_erf", "relu2")
"""Those without a parameter."""

GATES: Mapping[str, GateFunction] = {
    "silu": lambda gate, up: _silu(gate) * up,
    "gelu": lambda gate, up: _gelu(gate) * up,
    "clamped": _clamped,
}
"""``f(gate, up)`` (Shazeer 2020); ``clamped`` is gpt-oss's."""


@dataclass(frozen=True)
class Each(Op):
    """A function of every element: one of ``FUNCTIONS``, with its parameter."""

    function: str
    parameter: float = 0.0

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        (x,) = inputs
        return x.rows, x.width

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        return FUNCTIONS[self.function](inputs[0], self.parameter).astype(np.float32)


@dataclass(frozen=True)
class Gate(Op):
    """What a gate lets through of another activation: one of ``GATES``."""

    activation: str = "silu"

    def output(self, inputs: Sequence[Tensor]) -> tuple[Rows, int]:
        """Rows and width of the result."""
        return same_shape(inputs)

    def meaning(self, step: StepState, *inputs: Array) -> Array:
        """The result in NumPy."""
        return GATES[self.activation](*inputs).astype(np.float32)
