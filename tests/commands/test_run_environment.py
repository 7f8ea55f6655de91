"""``LLAMA_ARG_*`` variables, and where the log goes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from cli_runner import call, spawn
from tiny_model import write_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("environment") / "tiny.gguf")


def test_variables_are_options(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_MODEL", str(tiny))
    monkeypatch.setenv("LLAMA_ARG_N_PREDICT", "3")
    monkeypatch.setenv("LLAMA_ARG_PERF", "disabled")
    result = call("run", "-p", "Hi", "-s", "1")
    assert (result.code, result.err) == (0, "")
    assert len(result.out.decode()) == len("Hi") + 3 + 1
    assert os.environ["LLAMA_ARG_PERF"] == "disabled"


def test_the_command_line_comes_first(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_N_PREDICT", "3")
    result = call("run", "-m", tiny, "-p", "Hi", "-n", "5", "--no-perf", "-s", "1")
    assert len(result.out.decode()) == len("Hi") + 5 + 1
    assert result.err == (
        "warning: the environment variable LLAMA_ARG_N_PREDICT is set, but will be overwritten by "
        "the command line argument --n-predict\n"
    )


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("LLAMA_ARG_PERF", "off", 0),
        ("LLAMA_ARG_PERF", "0", 0),
        ("LLAMA_ARG_PERF", "ENABLED", 7),
        ("LLAMA_ARG_PERF", "true", 7),
        ("LLAMA_ARG_NO_PERF", "anything", 0),
    ],
)
def test_yes_and_no(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, lines: int
) -> None:
    monkeypatch.setenv(name, value)
    result = call("run", "-m", tiny, "-p", "Hi", "-n", "1")
    assert (result.code, result.err.count("\n")) == (0, lines)


def test_a_bad_value_names_the_variable(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMA_ARG_N_PREDICT", "many")
    result = call("run", "-m", tiny, "-p", "Hi")
    assert result.code == 2
    assert "LLAMA_ARG_N_PREDICT" in result.err


def test_a_log_file(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "log"
    common = ("run", "-m", tiny, "--log-file", file, "-n", "2", "-s", "1")
    result = call(*common, "-p", "Hi", "-lv", "3")
    assert file.read_text() == result.err
    assert result.out == call("run", "-m", tiny, "-n", "2", "-s", "1", "-p", "Hi").out
    assert "sampler seed: 1\n" in result.err
    failed = call(*common, "-p", "a" * 9, "-c", "8")
    assert failed.code == 1
    assert file.read_text() == result.err + failed.err, "it is appended to"
    unwritable = call("run", "-m", tiny, "-p", "Hi", "--log-file", tmp_path)
    assert (unwritable.code, unwritable.out) == (1, b"")
    assert unwritable.err.startswith(f"error: {tmp_path}: is a directory")


def test_how_much_is_said(tiny: Path) -> None:
    def lines(*options: str) -> list[str]:
        run = ("run", "-m", tiny, "-p", "Hi", "-n", "-1", "-c", "16", "--ignore-eos", "-s", "1")
        return call(*run, *options).err.splitlines()

    assert lines("--log-disable") == lines("-lv", "0") == lines("-lv", "1") == []
    assert len(lines()) == len(lines("-lv", "2")) == 8
    assert len(lines("-lv", "3")) > 8
    assert lines("-lv", "5")[0].startswith("loading ")


def test_prefixes(tiny: Path) -> None:
    run = ("run", "-m", tiny, "-p", "Hi", "-n", "-1", "-c", "16", "--ignore-eos", "-lv", "3")
    log = call(*run, "--log-prefix", "--log-timestamps").err
    assert re.search(r"^\d+\.\d\d\.\d{3}\.\d{3} I loading ", log, re.M)
    assert re.search(r"^\d+\.\d\d\.\d{3}\.\d{3} W warning: the context of 16", log, re.M)
    assert re.search(r"^\d+\.\d\d\.\d{3}\.\d{3} I common_perf_print: ", log, re.M)
    assert re.search(r"^I loading ", call(*run, "--log-prefix").err, re.M)


def test_colour_when_it_is_insisted_on() -> None:
    arguments = ("run", "-m", "/absent.gguf", "-p", "a", "--log-colors")
    assert "\x1b[" in spawn(*arguments, "on").err
    assert "\x1b" not in spawn(*arguments, "off").err


def test_the_shell_can_complete_names() -> None:
    assert b"--install-completion" in call("--help").out
    shown = spawn(
        env={"_PYLLAMA_COMPLETE": "complete_bash", "COMP_WORDS": "pyllama to", "COMP_CWORD": "1"}
    )
    assert shown.out.split() == [b"tokenize"]
