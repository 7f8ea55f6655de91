"""One line and an exit code for every kind of failure."""

from __future__ import annotations

import errno

import pytest

from pyllama.commands.failures import explained
from pyllama.errors import CapacityError, FileError, Interrupted, UsageError


@pytest.mark.parametrize(
    ("failure", "line", "code"),
    [
        (FileError("a.gguf", "is truncated", "get it again"), "a.gguf: is truncated; get it", 1),
        (CapacityError("does not fit"), "does not fit", 1),
        (UsageError("both"), "both", 2),
        (KeyboardInterrupt(), "interrupted", 130),
        (Interrupted("stopped"), "interrupted", 130),
        (MemoryError(), "not enough memory", 1),
        (OSError(errno.ENOSPC, "No space left on device", "x.bin"), "x.bin: no space left", 1),
        (OSError(errno.EIO, "Input/output error"), "input/output error", 1),
        (ValueError("odd"), "this is a bug in pyllama: ValueError: odd", 1),
        (FileError("a\n\x1b[2Jb", "is bad"), "a\\n\\x1b[2Jb: is bad", 1),
        (FileError("\udcff.gguf", "is bad"), "\\udcff.gguf: is bad", 1),
    ],
)
def test_failures(
    failure: BaseException, line: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, explained():
        raise failure
    assert ended.value.code == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1
    assert err.endswith("\n")


def test_a_traceback_under_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), explained(verbose=True):
        raise FileError("a.gguf", "is bad")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "error: a.gguf: is bad"


def test_an_exit_passes() -> None:
    with pytest.raises(SystemExit) as ended, explained():
        raise SystemExit(7)
    assert ended.value.code == 7
