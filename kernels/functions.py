"""Functions of vectors that several kernels need: exponential, sigmoid, SiLU."""

from __future__ import annotations

from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, i32

_LOG2E = 1.4426950408889634
_LN2_HIGH = 0.693145751953125
_LN2_LOW = 1.42860682030941723212e-6
_LOWEST, _HIGHEST = -87.0, 88.0
_COEFFICIENTS = (1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)


def exp(k: Builder, x: Value) -> Value:
    """e**x of f32 lanes within 2e-7 relative; below -87 the result is e**-87 (about 1e-38).

    Cody and Waite's reduction to |r| <= ln(2) / 2, then the Taylor series to the seventh power.
    """
    x = k.min(k.max(x, _LOWEST), _HIGHEST)
    n = k.round(x * _LOG2E)
    r = k.fma(n, k.const(x.type, -_LN2_LOW), k.fma(n, k.const(x.type, -_LN2_HIGH), x))
    power = k.const(x.type, _COEFFICIENTS[0])
    for coefficient in _COEFFICIENTS[1:]:
        power = k.fma(power, r, k.const(x.type, coefficient))
    two_to_n = ((n.to(i32) + 127) << 23).bits_as(f32 * x.type.lanes)
    return power * two_to_n


def sigmoid(k: Builder, x: Value) -> Value:
    """1 / (1 + e**-x)."""
    return 1.0 / (exp(k, -x) + 1.0)


def silu(k: Builder, x: Value) -> Value:
    """x * sigmoid(x) (Elfwing et al. 2017)."""
    return x * sigmoid(k, x)
