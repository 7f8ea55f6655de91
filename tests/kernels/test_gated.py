"""Gate and up projections in one kernel, for every format."""

from __future__ import annotations

import pytest
from kernel_cases.gated import (
    gated_matmul_case,
    gated_matvec_case,
    gated_packed_case,
)
from kernel_cases.matmuls import Size, widths
from kernel_cases.targets import MAIN, TILES
from quick import in_turn, some

from pyllama.gguf.types import TensorType
from pyllama.kernels import int8_panels
from pyllama.kernels.formats import FORMATS
from pyllama.kernels.jit import Library

INTEGER = (TensorType.Q4_K, TensorType.Q6_K, TensorType.Q8_0)
SOME = (TensorType.F32, TensorType.F16, TensorType.Q8_0, TensorType.Q4_K, TensorType.IQ4_XS)


@pytest.mark.parametrize(
    ("type", "columns", "library"), in_turn(SOME, (1, 4), MAIN), indirect=["library"]
)
def test_few_tokens(type: TensorType, columns: int, library: Library) -> None:
    for n_rows, width, tokens in zip((1, 17, 33), widths(type), (columns, 1, 5), strict=False):
        gated_matvec_case(library.isa, type, Size(n_rows, width, tokens), columns).run(library)


@pytest.mark.parametrize(("type", "library"), in_turn(SOME, MAIN), indirect=["library"])
def test_batches(type: TensorType, library: Library) -> None:
    for n_rows, width, tokens in zip((1, 64, 70), widths(type), (9, 16, 33), strict=False):
        gated_matmul_case(library.isa, type, Size(n_rows, width, tokens), "floats").run(library)


@pytest.mark.parametrize(("type", "library"), in_turn(INTEGER, MAIN), indirect=["library"])
def test_batches_of_integers(type: TensorType, library: Library) -> None:
    if not int8_panels.fits(library.isa, type):
        type = TensorType.Q4_1  # every instruction set takes unsigned weights
    for n_rows, width, tokens in zip((1, 64, 70), widths(type), (9, 16, 33), strict=False):
        gated_matmul_case(library.isa, type, Size(n_rows, width, tokens), "int8").run(library)


@pytest.mark.parametrize("library", TILES, indirect=True)
@pytest.mark.parametrize("type", some(FORMATS, SOME))
def test_tiles(type: TensorType, library: Library) -> None:
    sizes = [(32, 9, 32), (96, 16, 64), (128, 33, 32)]
    for (n_rows, tokens, task_rows), width in zip(sizes, widths(type), strict=False):
        size = Size(n_rows, width, tokens, task_rows)
        gated_packed_case(library.isa, type, size).run(library)
        gated_matmul_case(library.isa, type, size, "tiles").run(library)
