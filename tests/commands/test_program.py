"""The program itself: help, version, wrong usage, and what it imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cli_runner import FOLDER, call, spawn


@pytest.mark.parametrize(
    "arguments", [["-h"], ["--help"], ["run", "--usage"], ["tokenize", "--help"]]
)
def test_help(arguments: list[str]) -> None:
    result = call(*arguments)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(b"Usage: pyllama")
    assert b"\x1b" not in result.out


def test_version() -> None:
    assert spawn("run", "--version").out == spawn("--version").out
    result = spawn("--version")
    assert (result.code, result.err) == (0, "")
    name, version = result.out.decode().split()
    assert name == "pyllama"
    assert version[0].isdigit()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nonsense"], "nonsense"),
        (["rnu"], "Did you mean 'run'"),
        (["--nonsense"], "no such option: --nonsense; see pyllama --help"),
        (["run", "--nonsense"], "no such option: --nonsense"),
        (["run", "-p"], "-p"),
        (["run", "-p", "a", "-n", "many"], "'-n'"),
        (["run", "-p", "a", "-n", "-3"], "'-n'"),
        (["run", "-p", "a", "-ub", "0"], "'-ub'"),
        (["run", "-p", "a", "-t", "513"], "'-t'"),
        (["run", "-p", "a", "--top-p", "1.5"], "--top-p 1.5 is out of range; give 0 to 1"),
        (["run", "-p", "a", "-s", "4294967296"], "--seed 4294967296"),
        (["run", "-p", "a", "-f", "b"], "-p and -f"),
        (["run", "-p", "a", "surplus"], "surplus"),
    ],
)
def test_wrong_usage(arguments: list[str], complaint: str) -> None:
    result = call(*arguments)
    assert (result.code, result.out) == (2, b"")
    assert complaint in result.err
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1


def test_no_arguments_show_the_help() -> None:
    result = call()
    assert result.code == 2
    assert "Usage: pyllama" in result.out.decode() + result.err


HEAVY = {
    *("numpy", "llvmlite", "rich", "prompt_toolkit"),
    *("transformers", "huggingface_hub", "tokenizers", "jinja2"),
}


def imported_by(code: str) -> set[str]:
    """Which heavy packages a script has imported at its end."""
    script = f"{code}\nimport sys; print(*({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_a_command_imports_no_other() -> None:
    script = "import sys; from pyllama.commands.program import program"
    done = subprocess.run(
        [sys.executable, "-c", f"{script}; program().commands['tokenize']; print(*sys.modules)"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(done.stdout.split())
    assert "pyllama.commands.tokenize" in imported
    assert not imported & {"pyllama.commands.run", "pyllama.commands.bench"}


def test_only_what_is_needed_is_imported() -> None:
    assert imported_by("import pyllama.commands.program") == set()
    run = (
        "import pyllama.model, pyllama.session, pyllama.generation, pyllama.sampling, "
        "pyllama.interrupt, pyllama.threads, pyllama.commands.program"
    )
    assert not imported_by(run) & {"rich", "prompt_toolkit", "transformers", "huggingface_hub"}
