"""Scores of given tokens: the matmul with the vocabulary and the log-softmax in one."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest
from kernel_cases.matmuls import Size
from kernel_cases.scores import scores_case
from kernel_cases.targets import TILES as TILE_TARGETS

from pyllama.gguf.types import TensorType
from pyllama.kernels import int8_panels
from pyllama.kernels.jit import Library
from pyllama.kernels.panels import FLOATS, INTEGERS, TILES

NAME = attrgetter("name")
SIZES = (Size(1, 256, 9), Size(300, 256, 33), Size(64, 512, 16), Size(65, 256, 50))
"""Vocabularies and outputs around the edges of tasks and of blocks."""


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("type", [TensorType.F32, TensorType.Q4_0], ids=NAME)
def test_in_float32(type: TensorType, size: Size, library: Library) -> None:
    scores_case(library.isa, type, size, FLOATS).run(library)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("type", [TensorType.Q4_K, TensorType.Q8_0], ids=NAME)
def test_in_integers(type: TensorType, size: Size, library: Library) -> None:
    if not int8_panels.fits(library.isa, type):
        type = TensorType.Q4_1  # every instruction set takes unsigned weights
    scores_case(library.isa, type, size, INTEGERS).run(library)


@pytest.mark.parametrize("library", TILE_TARGETS, indirect=True)
@pytest.mark.parametrize("size", [*SIZES, Size(513, 96, 70)], ids=str)
def test_on_tiles(size: Size, library: Library) -> None:
    type = TensorType.F16 if size.width % 256 else TensorType.Q6_K
    scores_case(library.isa, type, size, TILES).run(library)


def test_logits_that_are_scaled_and_capped(library: Library) -> None:
    changes = (("scale", 4.0), ("softcap", 3.0))
    scores_case(library.isa, TensorType.F32, Size(70, 33, 12), FLOATS, changes).run(library)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("changes", [(), (("softcap", 3.0),)], ids=["plain", "softcap"])
def test_what_is_no_finite_number_shows(
    value: float, changes: tuple[tuple[str, float], ...], library: Library
) -> None:
    size = Size(70, 33, 12)
    scores_case(library.isa, TensorType.F32, size, FLOATS, changes, spoil=value).run(library)
