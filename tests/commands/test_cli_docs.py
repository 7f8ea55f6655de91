"""docs/cli.md says what the commands say of themselves."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent.parent / "scripts"


def test_the_reference_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    make_cli_docs = importlib.import_module("make_cli_docs")
    written = make_cli_docs.PATH.read_text(encoding="utf-8")
    assert written == make_cli_docs.document(), "run scripts/make_cli_docs.py"
    for name in (
        "## pyllama run",
        "`-m, --model FILE`",
        "`--lora FILE`",
        "`--control-vector`",
        "LLAMA_ARG_N_PREDICT",
    ):
        assert name in written
    bench = written[written.index("## pyllama bench") :]
    assert "### Options of llama.cpp without effect" in bench, "not those of run alone"
