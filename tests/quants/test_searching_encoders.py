"""The encoders that search: their bytes against ggml's, by digests, and what they must satisfy.

The digests are of the bytes that ggml's quantizers (ggml-quants.c, compiled without contraction of
floating-point operations) make of the same rows and importance.
"""

from __future__ import annotations

import hashlib
from operator import attrgetter

import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.errors import PyllamaError
from pyllama.gguf.types import TensorType
from pyllama.quants import FORMATS, Weighable, dequantize, quantize
from pyllama.quants.search import total

ROWS, COLUMNS = 24, 1024

PLAIN = {
    "Q2_K": "f2b6d5675b4c1631",
    "Q3_K": "f8209ffe4f07fa15",
    "Q4_K": "5c198922006a0077",
    "Q5_K": "008094faf75d9a67",
    "Q6_K": "4de8741cb979c3fd",
    "IQ4_NL": "13be82d6cc6825e6",
    "IQ4_XS": "92a1641a21784a4f",
    "TQ1_0": "78aaa9803f6213db",
    "TQ2_0": "ef434861791ce3d2",
    "MXFP4": "5352ccbd62323758",
    "IQ2_S": "1110d0682a63b739",
    "IQ3_XXS": "07c5ae2e823e5c80",
    "IQ3_S": "e15b572cff306962",
    "IQ1_M": "a141a394ec8b88b9",
}
WEIGHTED = {
    "Q4_0": "3a3d9bb32821e08f",
    "Q4_1": "dd2cb7b39490dc7a",
    "Q5_0": "e4d82170755aa419",
    "Q5_1": "b010d3fdef168ddf",
    "Q2_K": "5bcb5673305dd458",
    "Q3_K": "bf73ea1785104fb4",
    "Q4_K": "8bd947a9d9eed8f1",
    "Q5_K": "e9bfbd145c2edc46",
    "Q6_K": "3ccc1dd15266ee5d",
    "IQ4_NL": "845c9d544fe5916f",
    "IQ4_XS": "be2dbb498704e85c",
    "IQ1_S": "837c2c42f9c9bac6",
    "IQ1_M": "9a53779632151f41",
    "IQ2_XXS": "e05442dbeaf25931",
    "IQ2_XS": "5caffa16afe9d118",
    "IQ2_S": "8164256c7a4243cd",
    "IQ3_XXS": "c8044d01f7ebb1e2",
    "IQ3_S": "4f36cfb45c84e0c1",
}


def sample_rows(rows: int = ROWS) -> NDArray[np.float32]:
    """Rows of several kinds: bell-shaped, with outliers, with zeros, of one sign, on a grid."""
    rng = np.random.default_rng(2024)
    dice = rng.integers(-1000, 1001, (6, rows, COLUMNS))
    values = dice.sum(axis=0).astype(np.float32) / np.float32(65536)
    values[1::6] *= (dice[0, 1::6] > 960).astype(np.float32) * 20 + 1
    values[2::6] *= dice[1, 2::6] > 400
    values[3::6] = np.abs(values[3::6])
    values[4::6] = np.round(values[4::6] * 64) / 64
    values[5::6, :512] = 0
    return values


def sample_importance() -> NDArray[np.float32]:
    dice = np.random.default_rng(7).integers(1, 1000, COLUMNS).astype(np.float32)
    importance: NDArray[np.float32] = dice * dice / np.float32(4096)
    return importance


def digest(data: NDArray[np.uint8]) -> str:
    return hashlib.blake2b(data.tobytes(), digest_size=8).hexdigest()


@pytest.mark.parametrize("name", PLAIN)
def test_bytes_are_those_of_ggml(name: str) -> None:
    assert digest(quantize(sample_rows(), TensorType[name])) == PLAIN[name]


@pytest.mark.parametrize("name", WEIGHTED)
def test_bytes_with_importance_are_those_of_ggml(name: str) -> None:
    encoded = quantize(sample_rows(), TensorType[name], sample_importance())
    assert digest(encoded) == WEIGHTED[name]


def test_every_weighable_format_is_covered() -> None:
    weighable = {t.name for t, f in FORMATS.items() if isinstance(f, Weighable)}
    assert weighable == WEIGHTED.keys()


WEIGHABLE = [TensorType[name] for name in WEIGHTED]


@pytest.mark.parametrize("type", WEIGHABLE, ids=attrgetter("name"))
def test_importance_lowers_the_error_where_it_matters(type: TensorType) -> None:
    values = sample_rows()
    importance = np.full(COLUMNS, 1e-3, np.float32)
    importance[::8] = 1

    def error(data: NDArray[np.uint8]) -> float:
        decoded = dequantize(data, type, values.shape)
        return float(((decoded - values)[:, ::8].astype(np.float64) ** 2).mean())

    even = np.ones(COLUMNS, np.float32)
    assert error(quantize(values, type, importance)) < error(quantize(values, type, even))


@pytest.mark.parametrize("type", WEIGHABLE, ids=attrgetter("name"))
@pytest.mark.parametrize("kind", ["zeros", "denormal", "huge", "one", "no importance"])
def test_extremes_encode_without_harm(type: TensorType, kind: str) -> None:
    values = np.zeros((2, COLUMNS), np.float32)
    importance = sample_importance()
    match kind:
        case "denormal":
            values[:] = np.float32(2.0**-149)
        case "huge":
            values[:] = sample_rows(2) * np.float32(1e38)
        case "one":
            values[0, 300] = -1
        case "no importance":
            values[:], importance = sample_rows(2), np.zeros(COLUMNS, np.float32)
    for given in (None, importance):
        decoded = dequantize(quantize(values, type, given), type, values.shape)
        assert decoded.shape == values.shape
        if kind in ("zeros", "denormal", "no importance"):
            assert np.isfinite(decoded).all()
        if kind == "zeros":
            assert not decoded.any()


def test_a_row_may_be_wider_than_what_is_converted_at_a_time() -> None:
    values = np.tile(sample_rows(1), (2, 100))
    importance = np.tile(sample_importance(), 100)
    narrow = quantize(values[:1], TensorType.Q6_K, importance)
    both = quantize(values, TensorType.Q6_K, importance)
    assert both.tobytes() == narrow.tobytes() * 2


def test_importance_of_another_width_is_refused() -> None:
    with pytest.raises(PyllamaError, match=r"importance of shape 512 does not fit rows of 1024"):
        quantize(sample_rows(1), TensorType.Q4_K, np.ones(512, np.float32))


def test_formats_without_use_for_importance_disregard_it() -> None:
    values = sample_rows(2)
    for type in (TensorType.Q8_0, TensorType.TQ2_0, TensorType.MXFP4, TensorType.F16):
        weighted = quantize(values, type, sample_importance())
        assert weighted.tobytes() == quantize(values, type).tobytes()


@pytest.mark.parametrize("groups", [1, 2, 3, 7, 8, 9, 16, 33, 1000])
@pytest.mark.parametrize("size", [8, 16, 32, 256])
def test_sums_are_made_in_order(size: int, groups: int) -> None:
    dice = np.random.default_rng(size + groups).integers(-9999, 9999, (size, groups))
    terms = (dice * 1.7 ** (dice % 31)).astype(np.float32)
    expected = terms[0].copy()
    for row in terms[1:]:
        expected += row
    assert (total(terms) == expected).all()
