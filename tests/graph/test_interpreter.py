"""The native runtime computes what the NumPy meanings of the ops say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from models.cases import CASES
from models.tiny import write_tiny

from pyllama.graph.interpreter import Interpreter
from pyllama.model import Model
from pyllama.models.rope_table import depends_on_length, rope_table
from pyllama.session import Session

PLAIN = [case for case in CASES if "dynamic" not in case.name]


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.name)
def test_session_agrees_with_the_interpreter(case, tmp_path: Path) -> None:
    write_tiny(case, tmp_path / "tiny.gguf")
    model = Model.load(tmp_path / "tiny.gguf")
    assert not depends_on_length(model.config.rope)
    session = Session(model, context=128, ubatch=32, threads=2, cache_type="f32")
    config, factors = model.rope("rope", 128)
    table = rope_table(config, range(128), factors)
    interpreter = Interpreter(model.graph, model.dequantized, {"rope": table})
    tokens = np.random.default_rng(1).integers(0, model.n_vocab, 50)
    for part in (slice(0, 37), slice(37, 38), slice(38, 43), slice(43, 50)):
        native = session.evaluate(tokens[part], all_logits=True)
        meaning = interpreter.evaluate(tokens[part], part.start)
        assert np.abs(native - meaning).max() <= 1e-5 * np.abs(meaning).max()
