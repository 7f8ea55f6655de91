"""Fixtures of the sampling tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyllama.sampling import SamplingParams


@pytest.fixture
def make_params() -> Callable[..., SamplingParams]:
    """Sampling options with a fixed seed."""

    def make(**options: object) -> SamplingParams:
        return SamplingParams(**{"seed": 7, **options})  # type: ignore[arg-type]

    return make
