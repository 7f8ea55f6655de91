"""Functions of vectors that several kernels need: exponential, sigmoid and what is made of them."""

from __future__ import annotations

import math
from collections.abc import Callable

from pyllama.kernels.language import Builder, Value

_LOG2E = 1.4426950408889634
_LN2_HIGH = 0.693145751953125
_LN2_LOW = 1.42860682030941723212e-6
_LOWEST, _HIGHEST = -87.0, 87.0
"""Within these neither e**x nor its reciprocal is subnormal, which processors are slow with."""

_COEFFICIENTS = (0.00829027, 0.04189816, 0.16667638, 0.49999148, 0.99999971, 1.0)
"""Of the polynomial whose largest relative error is least (1e-7), the highest power first."""


def exp(k: Builder, x: Value) -> Value:
    """e**x of f32 lanes within 2e-7 relative; below -87 the result is e**-87 (about 1e-38).

    Cody and Waite's reduction to |r| <= ln(2) / 2, then a polynomial.
    """
    x = k.min(k.max(x, _LOWEST), _HIGHEST)
    n = k.round(x * _LOG2E)
    r = k.fma(n, k.const(x.type, -_LN2_LOW), k.fma(n, k.const(x.type, -_LN2_HIGH), x))
    power = k.const(x.type, _COEFFICIENTS[0])
    for coefficient in _COEFFICIENTS[1:]:
        power = k.fma(power, r, k.const(x.type, coefficient))
    return k.isa.times_power(k, power, n)


def sigmoid(k: Builder, x: Value) -> Value:
    """1 / (1 + e**-x)."""
    return 1.0 / (exp(k, -x) + 1.0)


def silu(k: Builder, x: Value) -> Value:
    """x * sigmoid(x) (Elfwing et al. 2017)."""
    return x * sigmoid(k, x)


def tanh(k: Builder, x: Value) -> Value:
    """Hyperbolic tangent within 2e-7."""
    return 1.0 - 2.0 * sigmoid(k, x * -2.0)


def softcap(k: Builder, x: Value, cap: Value | float) -> Value:
    """cap * tanh(x / cap): keeps x within (-cap, cap) (Bello et al. 2016)."""
    return tanh(k, x / cap) * cap


_GELU_SLOPE, _GELU_CUBE = 2 * math.sqrt(2 / math.pi), 0.044715
_GELU_LEAST = -60.0
"""Below, GELU is as good as zero; products with smaller numbers would soon be subnormal."""


def gelu(k: Builder, x: Value) -> Value:
    """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2 (Hendrycks and Gimpel 2016)."""
    cubic = k.fma(x * x, k.const(x.type, _GELU_CUBE * _GELU_SLOPE), k.const(x.type, _GELU_SLOPE))
    return x * sigmoid(k, k.max(x * cubic, _GELU_LEAST))


_ERF_P = 0.3275911
_ERF_COEFFICIENTS = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def erf(k: Builder, x: Value) -> Value:
    """The error function within 2e-7 (Abramowitz and Stegun, 7.1.26)."""
    size = k.abs(x)
    t = 1.0 / (size * _ERF_P + 1.0)
    polynomial = k.const(x.type, 0)
    for coefficient in _ERF_COEFFICIENTS:
        polynomial = k.fma(polynomial, t, k.const(x.type, coefficient))
    positive = 1.0 - polynomial * t * exp(k, -(size * size))
    return k.select(x < 0, -positive, positive)


def gelu_erf(k: Builder, x: Value) -> Value:
    """x * (1 + erf(x / sqrt(2))) / 2 (Hendrycks and Gimpel 2016)."""
    return x * (erf(k, x * math.sqrt(0.5)) + 1.0) * 0.5


def relu2(k: Builder, x: Value) -> Value:
    """max(x, 0)**2 (So et al. 2021)."""
    positive = k.max(x, 0.0)
    return positive * positive


ACTIVATIONS: dict[str, Callable[[Builder, Value], Value]] = {
    "gelu": gelu,
    "gelu_erf": gelu_erf,
    "relu2": relu2,
}
"""By the name that ops give them."""
