"""Tiny checkpoints of every family: converted, then computed as transformers computes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from models.golden import relative_error
from numpy.typing import NDArray

from families.case import CONTEXT, Case
from families.cases import CASES
from families.checkpoint import write_checkpoint
from families.golden import FOLDER, Golden, load
from families.weights import draw_all, draw_tokens
from pyllama.convert import ConvertOptions, convert
from pyllama.errors import UsageError
from pyllama.gguf import TensorType
from pyllama.gguf.file_types import FileType
from pyllama.graph.interpreter import Interpreter
from pyllama.model import Model
from pyllama.models.blocks import LOCAL_ROPE_TABLE, ROPE_TABLE
from pyllama.models.rope_table import rope_table
from pyllama.session import Session

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Converted:
    """A case with its golden file and its model."""

    case: Case
    golden: Golden
    model: Model

    def session(self, ubatch: int = CONTEXT) -> Session:
        """An empty one, which keeps keys and values as they are."""
        return Session(
            self.model, context=self.case.context, ubatch=ubatch, threads=2, cache_type="f32"
        )


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def converted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Converted:
    case: Case = request.param
    folder: Path = tmp_path_factory.mktemp(case.name)
    return Converted(case, load(case.name), convert_case(case.name, folder))


def convert_case(name: str, folder: Path, type: FileType = FileType.F32) -> Model:
    """The model of a case, by way of its checkpoint in an empty folder."""
    golden = load(name)
    write_checkpoint(folder, golden.config, draw_all(name, golden.parameters))
    convert(folder, folder / "tiny.gguf", ConvertOptions(file_type=type, vocabulary=False))
    return Model.load(folder / "tiny.gguf")


def test_every_case_has_its_golden_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.npz")} == {case.name for case in CASES}


def test_golden_file_is_of_the_case(converted: Converted) -> None:
    golden, case = converted.golden, converted.case
    assert case.config.items() <= golden.config.items()
    assert golden.config["architectures"] == [case.architecture]
    drawn = draw_tokens(case.name, case.prompt + case.decode, golden.config["vocab_size"])
    np.testing.assert_array_equal(golden.tokens, drawn)


@pytest.mark.parametrize("ubatch", [CONTEXT, 7])
def test_prompt(converted: Converted, ubatch: int) -> None:
    golden = converted.golden
    logits = converted.session(ubatch).evaluate(golden.tokens, all_logits=True)
    assert relative_error(logits[golden.prefill_at], golden.prefill) < TOLERANCE


def test_decoding(converted: Converted) -> None:
    golden, prompt, session = converted.golden, converted.case.prompt, converted.session()
    logits = {prompt - 1: session.evaluate(golden.tokens[:prompt])}
    for position in range(prompt, len(golden.tokens)):
        logits[position] = session.evaluate(golden.tokens[position : position + 1])
    rows = np.stack([logits[position] for position in golden.decode_at.tolist()])
    assert relative_error(rows, golden.decode) < TOLERANCE


def tables(model: Model, context: int) -> dict[str, NDArray[np.float32]]:
    """The rotations of a model, for the interpreter."""
    rotations = {name: model.rope(name, context) for name in (ROPE_TABLE, LOCAL_ROPE_TABLE)}
    return {
        name: rope_table(config, range(context), factors)
        for name, (config, factors) in rotations.items()
    }


def test_meaning(converted: Converted) -> None:
    golden, model = converted.golden, converted.model
    rotations = tables(model, converted.case.context)
    interpreter = Interpreter(model.graph, model.dequantized, rotations)
    first = interpreter.evaluate(golden.tokens[:20].tolist())
    rest = interpreter.evaluate(golden.tokens[20:].tolist(), 20)
    logits = np.concatenate([first, rest])
    assert relative_error(logits[golden.prefill_at], golden.prefill) < TOLERANCE


@pytest.mark.parametrize("name", ["phi4", "gptneox"])
def test_parts_of_quantized_tensors(name: str, tmp_path: Path) -> None:
    golden, model = load(name), convert_case(name, tmp_path, FileType.Q8_0)
    assert TensorType.Q8_0 in {weight.type for weight in model.graph.weights()}
    session = Session(model, context=CONTEXT, ubatch=20, threads=2)
    logits = session.evaluate(golden.tokens, all_logits=True)
    interpreter = Interpreter(model.graph, model.dequantized, tables(model, CONTEXT))
    assert relative_error(logits, interpreter.evaluate(golden.tokens.tolist())) < 0.02


def test_context_beyond_learned_positions(tmp_path: Path) -> None:
    model = convert_case("gpt2", tmp_path)
    with pytest.raises(UsageError, match=f"positions for {CONTEXT} tokens"):
        Session(model, context=CONTEXT + 1)
