"""Parts of heads, a matrix for each head, and short convolutions."""

from __future__ import annotations

from operator import attrgetter

import pytest
from kernel_cases.heads import Size, conv_case, join_case, matmul_case, matvec_case, part_case
from kernel_cases.matmuls import is_quantized
from kernel_cases.targets import MAIN, TILES
from quick import in_turn

from pyllama.gguf.types import TensorType
from pyllama.kernels import int8_panels
from pyllama.kernels.jit import Library

NAME = attrgetter("name")
SOME = (TensorType.F32, TensorType.BF16, TensorType.Q8_0, TensorType.Q4_K)


def size_of(type: TensorType, n_rows: int, tokens: int) -> Size:
    """Heads as wide as the format allows, which fill no whole vectors where it has no blocks."""
    width = type.block_size if is_quantized(type) else 70
    return Size(3, n_rows, width, tokens)


@pytest.mark.parametrize("width", [1, 7, 16, 33])
def test_parts_and_joins(width: int, library: Library) -> None:
    part_case(3, width + 5, 2, width).run(library)
    part_case(1, width, 0, width).run(library)
    join_case(3, width, 5).run(library)


@pytest.mark.parametrize(
    ("type", "columns", "library"), in_turn(SOME, (1, 4), MAIN), indirect=["library"]
)
def test_few_tokens(type: TensorType, columns: int, library: Library) -> None:
    for n_rows, tokens in ((70, columns), (16, 3)):
        matvec_case(library.isa, type, size_of(type, n_rows, tokens), columns).run(library)


@pytest.mark.parametrize(("type", "library"), in_turn(SOME, MAIN), indirect=["library"])
def test_batches(type: TensorType, library: Library) -> None:
    for n_rows, tokens in ((70, 9), (16, 50)):
        matmul_case(library.isa, type, size_of(type, n_rows, tokens), "floats").run(library)


@pytest.mark.parametrize("type", [TensorType.Q8_0, TensorType.Q4_K], ids=NAME)
def test_batches_of_integers(type: TensorType, library: Library) -> None:
    if not int8_panels.fits(library.isa, type):
        type = TensorType.Q4_1  # every instruction set takes unsigned weights
    for n_rows, tokens in ((70, 9), (16, 50)):
        matmul_case(library.isa, type, size_of(type, n_rows, tokens), "int8").run(library)


@pytest.mark.parametrize("library", TILES, indirect=True)
@pytest.mark.parametrize("type", SOME, ids=NAME)
def test_tiles(type: TensorType, library: Library) -> None:
    for n_rows, tokens in ((70, 9), (16, 50)):
        matmul_case(library.isa, type, size_of(type, n_rows, tokens), "tiles").run(library)


@pytest.mark.parametrize(
    ("taps", "type", "library"),
    in_turn((2, 3, 4), ("f32", "f16", "bf16"), MAIN),
    indirect=["library"],
)
def test_short_convolutions(taps: int, type: str, library: Library) -> None:
    for width, past, new in ((70, 0, 1), (33, 0, 7), (16, 1, 2), (70, 40, 3)):
        conv_case(width, taps, type, past, new).run(library)
