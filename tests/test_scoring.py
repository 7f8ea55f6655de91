"""Scores of given tokens: as the logits say, whatever the batch, the threads, the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models.cases import CASES
from models.tiny import write_tiny

from pyllama import builtin, scoring
from pyllama.errors import UsageError
from pyllama.gguf.types import TensorType
from pyllama.graph import ops
from pyllama.graph.graph import Graph, make_node
from pyllama.graph.interpreter import Interpreter
from pyllama.graph.ops import token_scores
from pyllama.graph.score_graph import score_graph
from pyllama.kernels.target import available
from pyllama.model import Model
from pyllama.scoring import BatchLogits, Scorer, Scores
from pyllama.session import Session
from pyllama.step import Batch

CLOSE = 3e-6


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("scoring") / "tiny.gguf"
    write_tiny(next(case for case in CASES if case.name == "llama_gqa"), path)
    return Model.load(path)


@pytest.fixture(scope="module", params=[isa.name for isa in available()])
def trained(request: pytest.FixtureRequest) -> Model:
    return Model.load(builtin.path(), isa=request.param)


def text_of(model: Model, count: int) -> np.ndarray:
    return np.array(model.tokenizer.encode(Path(__file__).read_text())[:count])


def one_sequence(tokens: np.ndarray, first: int) -> Batch:
    n = len(tokens)
    return Batch(tokens, np.arange(n), np.zeros(n, int), np.arange(first, n))


def from_logits(session: Session, tokens: np.ndarray, targets: np.ndarray) -> np.ndarray:
    logits = session.evaluate(tokens, all_logits=True)[-len(targets) :].astype(np.float64)
    logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return logits[np.arange(len(targets)), targets]


def test_scores_are_those_of_the_logits(trained: Model) -> None:
    session = Session(trained, context=128, threads=2)
    tokens = text_of(trained, 101)
    scores = Scorer(session).score(one_sequence(tokens[:-1], 40), tokens[41:])
    expected = from_logits(session, tokens[:-1], tokens[41:])
    assert scores.log_probs.dtype == np.float64
    np.testing.assert_allclose(scores.log_probs, expected, atol=CLOSE)


def test_neither_threads_nor_batches_matter(trained: Model) -> None:
    tokens = text_of(trained, 101)
    found = []
    for threads, ubatch in ((1, 100), (2, 100), (2, 64), (2, 16)):
        session = Session(trained, context=128, threads=threads, ubatch=ubatch)
        scores = Scorer(session).score(one_sequence(tokens[:-1], 0), tokens[1:])
        found.append(scores.log_probs)
    for other in found[1:]:
        assert (other == found[0]).all()


def test_sequences_side_by_side(trained: Model) -> None:
    tokens = text_of(trained, 91)
    alone = Scorer(Session(trained, context=64, threads=2))
    parts = [tokens[i : i + 31] for i in (0, 30, 60)]
    expected = [alone.score(one_sequence(p[:-1], 10), p[11:]).log_probs for p in parts]
    inputs = np.concatenate([p[:-1] for p in parts])
    outputs = np.concatenate([np.arange(30 * i + 10, 30 * i + 30) for i in range(3)])
    batch = Batch(inputs, np.tile(np.arange(30), 3), np.repeat(np.arange(3), 30), outputs)
    session = Session(trained, context=64, threads=2, ubatch=128, sequences=3)
    scores = Scorer(session).score(batch, np.concatenate([p[11:] for p in parts]))
    assert (scores.log_probs == np.concatenate(expected)).all()


def test_logits_come_in_blocks(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "ALL_LOGITS_TOKENS", 8)
    session = Session(tiny, context=64, ubatch=16, threads=1)
    tokens = np.arange(50) % tiny.n_vocab
    expected = session.evaluate(tokens, all_logits=True)[30:]
    blocks = [(b.start, b.logits.copy()) for b in BatchLogits(session).of(one_sequence(tokens, 30))]
    assert [start for start, _ in blocks] == [0, 8, 16]
    assert all(len(logits) <= 8 for _, logits in blocks)
    np.testing.assert_allclose(np.concatenate([b for _, b in blocks]), expected, atol=2e-4)


def test_a_graph_that_cannot_be_fused(tiny: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(tiny, context=64, threads=1)
    tokens = np.arange(40) % tiny.n_vocab
    batch, targets = one_sequence(tokens[:-1], 3), tokens[4:]
    fused = Scorer(session).score(batch, targets)
    monkeypatch.setattr(scoring, "score_graph", lambda _graph: None)
    plain = Scorer(session).score(batch, targets)
    np.testing.assert_allclose(plain.log_probs, fused.log_probs, atol=1e-5)


def test_functions_of_the_logits_are_part_of_the_op(tiny: Model) -> None:
    graph = tiny.graph
    for function, parameter in (("scale", 0.5), ("softcap", 30.0)):
        node = make_node(ops.Each(function, parameter), [graph.result], function)
        graph = Graph((*graph.nodes, node), node.output)
    fused = score_graph(graph)
    assert fused is not None
    op = fused.nodes[-1].op
    assert isinstance(op, ops.TokenScores)
    assert op.changes == (("scale", 0.5), ("softcap", 30.0))
    tables = {"rope": np.ones((16, 2, tiny.config.rope.dims // 2), np.float32)}
    logits = Interpreter(graph, tiny.dequantized, tables).evaluate([1, 2, 3])
    interpreter = Interpreter(fused, tiny.dequantized, tables)
    interpreter.targets = np.array([2, 3, 4], np.int32)
    scores = interpreter.evaluate([1, 2, 3])
    np.testing.assert_allclose(scores, token_scores(logits, interpreter.targets), rtol=1e-6)


def test_logits_of_something_else_than_a_matmul() -> None:
    weight = ops.Weight("table", (8, 8), TensorType.F32)
    node = make_node(ops.Embedding(weight), [], "table")
    assert score_graph(Graph((node,), node.output)) is None


def test_no_finite_number_gives_no_score() -> None:
    logits = np.zeros((3, 4), np.float32)
    logits[0, 1], logits[1, 2] = np.inf, np.nan
    scores = Scores.of(token_scores(logits, np.array([1, 0, 0])))
    assert np.isnan(scores.log_probs[:2]).all()
    assert scores.log_probs[2] == pytest.approx(-np.log(4))


def test_numbers_out_of_range(tiny: Model) -> None:
    scorer = Scorer(Session(tiny, context=16, ubatch=16, threads=1))
    tokens = np.arange(10)
    good = one_sequence(tokens, 5)
    for targets in (np.full(5, tiny.n_vocab), np.full(5, -1), np.zeros(4, int)):
        with pytest.raises(UsageError, match="each output needs a target"):
            scorer.score(good, targets)
    targets = np.zeros(5, int)
    for name, batch in {
        "tokens": Batch(tokens - 1, *vars_of(good)),
        "positions": Batch(tokens, good.positions + 7, good.sequences, good.outputs),
        "sequences": Batch(tokens, good.positions, good.sequences + 1, good.outputs),
    }.items():
        with pytest.raises(UsageError, match=f"the {name} of a batch must lie between 0 and"):
            scorer.score(batch, targets)


def vars_of(batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return batch.positions, batch.sequences, batch.outputs
