"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyllama.kernels.jit import source_digest

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_finish() -> None:
    gc.freeze()  # modules and tests stay to the end: the collector need not look at them again


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real vocabularies, models and templates beside the checkout."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared (real vocabularies and models)")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _compiled_kernels(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """All processes of the tests share object code, which a second run finds compiled."""
    cache = getattr(pytestconfig, "cache", None)
    folder: Path = cache.mkdir("kernels") if cache else tmp_path_factory.getbasetemp()
    current = folder / source_digest()[:16]
    if cache:
        for old in folder.iterdir():
            if old != current:
                shutil.rmtree(old, ignore_errors=True)  # a process beside this one may do it too
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYLLAMA_CACHE", str(current))
        yield
