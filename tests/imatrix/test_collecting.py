"""Collected sums: what the NumPy meanings of the ops say, for every kind of weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from families.tiny import convert_case
from models.cases import CASES
from models.tiny import write_tiny

from pyllama import scoring
from pyllama.errors import PyllamaError
from pyllama.graph import ops
from pyllama.graph.importance_graph import importance_graph
from pyllama.graph.interpreter import Interpreter
from pyllama.imatrix import Imatrix, coverage
from pyllama.imatrix import collecting as collecting_module
from pyllama.imatrix.collecting import OUTPUT, Collector
from pyllama.model import Model
from pyllama.models.rope_table import rope_table
from pyllama.perplexity import Perplexity, Windows
from pyllama.session import Session

SIZE = 24


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("imatrix") / "tiny.gguf"
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), path)
    return Model.load(path)


def windows_of(model: Model, count: int = 3, bos: int | None = 1) -> Windows:
    tokens = np.random.default_rng(2).integers(0, model.n_vocab, count * SIZE).astype(np.int32)
    return Windows.chunks(tokens, SIZE, bos)


def session_of(model: Model, *, sequences: int = 1, ubatch: int = 64, threads: int = 2) -> Session:
    return Session(
        model,
        context=SIZE,
        sequences=sequences,
        ubatch=ubatch,
        threads=threads,
        cache_type="f32",
    )


def collected(session: Session, windows: Windows, **wanted: bool) -> Imatrix:
    collector = Collector(session, **wanted)
    assert sum(len(records) for records in collector.steps(windows)) == windows.count
    assert collector.chunks == windows.count
    return collector.imatrix(Path("imatrix.gguf"), ("a text",), SIZE)


def meant(model: Model, windows: Windows, prefix: str) -> Interpreter:
    """The interpreter after it has read all windows."""
    graph = importance_graph(model.graph, lambda name: name.startswith(prefix))
    config, factors = model.rope("rope", SIZE)
    tables = {"rope": rope_table(config, range(SIZE), factors)}
    interpreter = Interpreter(graph, model.dequantized, tables)
    for number in range(windows.count):
        batch, _ = windows.batch(number, number + 1, whole=True)
        interpreter.evaluate(batch.tokens.tolist(), sequence=number)
    return interpreter


@pytest.mark.parametrize("name", ["phi4", "qwen2moe", "gpt_oss", "granitemoe", "deepseek2_lite"])
def test_sums_of_a_family(name: str, tmp_path: Path) -> None:
    model = Model.load(convert_case(name, tmp_path)[1])
    windows = windows_of(model)
    found = collected(session_of(model, sequences=2), windows)
    interpreter = meant(model, windows, "blk.")
    graph = importance_graph(model.graph, lambda name: name.startswith("blk."))
    sums = [node.op for node in graph.nodes if isinstance(node.op, ops.SquareSums)]
    names = {weight for op in sums for weight in op.weights_met}
    assert names == found.entries.keys()
    for op in sums:
        expected, counts = interpreter.tallies[op.name]
        for weight in op.weights_met:
            entry = found.entries[weight]
            np.testing.assert_array_equal(entry.counts, counts)
            np.testing.assert_allclose(entry.sums, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_experts_count_the_tokens_that_chose_them(tmp_path: Path) -> None:
    model = Model.load(convert_case("mixtral", tmp_path)[1])
    found = collected(session_of(model), windows_of(model))
    mixtures = coverage(found)
    assert [mixture.place for mixture in mixtures] == ["blk.0", "blk.1"]
    assert all(m.counts.sum() == 3 * SIZE * model.config.experts.used for m in mixtures)


@pytest.mark.parametrize("output", [False, True])
def test_the_output_matrix_has_an_entry_where_it_is_wanted(tiny: Model, output: bool) -> None:
    windows = windows_of(tiny)
    found = collected(session_of(tiny), windows, output=output)
    assert (OUTPUT in found.entries) is output
    if output:
        expected, counts = meant(tiny, windows, OUTPUT).tallies[OUTPUT]
        assert counts == found.entries[OUTPUT].counts == 3 * SIZE
        np.testing.assert_allclose(found.entries[OUTPUT].sums, expected, rtol=1e-3)


@pytest.mark.parametrize("output", [False, True])
@pytest.mark.parametrize("is_fused", [False, True])
def test_perplexity_comes_along(
    tiny: Model, output: bool, is_fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = windows_of(tiny)
    plain = [record["nll"] for record in Perplexity(session_of(tiny), windows).records(0)]
    if not is_fused:
        monkeypatch.setattr(scoring, "score_graph", lambda _graph: None)
    collector = Collector(session_of(tiny, sequences=2), output=output)
    found = [record["nll"] for step in collector.steps(windows) for record in step]
    np.testing.assert_allclose(found, plain, rtol=1e-5)
    counts = collector.imatrix(Path(), (), SIZE).entries["blk.0.attn_q.weight"].counts
    assert counts == 3 * SIZE


def test_nothing_else_matters(tiny: Model) -> None:
    """Not the threads, what is scored, which windows stand side by side."""
    windows = windows_of(tiny)
    first = collected(session_of(tiny), windows)
    others = [
        collected(session_of(tiny, threads=1), windows),
        collected(session_of(tiny), windows, scores=False),
        collected(session_of(tiny, sequences=2), windows),
        collected(session_of(tiny, ubatch=10), windows),
    ]
    for name, entry in first.entries.items():
        assert all((other.entries[name].sums == entry.sums).all() for other in others[:2])
        for other in others:
            np.testing.assert_allclose(other.entries[name].sums, entry.sums, rtol=1e-5)


def test_there_is_a_result_after_every_step(tiny: Model) -> None:
    collector = Collector(session_of(tiny))
    counts = []
    for _ in collector.steps(windows_of(tiny)):
        snapshot = collector.imatrix(Path(), (), SIZE)
        assert snapshot.chunks == collector.chunks
        counts.append(snapshot.entries["blk.1.ffn_down.weight"].counts)
    assert [int(count[0]) for count in counts] == [SIZE, 2 * SIZE, 3 * SIZE]


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e39])
def test_what_is_no_number_is_named(
    tiny: Model, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting_module, "check_finite", lambda *_: None)
    collector = Collector(session_of(tiny))
    entries = {op.name: entry for op, entry in collector._sums.items()}
    entries["blk.1.attn_output.weight"].sums[0, 3] = value
    with pytest.raises(PyllamaError, match=r"what 'blk\.1\.attn_output\.weight' is multiplied"):
        list(collector.steps(windows_of(tiny)))
