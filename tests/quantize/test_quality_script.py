"""The script that measures what each type costs, and the importance that it collects."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pyllama import builtin
from pyllama.model import Model
from pyllama.session import Session

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("make_quality_table")


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load(builtin.path())


def test_a_model_does_not_diverge_from_itself(script: ModuleType, model: Model) -> None:
    window = list(range(100, 132))
    first, second = (
        script.Measured(Session(model, context=64, ubatch=16, threads=1)) for _ in range(2)
    )
    logs = first.read(window, None)
    assert np.exp(logs).sum(axis=1) == pytest.approx(np.ones(16))
    second.read(window, logs)
    assert np.abs(second.divergences[0]).max() < 1e-6
    assert second.agreements[0].all()
    expected = -logs[range(16), window[16:]]
    assert second.losses[0] == pytest.approx(expected, abs=1e-4)


def test_the_table_goes_from_large_to_small(script: ModuleType) -> None:
    rows = [
        script.Quality(name, weighted, size, 8.5, 5.5, 0.1, np.linspace(0, 1, 101), 0.5)
        for name, weighted, size in (("Q2_K", True, 10**6), ("Q8_0", False, 4 * 10**6))
    ]
    lines = script.as_table(rows).splitlines()
    assert lines[2] == "| Q8_0 | 4.00 | 8.50 | 5.500 ± 0.10 | 0.50000 | 0.9900 | 50.0 % |"
    assert lines[3].startswith("| Q2_K* | 1.00 |")


def test_importance_is_the_mean_square_of_what_meets_a_matrix(
    script: ModuleType, model: Model
) -> None:
    tokens = [5, 300, 2000, 7]
    importance = script.collect_importance(model, [tokens])
    matrices = {w.name for w in model.graph.weights()} - {"token_embd.weight"}
    expected = {name for name in matrices if not name.endswith("_norm.weight")}
    assert importance.entries.keys() == expected
    embedded = model.dequantized("token_embd.weight")[tokens].astype(np.float64)
    normed = embedded / np.sqrt((embedded**2).mean(axis=1, keepdims=True) + 1e-5)
    normed *= model.vector("blk.0.attn_norm.weight")
    wanted = (normed**2).mean(axis=0)
    assert importance.entries["blk.0.attn_q.weight"] == pytest.approx(wanted, rel=1e-4)
