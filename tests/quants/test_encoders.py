"""Encoders against the gguf package's, and against the definition of a nearest value."""

from __future__ import annotations

from operator import attrgetter

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.gguf.types import TensorType
from pyllama.quants import FORMATS, Encodable, dequantize, encodable_types, quantize

NAME = attrgetter("name")

QUANTIZED = [TensorType.Q4_0, TensorType.Q4_1, TensorType.Q5_0, TensorType.Q5_1, TensorType.Q8_0]
FLOATS = [TensorType.F32, TensorType.F16, TensorType.BF16]
SMALLEST = np.float32(2.0**-149)
LARGEST = np.finfo(np.float32).max


def by_gguf(values: NDArray[np.float32], type: TensorType) -> NDArray[np.uint8]:
    with np.errstate(all="ignore"):
        encoded = gguf.quants.quantize(values, gguf.GGMLQuantizationType(int(type)))
    return np.ascontiguousarray(encoded).view(np.uint8).reshape(-1)


def ties(type: TensorType) -> NDArray[np.float32]:
    """Rows whose scale is a power of two, and whose values lie exactly between two codes."""
    top = {"Q4_0": -8, "Q4_1": 15, "Q5_0": -16, "Q5_1": 31, "Q8_0": 127}[type.name]
    low = 0 if type.name.endswith("1") else -abs(top)
    codes = np.random.default_rng(3).integers(low, abs(top), (40, 32)) + 0.5
    codes[:, 0] = top
    codes[:, 1] = 0
    return (codes * 2.0 ** np.arange(-20, 20)[:, None]).astype(np.float32)


def samples(kind: str, type: TensorType) -> NDArray[np.float32]:
    rng = np.random.default_rng(11)
    normal = rng.standard_normal((300, 32)).astype(np.float32)
    match kind:
        case "normal":
            return normal
        case "many magnitudes":
            return normal * np.float32(2) ** rng.integers(-60, 60, normal.shape).astype(np.float32)
        case "zeros":
            normal[::2] = 0
            normal[1::4] = -0.0
            normal[3::4, 5:] = 0
            return normal
        case "small":  # scales that f16 cannot hold, f32 still can invert
            return normal * np.float32(2.0**-100)
        case "denormal":
            return (rng.integers(-9, 10, (300, 32)) * SMALLEST).astype(np.float32)
        case "denormal beside small":
            normal *= SMALLEST * np.float32(2.0**22)
            normal[:, 9] = np.float32(2.0**-118)
            return normal
        case "huge":
            return np.clip(normal.astype(np.float64) * 1e38, -LARGEST, LARGEST).astype(np.float32)
        case "constant":
            return np.repeat(normal[:, :1], 32, axis=1)
        case _:
            return ties(type)


KINDS = [
    "normal",
    "many magnitudes",
    "zeros",
    "small",
    "denormal beside small",
    "huge",
    "constant",
    "ties",
]


@pytest.mark.parametrize("type", QUANTIZED, ids=NAME)
@pytest.mark.parametrize("kind", KINDS)
def test_encodes_like_the_gguf_package(type: TensorType, kind: str) -> None:
    values = samples(kind, type)
    assert quantize(values, type).tobytes() == by_gguf(values, type).tobytes()


def test_the_encodable_formats() -> None:
    encodable = [t for t, f in FORMATS.items() if isinstance(f, Encodable)]
    assert set(QUANTIZED + FLOATS) < set(encodable)
    assert encodable_types() == set(encodable)
    assert not hasattr(FORMATS[TensorType.Q8_K], "quantize")


@pytest.mark.parametrize("type", QUANTIZED, ids=NAME)
def test_denormals_and_what_is_not_finite_encode_without_harm(type: TensorType) -> None:
    """Scales without a finite reciprocal: the codes are defined, the stored scale is 0 or NaN."""
    values = samples("denormal", type)
    assert not dequantize(quantize(values, type), type, values.shape).any()
    values[0, 3] = np.inf
    values[1, 4] = np.nan
    decoded = dequantize(quantize(values, type), type, values.shape)
    assert not np.isfinite(decoded[:2]).any()
    assert not decoded[2:].any()


@pytest.mark.parametrize("type", QUANTIZED, ids=NAME)
def test_errors_stay_below_one_step(type: TensorType) -> None:
    values = samples("normal", type)
    decoded = dequantize(quantize(values, type), type, values.shape)
    bits = int(type.name[1])
    span = 2 * np.abs(values).max(axis=1, keepdims=True)
    # Half a step, a whole one where codes 0..2**bits - 1 cannot reach the other end; f16 rounding.
    assert (np.abs(decoded - values) <= span / (2**bits - 2) * 1.01).all()


def float_bits() -> NDArray[np.uint32]:
    """Bit patterns around every kind of rounding, and random ones."""
    upper = np.arange(0, 1 << 16, 7, dtype=np.uint32)[:, None] << np.uint32(16)
    lower = np.array([0, 1, 0x0FFF, 0x1000, 0x1001, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    random = np.random.default_rng(5).integers(0, 1 << 32, 100_000, np.uint32)
    return np.concatenate([(upper | lower).reshape(-1), random])


@pytest.mark.parametrize("type", FLOATS, ids=NAME)
def test_floats_round_like_the_gguf_package(type: TensorType) -> None:
    values = float_bits().view(np.float32)
    number = ~np.isnan(values)
    assert quantize(values[number], type).tobytes() == by_gguf(values[number], type).tobytes()
    assert np.isnan(dequantize(quantize(values[~number], type), type, ((~number).sum(),))).all()


def test_bf16_makes_a_nan_quiet_and_keeps_its_sign() -> None:
    signalling = np.array([0x7F800001, 0xFF80FFFF, 0x7FFFFFFF], np.uint32).view(np.float32)
    assert quantize(signalling, TensorType.BF16).view("<u2").tolist() == [0x7FC0, 0xFFC0, 0x7FFF]
    assert (
        quantize(signalling, TensorType.BF16).tobytes()
        == by_gguf(signalling, TensorType.BF16).tobytes()
    )


def test_bf16_ties_go_to_even() -> None:
    halfway = np.array([0x3F808000, 0x3F818000, 0x7F7F8000], np.uint32).view(np.float32)
    assert quantize(halfway, TensorType.BF16).view("<u2").tolist() == [0x3F80, 0x3F82, 0x7F80]
