"""The script that compares with llama-quantize, with a program that only pretends to be it."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from small_model import weights, write_model

from pyllama.errors import PyllamaError
from pyllama.gguf import TensorType

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

PRETENDING = """\
#!{python}
import sys
from pyllama.commands.app import main
sys.argv[1:1] = ["quantize"]
main()
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("compare_llama_quantize")


def test_likeness_of_files(script: ModuleType, model_path: Path, tmp_path: Path) -> None:
    values = weights()
    write_model(tmp_path / "a.gguf", values, TensorType.Q8_0)
    values["output.weight"][0, 0] += 1
    write_model(tmp_path / "b.gguf", values, TensorType.Q8_0)
    write_model(tmp_path / "c.gguf", values, TensorType.Q4_0)
    same = script.likeness(model_path, tmp_path / "a.gguf", tmp_path / "a.gguf")
    assert (same.share, same.error_ratio, same.other_types) == (1, 1, 0)
    matrices = [array for array in values.values() if array.ndim > 1]
    assert same.blocks == sum(array.size for array in matrices) // 32
    other = script.likeness(model_path, tmp_path / "a.gguf", tmp_path / "b.gguf")
    assert other.equal == other.blocks - 1
    assert other.error_ratio < 1
    third = script.likeness(model_path, tmp_path / "a.gguf", tmp_path / "c.gguf")
    assert (third.blocks, third.other_types) == (0, len(matrices))


def test_types_that_are_possible(script: ModuleType, model_path: Path) -> None:
    possible = script.possible_types(model_path, None)
    assert {"F16", "Q4_K_M", "IQ4_XS"} < set(possible)
    assert "IQ1_S" not in possible


@pytest.mark.skipif(sys.platform == "win32", reason="the pretending program is a script")
def test_a_row_for_each_type(script: ModuleType, model_path: Path, tmp_path: Path) -> None:
    program = tmp_path / "llama-quantize"
    program.write_text(PRETENDING.format(python=sys.executable))
    program.chmod(0o755)
    given = argparse.Namespace(
        llama_quantize=program, model=model_path, types=["Q8_0"], threads=1, imatrix=None, rounds=1
    )
    ((name, ours, theirs, _, share, ratio),) = script.comparison(given, tmp_path)
    assert (name, share, ratio) == ("Q8_0", "100.0000 %", "1.000000")
    assert float(ours) > 0 < float(theirs)


def test_a_program_that_fails(script: ModuleType, model_path: Path, tmp_path: Path) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no such type')")
    program = script.Program("llama.cpp", command, tmp_path / "out.gguf")
    with pytest.raises(PyllamaError, match=r"llama\.cpp failed with 1: no such type"):
        program.run(model_path, "Q9", 1)


def test_files_of_different_tensors(script: ModuleType, model_path: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "a.gguf", {"output.weight": np.zeros((2, 256), np.float32)})
    with pytest.raises(PyllamaError, match="do not have the same tensors"):
        script.likeness(model_path, tmp_path / "a.gguf", model_path)
