"""The NumPy reference against the golden logits, and the golden logits against misread files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.case import Case
from models.cases import CASES
from models.golden import FOLDER, load, relative_error
from models.reference import Reference
from models.tiny import read_tiny, write_tiny
from models.weights import tokens

TOLERANCE = 1e-5
"""Of the largest logit: float32's rounding in transformers, where 4e-6 was the worst measured."""
NOTICEABLE = 1e-2

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
def reference(case: Case, tmp_path: Path) -> Reference:
    write_tiny(case, tmp_path / "tiny.gguf")
    return Reference(*read_tiny(tmp_path / "tiny.gguf"))


def test_every_case_has_its_golden_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.npz")} == {case.name for case in CASES}


@each_case
def test_golden_tokens_are_those_of_the_case(case: Case) -> None:
    np.testing.assert_array_equal(load(case).tokens, tokens(case))


@each_case
def test_prefill(case: Case, reference: Reference) -> None:
    golden = load(case)
    logits = reference.evaluate(golden.tokens)
    assert relative_error(logits[golden.prefill_at], golden.prefill) < TOLERANCE


@each_case
def test_decode(case: Case, reference: Reference) -> None:
    golden = load(case)
    logits = {case.prompt - 1: reference.evaluate(golden.tokens[: case.prompt])[-1]}
    for position in range(case.prompt, len(golden.tokens)):
        logits[position] = reference.evaluate(golden.tokens[position : position + 1])[-1]
    rows = np.stack([logits[position] for position in golden.decode_at.tolist()])
    assert relative_error(rows, golden.decode) < TOLERANCE


@pytest.mark.parametrize(
    ("case", "name", "value"),
    [
        pytest.param(case, *mistake, id=f"{case.name}-{mistake[0]}-{mistake[1]}")
        for case in CASES
        for mistake in case.misread
    ],
)
def test_a_misread_file_is_noticed(
    case: Case, name: str, value: float | None, tmp_path: Path
) -> None:
    write_tiny(case, tmp_path / "tiny.gguf")
    metadata, tensors = (
        {key: item for key, item in items.items() if not key.endswith(name)}
        for items in read_tiny(tmp_path / "tiny.gguf")
    )
    if value is not None:
        metadata[f"{case.family.architecture}.{name}"] = value
    golden = load(case)
    logits = Reference(metadata, tensors).evaluate(golden.tokens)
    assert relative_error(logits[golden.prefill_at], golden.prefill) > NOTICEABLE
