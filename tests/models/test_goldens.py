"""The native runtime against golden logits of transformers, however the tokens are split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.case import CONTEXT, Case
from models.cases import CASES
from models.golden import Golden, load, relative_error
from models.reference import Reference
from models.tiny import metadata, tensors, write_tiny
from pyllama.model import Model
from pyllama.session import Session

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture(scope="module")
def golden(case: Case) -> Golden:
    return load(case)


@pytest.fixture(scope="module")
def model(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Model:
    path: Path = tmp_path_factory.mktemp(case.name) / "tiny.gguf"
    write_tiny(case, path)
    return Model.load(path, isa=None)


def start(model: Model, batch: int = CONTEXT, ubatch: int = CONTEXT) -> Session:
    return Session(model, context=CONTEXT, batch=batch, ubatch=ubatch, threads=2, cache_type="f32")


@pytest.mark.parametrize(("batch", "ubatch"), [(CONTEXT, CONTEXT), (CONTEXT, 7), (29, 11), (1, 1)])
def test_prefill_whatever_the_batches(
    model: Model, golden: Golden, batch: int, ubatch: int
) -> None:
    logits = start(model, batch, ubatch).evaluate(golden.tokens, all_logits=True)
    assert logits.dtype == np.float32
    assert relative_error(logits[golden.prefill_at], golden.prefill) < TOLERANCE


def test_decode_token_by_token(model: Model, case: Case, golden: Golden) -> None:
    session = start(model)
    logits = {case.prompt - 1: session.evaluate(golden.tokens[: case.prompt])}
    for position in range(case.prompt, len(golden.tokens)):
        logits[position] = session.evaluate(golden.tokens[position : position + 1])
    rows = np.stack([logits[position] for position in golden.decode_at.tolist()])
    assert relative_error(rows, golden.decode) < TOLERANCE


def test_uneven_calls(model: Model, case: Case, golden: Golden) -> None:
    session, reference = start(model, ubatch=8), Reference(metadata(case), tensors(case))
    ends = [3, 4, case.prompt - 2, case.prompt, case.prompt + 1, len(golden.tokens)]
    for part in np.split(golden.tokens, ends[:-1]):
        native = session.evaluate(part, all_logits=True)
        assert relative_error(native, reference.evaluate(part)) < TOLERANCE
