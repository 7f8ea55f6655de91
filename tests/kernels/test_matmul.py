"""The batch matmul and the packing of its activations, and the embedding: every format.

Quick are one format of each way to unpack; all are unpacked by the embedding as well.
"""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases.catalogue import UNPACKINGS
from kernel_cases.matmuls import (
    Size,
    Variant,
    embedding_case,
    is_quantized,
    make_weights,
    matmul_case,
    widths,
)
from kernel_cases.targets import MAIN, TILES, target
from kernel_cases.weights import EXTREME
from quick import in_turn, some

from pyllama.gguf.types import TensorType
from pyllama.kernels import int8_panels
from pyllama.kernels.epilogue import EPILOGUES
from pyllama.kernels.formats import FORMATS
from pyllama.kernels.jit import Library

N_ROWS = (1, 7, 8, 9, 63, 64, 65)
TOKENS = (1, 2, 15, 16, 17, 5, 33)


EVERY_UNPACKING = pytest.mark.parametrize(
    ("type", "library"), in_turn(some(FORMATS, UNPACKINGS), MAIN), indirect=["library"]
)
EVERY_VARIANT = pytest.mark.parametrize(
    ("rows", "epilogue", "library"),
    in_turn(("n_tokens", "n_outputs"), EPILOGUES, MAIN),
    indirect=["library"],
)


@EVERY_UNPACKING
def test_sizes(type: TensorType, library: Library) -> None:
    for n_rows, width, tokens in zip(N_ROWS, widths(type), TOKENS, strict=True):
        matmul_case(library.isa, type, Size(n_rows, width, tokens), "floats").run(library)


UNSIGNED = [type for type, fmt in FORMATS.items() if getattr(fmt, "offset_group", 0)]
SIGNED = [type for type in FORMATS if is_quantized(type) and type not in UNSIGNED]
WHOLE_BYTES = [isa for isa in MAIN if target(isa.values[0]).dots_whole_bytes]
"""Those that compute with signed weights in integers as well."""


def test_which_types_are_computed_in_integers(library: Library) -> None:
    assert all(int8_panels.fits(library.isa, type) for type in UNSIGNED)
    for type in SIGNED:
        assert int8_panels.fits(library.isa, type) == library.isa.dots_whole_bytes
    assert not int8_panels.fits(library.isa, TensorType.F16)


def _sizes_of_integer_products(type: TensorType, library: Library) -> None:
    for n_rows, width, tokens in zip(N_ROWS, widths(type), TOKENS, strict=True):
        matmul_case(library.isa, type, Size(n_rows, width, tokens), "int8").run(library)


@pytest.mark.parametrize(("type", "library"), in_turn(UNSIGNED, MAIN), indirect=["library"])
def test_sizes_of_products_of_unsigned_integers(type: TensorType, library: Library) -> None:
    _sizes_of_integer_products(type, library)


@pytest.mark.parametrize("library", WHOLE_BYTES, indirect=True)
@pytest.mark.parametrize("type", some(SIGNED, UNPACKINGS))
def test_sizes_of_products_of_signed_integers(type: TensorType, library: Library) -> None:
    _sizes_of_integer_products(type, library)


@EVERY_VARIANT
def test_variants_of_integer_products(rows: str, epilogue: str, library: Library) -> None:
    for size in (Size(70, 64, 18), Size(130, 512, 3)):
        variant = Variant(epilogue, rows)
        matmul_case(library.isa, TensorType.Q4_1, size, "int8", variant).run(library)


@EVERY_VARIANT
def test_variants(rows: str, epilogue: str, library: Library) -> None:
    for size in (Size(70, 64, 18), Size(130, 512, 3)):
        variant = Variant(epilogue, rows)
        matmul_case(library.isa, TensorType.Q8_0, size, "floats", variant).run(library)


@EVERY_UNPACKING
def test_extreme_scales(type: TensorType, library: Library) -> None:
    size = Size(17, 768, 2)
    weights = make_weights(type, size, EXTREME)
    matmul_case(library.isa, type, size, "floats", weights=weights).run(library)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_activations_that_are_no_numbers_spoil_their_own_tokens(
    value: float, library: Library
) -> None:
    for type in (TensorType.Q4_0, TensorType.F32):
        matmul_case(library.isa, type, Size(9, 320, 4), "floats", spoil=value).run(library)


@pytest.mark.parametrize(("type", "library"), in_turn(FORMATS, MAIN), indirect=["library"])
def test_embedding(type: TensorType, library: Library) -> None:
    for width in widths(type):
        embedding_case(type, width).run(library)
    embedding_case(type, width, of="positions").run(library)


@pytest.mark.parametrize("library", TILES, indirect=True)
@pytest.mark.parametrize("type", some(FORMATS, UNPACKINGS))
def test_tiles(type: TensorType, library: Library) -> None:
    sizes = [(1, 1, 32), (31, 16, 32), (33, 17, 64), (64, 33, 32), (100, 64, 64)]
    for (n_rows, tokens, task_rows), width in zip(sizes, widths(type), strict=False):
        size = Size(n_rows, width, tokens, task_rows)
        matmul_case(library.isa, type, size, "tiles").run(library)


@pytest.mark.parametrize("library", TILES, indirect=True)
@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("rows", ["n_tokens", "n_outputs"])
def test_variants_of_tiles(rows: str, epilogue: str, library: Library) -> None:
    size = Size(70, 1088, 18, 32)
    variant = Variant(epilogue, rows)
    matmul_case(library.isa, TensorType.Q8_0, size, "tiles", variant).run(library)
