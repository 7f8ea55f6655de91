"""Drawing in native code against the filters that are its meaning, on every instruction set."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from kernel_cases.draw import draw_case
from numpy.typing import NDArray

from pyllama.kernels.draw import MOST_KEPT
from pyllama.kernels.jit import Library
from pyllama.sampling import Filter, MinP, Sampler, Temperature, TopK, TopP

SIZES = (1, 2, 15, 16, 17, 255, 256, 257, 513, 5000)
CHAINS: dict[str, Sequence[Filter]] = {
    "all": (TopP(0.9), MinP(0.02), Temperature(0.8)),
    "other order": (Temperature(1.5), MinP(0.1), TopP(0.6)),
    "none": (),
    "small nucleus": (TopP(0.01),),
    "twice": (TopP(0.9), Temperature(3.0), TopP(0.9)),
}


def logits_of(size: int, scale: float, distinct: float) -> NDArray[np.float32]:
    """Logits, many of them equal where ``distinct`` is small, with zeros of both signs."""
    values = np.random.default_rng(size).normal(size=size)
    return (np.round(values * distinct) / distinct * scale).astype(np.float32)


@pytest.mark.parametrize("keep", [1, 2, 40, MOST_KEPT])
@pytest.mark.parametrize("size", SIZES)
def test_the_best_is_the_first_of_equals(size: int, keep: int, library: Library) -> None:
    for distinct in (0, 1, 1000):
        draw_case(size, keep, distinct).run(library)


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("keep", [1, 3, 40, MOST_KEPT])
def test_draws_are_those_of_the_filters(name: str, keep: int, library: Library) -> None:
    chain = (TopK(keep), *CHAINS[name])
    for size in SIZES:
        native, meaning = Sampler(chain, 5, library=library), Sampler(chain, 5)
        for scale in (0.1, 3.0):
            for distinct in (0.5, 2.0, 1e6):
                logits = logits_of(size, scale, distinct)
                logits[: size // 3] = -math.inf
                drawn = [native.sample(logits) for _ in range(8)]
                assert drawn == [meaning.sample(logits) for _ in range(8)]
