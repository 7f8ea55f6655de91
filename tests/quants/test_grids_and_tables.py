"""The constant tables of the formats, against the gguf package's and their definitions."""

from __future__ import annotations

from typing import get_args

import gguf
import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama.quants import (
    E8M0_HALF,
    KSIGNS,
    KVALUES_IQ4NL,
    KVALUES_MXFP4,
    UE4M3_HALF,
    GridName,
    grid,
)


@pytest.mark.parametrize("name", get_args(GridName))
def test_grid_equals_the_gguf_packages(name: GridName) -> None:
    source = getattr(gguf.quants, name.upper())
    source.init_grid()
    points = grid(name)
    assert points.dtype == np.int8
    np.testing.assert_array_equal(points, source.grid.reshape(source.grid_shape))


@pytest.mark.parametrize("name", get_args(GridName))
def test_grid_is_decoded_once_and_constant(name: GridName) -> None:
    assert grid(name) is grid(name)
    with pytest.raises(ValueError, match="read-only"):
        grid(name)[0, 0] = 1


@pytest.mark.parametrize(
    "table", [KSIGNS, KVALUES_IQ4NL, KVALUES_MXFP4, E8M0_HALF, UE4M3_HALF], ids=len
)
def test_tables_are_constant(table: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


def test_sign_masks() -> None:
    assert KSIGNS.tobytes() == gguf.quants.IQ2_XXS.ksigns
    assert all(int(mask).bit_count() % 2 == 0 for mask in KSIGNS)
    assert (KSIGNS & 0x7F).tolist() == list(range(128))


def test_code_values() -> None:
    assert KVALUES_IQ4NL.tolist() == list(gguf.quants.IQ4_NL.kvalues)
    e2m1 = [m / 2 if e == 0 else (1 + m / 2) * 2 ** (e - 1) for e in range(4) for m in range(2)]
    assert KVALUES_MXFP4.tolist() == [2 * x for x in e2m1] + [-2 * x for x in e2m1]


def test_scale_values() -> None:
    one = 127
    assert E8M0_HALF[[0, 1, one, 255]].tolist() == [2.0**-128, 2.0**-127, 0.5, 2.0**127]
    assert UE4M3_HALF[[0, 1, 7, 8, 0x38, 0x7E]].tolist() == [
        0,
        2.0**-10,
        7 * 2.0**-10,
        2.0**-7,
        0.5,
        224,
    ]
    bytes_ = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(UE4M3_HALF, gguf.quants.NVFP4.ue4m3_to_fp32(bytes_))
    np.testing.assert_array_equal(E8M0_HALF, gguf.quants.MXFP4.e8m0_to_fp32_half(bytes_))
