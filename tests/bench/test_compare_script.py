"""The script that lets pyllama and llama-bench take turns, with programs that only pretend."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pyllama.errors import FileError, PyllamaError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("compare_llama_cpp")


def program(script: ModuleType, name: str, code: str) -> Any:
    return script.Program(name, (sys.executable, "-c", code))


def saying(*speeds: float) -> str:
    """Code that writes results as llama-bench does: a prompt, and a generation twice as fast."""
    both = [
        {"n_prompt": 8, "n_gen": 0, "n_depth": 0, "samples_ts": list(speeds)},
        {"n_prompt": 0, "n_gen": 2, "n_depth": 4, "samples_ts": [2 * s for s in speeds]},
    ]
    return f"print({json.dumps(both)!r})"


def test_turns_and_the_table(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    programs = [
        program(script, "pyllama", saying(30.0, 20.0, 90.0)),
        program(script, "llama.cpp", saying(10.0, 15.0, 20.0)),
    ]
    rounds = list(script.take_turns(programs, lambda p: p.run(["-p", "8"]), 2))
    assert rounds == [({(8, 0, 0): 30.0, (0, 2, 4): 60.0}, {(8, 0, 0): 15.0, (0, 2, 4): 30.0})] * 2
    assert capsys.readouterr().out == ""
    rounds[1] = ({(8, 0, 0): 60.0, (0, 2, 4): 60.0}, rounds[1][1])
    header, prompt, generation = script.comparison(rounds, ["pyllama", "llama.cpp"]).splitlines()
    assert header.split() == ["test", "pyllama", "t/s", "llama.cpp", "t/s", "ratio"]
    assert [cell.strip() for cell in prompt.split("  ") if cell] == [
        "pp8",
        "45.00 (30.00 to 60.00)",
        "15.00 (15.00 to 15.00)",
        "3.00 (2.00 to 4.00)",
    ]
    assert generation.startswith("tg2 @ d4")
    assert generation.endswith("2.00 (2.00 to 2.00)")


def test_who_comes_first_changes(script: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "open({!r}, 'a').write({!r}); {}"
    names = ("a", "b")
    programs = [program(script, n, code.format(str(log), n, saying(1.0))) for n in names]
    assert len(list(script.take_turns(programs, lambda p: p.run([]), 3))) == 3
    assert log.read_text() == "abbaab"


def test_programs_that_fail(script: ModuleType) -> None:
    failing = program(script, "llama.cpp", "import sys; sys.exit('no such model')")
    with pytest.raises(PyllamaError, match=r"llama\.cpp failed with 1: no such model"):
        failing.run([])
    with pytest.raises(FileError, match="is not JSON"):
        program(script, "llama.cpp", "print('hello')").run([])
