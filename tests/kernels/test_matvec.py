"""The decode matmul: every format against its NumPy meaning."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest
from kernel_cases.matmuls import (
    Size,
    Variant,
    is_quantized,
    make_weights,
    matvec_case,
    widths,
)
from kernel_cases.targets import EVERY, MAIN
from kernel_cases.weights import EXTREME, POISON, has_half_scales
from quick import in_turn

from pyllama.gguf.types import TensorType
from pyllama.kernels.epilogue import EPILOGUES
from pyllama.kernels.formats import FORMATS
from pyllama.kernels.jit import Library

NAME = attrgetter("name")

N_ROWS = (1, 7, 8, 9, 63, 64, 65)
TASK_ROWS = (4, 4, 8, 5, 16, 64, 10)
TOKENS = (1, 2, 3, 4, 5, 1, 8)


def sizes(type: TensorType) -> list[Size]:
    """Every number of rows, width and number of tokens once."""
    return [Size(*s) for s in zip(N_ROWS, widths(type), TOKENS, TASK_ROWS, strict=True)]


@pytest.mark.parametrize("type", FORMATS, ids=NAME)
def test_each_token_by_itself(type: TensorType, library: Library) -> None:
    for size in sizes(type):
        matvec_case(library.isa, type, size, columns=1).run(library)


@pytest.mark.parametrize(("type", "library"), in_turn(FORMATS, MAIN), indirect=["library"])
def test_groups_of_tokens(type: TensorType, library: Library) -> None:
    for size in sizes(type):
        matvec_case(library.isa, type, size, columns=4).run(library)


@pytest.mark.parametrize(
    ("columns", "rows", "epilogue", "library"),
    in_turn((1, 4), ("n_tokens", "n_outputs"), EPILOGUES, MAIN),
    indirect=["library"],
)
def test_variants(columns: int, rows: str, epilogue: str, library: Library) -> None:
    for type in (TensorType.Q4_0, TensorType.F16):
        case = matvec_case(library.isa, type, Size(33, 192, 6), columns, Variant(epilogue, rows))
        case.run(library)


@pytest.mark.parametrize("library", EVERY, indirect=True)
@pytest.mark.parametrize(
    "type",
    [TensorType.Q8_0, TensorType.Q5_1, TensorType.Q4_K, TensorType.IQ2_XS, TensorType.NVFP4],
    ids=NAME,
)
def test_every_way_to_multiply(type: TensorType, library: Library) -> None:
    matvec_case(library.isa, type, Size(9, 3 * 256, 2), columns=1).run(library)


@pytest.mark.parametrize("type", FORMATS, ids=NAME)
def test_extreme_scales(type: TensorType, library: Library) -> None:
    size = Size(17, 1024, 2)
    matvec_case(library.isa, type, size, columns=1, weights=make_weights(type, size, EXTREME)).run(
        library
    )


@pytest.mark.parametrize("type", [t for t in FORMATS if has_half_scales(t)], ids=NAME)
def test_scales_that_are_no_numbers_spoil_their_own_rows(
    type: TensorType, library: Library
) -> None:
    size = Size(12, 512 if is_quantized(type) else 80, 2)
    sound = make_weights(type, size)
    weights = make_weights(type, size, POISON)
    half = size.n_rows // 2 * weights.row_bytes
    weights.data[half:] = sound.data[half:]
    weights.values[size.n_rows // 2 :] = sound.values[size.n_rows // 2 :]
    weights.largest[:] = sound.largest
    matvec_case(library.isa, type, size, columns=1, weights=weights).run(library)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38])
def test_activations_that_are_no_numbers_spoil_their_own_tokens(
    value: float, library: Library
) -> None:
    for type in (TensorType.Q8_0, TensorType.Q4_K, TensorType.F16):
        matvec_case(library.isa, type, Size(9, 512, 4), columns=4, spoil=value).run(library)
