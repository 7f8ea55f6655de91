"""Training of the built-in model: schedule, windows, resuming, export. Needs torch (extra dev)."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pyllama.gguf import GGUFFile, TensorType

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
DOCUMENT = 30  # tokens


@pytest.fixture
def torch() -> Iterator[ModuleType]:
    torch: ModuleType = pytest.importorskip("torch", reason="needs torch, of the extra dev")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several would wait for one another while other tests run
    yield torch
    torch.set_num_threads(threads)


@pytest.fixture
def training(torch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    del torch
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("builtin_model.training")


@pytest.fixture
def shape(training: ModuleType) -> Any:
    return training.Shape(
        vocabulary=300, width=16, layers=2, heads=2, kv_heads=1, feed_forward=32, context=16
    )


@pytest.fixture
def documents() -> list[Any]:
    """Twenty documents that count upwards, each from its own number."""
    return [np.arange(start, start + DOCUMENT, dtype=np.uint16) for start in range(0, 200, 10)]


def recipe(training: ModuleType, **changes: Any) -> Any:
    options = {"steps": 6, "rows": 4, "warmup_steps": 2, "compile": False, **changes}
    return training.Recipe(**options)


def trained(
    torch: ModuleType,
    training: ModuleType,
    shape: Any,
    documents: list[Any],
    checkpoint: Path,
    *stops: int,
) -> Any:
    """A network trained up to each stop in turn, anew from the checkpoint every time."""
    for stop in stops:
        torch.manual_seed(0)
        model = training.Llama(shape)
        plan = recipe(training, steps=stop, decay_from=0.999999, peak_rate=1e-2)
        windows = training.Windows(documents, shape, plan)
        done = training.train(model, windows, plan, checkpoint, lambda _: None)
        assert done.steps == stop
    return model


def test_the_rate_warms_up_stays_and_falls_to_zero(training: ModuleType) -> None:
    plan = recipe(training, steps=100, warmup_steps=10, decay_from=0.6, peak_rate=1.0)
    rates = [plan.rate(training.Done(step, 0.0)) for step in (0, 4, 9, 30, 60, 80, 100)]
    assert rates == pytest.approx([0.1, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0])


def test_the_budget_that_ends_first_counts(training: ModuleType) -> None:
    plan = recipe(training, steps=100, minutes=1.0)
    assert plan.progress(training.Done(50, 6.0)) == 0.5
    assert plan.progress(training.Done(5, 30.0)) == 0.5
    assert plan.progress(training.Done(5, 90.0)) == 1.0


def test_windows_follow_from_the_step(
    torch: ModuleType, training: ModuleType, shape: Any, documents: Any
) -> None:
    windows = training.Windows(documents, shape, recipe(training))
    ids, targets = windows.batch(3)
    assert ids.shape == targets.shape == (4, shape.context)
    assert torch.equal(ids[:, 1:], targets[:, :-1])
    assert torch.equal(windows.batch(3)[0], ids)
    assert not torch.equal(windows.batch(4)[0], ids)


def test_snapped_windows_begin_with_a_document(
    training: ModuleType, shape: Any, documents: Any
) -> None:
    windows = training.Windows(documents, shape, recipe(training, snapped=1.0, rows=64))
    first = windows.batch(0)[0][:, 0]
    assert set(first.tolist()) <= {int(ids[0]) for ids in documents}


def test_resuming_changes_nothing(
    torch: ModuleType, training: ModuleType, shape: Any, documents: Any, tmp_path: Path
) -> None:
    at_once = trained(torch, training, shape, documents, tmp_path / "a.pt", 6)
    in_parts = trained(torch, training, shape, documents, tmp_path / "b.pt", 2, 6)
    for name, parameter in at_once.named_parameters():
        assert torch.equal(parameter, in_parts.get_parameter(name)), name
    assert not list(tmp_path.glob("*.partial"))


def test_training_learns(
    torch: ModuleType, training: ModuleType, shape: Any, documents: Any, tmp_path: Path
) -> None:
    batch = training.Windows(documents, shape, recipe(training)).batch(1000)
    torch.manual_seed(0)
    before = training.Llama(shape).loss(*batch).item()
    after = trained(torch, training, shape, documents, tmp_path / "c.pt", 25).loss(*batch).item()
    assert after < before - 0.5


def test_later_tokens_do_not_change_earlier_logits(
    torch: ModuleType, training: ModuleType, shape: Any
) -> None:
    torch.manual_seed(0)
    model = training.Llama(shape)
    ids = torch.arange(12)[None]
    assert torch.allclose(model(ids)[:, :7], model(ids[:, :7]), atol=1e-6)


def test_export(torch: ModuleType, training: ModuleType, shape: Any, tmp_path: Path) -> None:
    export = importlib.import_module("builtin_model.export")
    vocabulary = importlib.import_module("builtin_model.vocabulary")
    tokenizer = vocabulary.train_tokenizer(["def a(b):\n    return b\n"] * 9, shape.vocabulary)
    torch.manual_seed(0)
    model = training.Llama(shape)
    export.round_to_file(model)
    export.export(tmp_path / "tiny.gguf", model, tokenizer)
    with GGUFFile.open(tmp_path / "tiny.gguf") as file:
        assert file.metadata["llama.block_count"] == 2
        assert len(file.tensors) == 2 + 2 * 9
        info = file.tensors["blk.1.attn_output.weight"]
        assert (info.type, info.shape) == (TensorType.F16, (16, 16))
        stored = file.data(info.name).view("<f2").reshape(info.shape)
        weight = model.get_parameter("blk.1.attn.output.weight").detach().numpy()
        assert np.array_equal(stored.astype(np.float32), weight)
