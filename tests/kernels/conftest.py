"""Where kernels of these tests run: every instruction set of this machine, each compiled once.

``@pytest.mark.isa("avx512")`` says that a test needs an instruction set; where the processor cannot
run it, the test is skipped. A test that takes ``library`` runs on each of ``MAIN``, one that
asks for ``library`` indirectly with ``EVERY`` runs on their variants with fewer features as well.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kernel_cases.targets import MAIN, target

from pyllama.kernels.cache import ObjectCache
from pyllama.kernels.jit import Library
from pyllama.kernels.target import available


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("isa"):
        if mark.args[0] not in {isa.name for isa in available()}:
            pytest.skip(f"this processor cannot run {mark.args[0]}")


@pytest.fixture(scope="session")
def objects() -> ObjectCache:
    """Object code of the kernels as they are now."""
    return ObjectCache()


@pytest.fixture(scope="session")
def library_of(objects: ObjectCache) -> Callable[[str], Library]:
    """The library of a target by its name; there is one of each."""
    libraries: dict[str, Library] = {}

    def library(name: str) -> Library:
        if name not in libraries:
            libraries[name] = Library(target(name), objects)
        return libraries[name]

    return library


@pytest.fixture(params=MAIN)
def library(request: pytest.FixtureRequest, library_of: Callable[[str], Library]) -> Library:
    """Compiled kernels of the target that the test is parametrized with."""
    return library_of(request.param)
