"""A tiny model and sessions of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from models.cases import CASES
from models.tiny import write_tiny

from pyllama.model import Model


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("perplexity") / "tiny.gguf"
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), path)
    return path


@pytest.fixture(scope="session")
def tiny(tiny_path: Path) -> Model:
    return Model.load(tiny_path)
