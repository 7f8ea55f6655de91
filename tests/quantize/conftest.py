"""The small model as a file, and open."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_model import write_model

from pyllama.gguf import GGUFFile


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    write_model(path)
    return path


@pytest.fixture
def model(model_path: Path) -> Iterator[GGUFFile]:
    with GGUFFile.open(model_path) as file:
        yield file
