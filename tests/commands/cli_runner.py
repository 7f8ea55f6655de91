"""Runs ``pyllama``: as a user does, in a process of its own, or quicker, inside this one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pyllama.commands.app import main

COMMAND = (sys.executable, "-m", "pyllama")
FOLDER = Path(__file__).parent  # no folder in which ``pyllama`` is a package

_STEERING = ("NO_COLOR", "FORCE_COLOR", "PYTHONUTF8", "PYTHONIOENCODING", "LC_ALL")


@dataclass(frozen=True)
class Result:
    """What a finished run left behind."""

    code: int
    out: bytes
    err: str


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what steers colours and encodings, and with ``extra``."""
    return {key: value for key, value in os.environ.items() if key not in _STEERING} | extra


def spawn(
    *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None
) -> Result:
    """Run a process to its end, all streams pipes."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=environment(**(env or {})),
        cwd=FOLDER,
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr.decode())


def call(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """Run ``main`` in this process; the streams look like pipes to it."""
    out, err = io.BytesIO(), io.StringIO()
    streams: dict[str, Any] = {
        "stdin": io.TextIOWrapper(io.BytesIO(stdin)),
        "stdout": io.TextIOWrapper(out, write_through=True),
        "stderr": err,
        "argv": ["pyllama", *map(str, arguments)],
    }
    with patch.multiple(sys, **streams):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return Result(code, out.getvalue(), err.getvalue())


def one_line_error(result: Result) -> str:
    """The text behind ``error:``, the only line of a failed run; the run wrote nothing else."""
    assert result.code == 1, result
    assert result.out == b""
    lines = result.err.splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")
