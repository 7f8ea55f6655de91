"""Measurements on models: what they find, where they begin, how they fail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyllama import builtin
from pyllama.errors import PyllamaError
from pyllama.kernels.target import available
from pyllama.model import Model
from pyllama.perplexity import Estimate, Perplexity, Windows
from pyllama.perplexity.base_file import BaseFile, write_base
from pyllama.perplexity.divergence import Divergences, ReferenceBase, SavedBase, SavingPerplexity
from pyllama.perplexity.measure import Measurement
from pyllama.scoring import Scorer, Scores
from pyllama.session import Session

SQUARES = "\n".join(f"def square_of_{n}():\n    return {n * n}\n" for n in range(1, 180))
OF_SQUARES = [
    *(2.5741, 2.6907, 2.6761, 2.6579, 2.7932, 2.8166, 2.9124, 2.9382, 2.9363, 2.9428, 2.9488)
]
"""What llama-perplexity -c 256 says about this text and the built-in model, chunk by chunk."""

OF_WIKITEXT = [304.2626, 344.7401, 315.1403, 424.4076, 411.3409, 410.4743, 483.9890, 425.3624]
"""The same of stories260K.gguf and chunks of 512 tokens of WikiText-2."""


def running(measurement: Measurement) -> list[float]:
    estimates = [Estimate()]
    for record in measurement.records(0):
        estimates.append(estimates[-1].plus(record["nll"]))
    return [estimate.perplexity for estimate in estimates[1:]]


@pytest.mark.parametrize("isa", [isa.name for isa in available()])
def test_agreement_with_llama_perplexity(isa: str) -> None:
    model = Model.load(builtin.path(), isa=isa)
    tokens = np.array(model.tokenizer.encode(SQUARES.removesuffix("\n")), np.int32)
    windows = Windows.chunks(tokens, 256, model.tokenizer.bos)
    session = Session(model, context=256, threads=2, sequences=2)
    assert running(Perplexity(session, windows)) == pytest.approx(OF_SQUARES, rel=1e-3)


def test_agreement_on_real_text(shared: Path) -> None:
    model = Model.load(shared / "models" / "stories260K.gguf")
    text = (shared / "text" / "wikitext-2-test.txt").read_text()[:20000]
    tokens = np.array(model.tokenizer.encode(text), np.int32)
    windows = Windows.chunks(tokens, 512, model.tokenizer.bos, len(OF_WIKITEXT))
    session = Session(model, context=512, threads=2)
    assert running(Perplexity(session, windows)) == pytest.approx(OF_WIKITEXT, rel=1e-3)


@pytest.fixture
def windows(tiny: Model) -> Windows:
    tokens = np.random.default_rng(0).integers(0, tiny.n_vocab, 330).astype(np.int32)
    return Windows.chunks(tokens, 32, bos=1)


def session(model: Model, **sizes: int) -> Session:
    return Session(model, **{"context": 32, "ubatch": 32, "threads": 1, **sizes})  # type: ignore[arg-type]


def test_any_start_gives_the_same_records(tiny: Model, windows: Windows) -> None:
    whole = list(Perplexity(session(tiny), windows).records(0))
    together = Perplexity(session(tiny, ubatch=96, sequences=3), windows)
    for start in (0, 1, 4, 9):
        records = list(together.records(start))
        assert len(records) == 10 - start
        for record, expected in zip(records, whole[start:], strict=True):
            assert record["nll"].tobytes() == expected["nll"].tobytes()


def test_the_first_bad_logit_is_named(
    tiny: Model, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = Scorer.score
    calls: list[int] = []

    def spoiled(scorer: Scorer, *arguments: object) -> Scores:
        scores = score(scorer, *arguments)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == 3:
            scores.total[4:6] = np.nan
        return scores

    monkeypatch.setattr(Scorer, "score", spoiled)
    records = Perplexity(session(tiny), windows).records(0)
    next(records), next(records)
    with pytest.raises(PyllamaError, match="chunk 3, position 20: a logit is not a finite number"):
        next(records)


def test_saved_and_live_bases_agree(tiny: Model, windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "base"
    with write_base(path, windows, tiny.n_vocab) as writer:
        saving = SavingPerplexity(session(tiny), windows, writer)
        nll = [record["nll"] for record in saving.records(0)]
    plain = [record["nll"] for record in Perplexity(session(tiny), windows).records(0)]
    np.testing.assert_allclose(nll, plain, atol=1e-5)
    saved = Divergences(session(tiny), windows, SavedBase(BaseFile.open(path), windows))
    live = Divergences(session(tiny), windows, ReferenceBase(session(tiny, ubatch=16), windows))
    assert (saved.count, live.count) == (10, 10)
    for one, other in zip(saved.records(0), live.records(0), strict=True):
        for name, values in one.items():
            np.testing.assert_allclose(values, other[name], atol=5e-4, err_msg=name)
        assert np.abs(one["kld"]).max() < 1e-3
        assert one["same_top"].all()


def test_a_base_without_finite_numbers(tiny: Model, windows: Windows, tmp_path: Path) -> None:
    path = tmp_path / "base"
    with write_base(path, windows, tiny.n_vocab) as writer:
        list(SavingPerplexity(session(tiny), windows, writer).records(0))
    data = bytearray(path.read_bytes())
    data[20 + 4 * 320 : 24 + 4 * 320] = np.float32(np.nan).tobytes()
    path.write_bytes(data)
    measured = Divergences(session(tiny), windows, SavedBase(BaseFile.open(path), windows))
    with pytest.raises(PyllamaError, match="chunk 1: the base gives no finite numbers"):
        next(measured.records(0))
