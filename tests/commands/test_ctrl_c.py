"""Ctrl-C in every phase: gone within 200 ms, exit code 130, one line said about it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import IO

import pytest
from cli_runner import COMMAND, FOLDER, environment
from tiny_model import write_model

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

ALLOWED = 0.2
"""Seconds from the signal to the end of the process."""

TRIES = 4
"""A busy machine may take longer without any fault of ours, but hardly every time."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("ctrl_c") / "tiny.gguf")


def interrupted(
    arguments: Sequence[str | Path], ready: Callable[[Popen[bytes]], None], **env: str
) -> str:
    """Press Ctrl-C in a run that is ``ready``; what it wrote to stderr, once it ended in time."""
    for _ in range(TRIES):
        process = Popen(
            [*COMMAND, "run", *map(str, arguments)],
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=environment(**env),
            cwd=FOLDER,
        )
        ready(process)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=30)[1].decode()
        seconds = time.monotonic() - start
        assert process.returncode == 130, err
        assert err.splitlines()[-1] == "error: interrupted"
        if seconds < ALLOWED:
            return err
    pytest.fail(f"{seconds:.2f} s after Ctrl-C the process still ran")


def written(stream: IO[bytes] | None, count: int) -> None:
    """Wait for so many bytes."""
    assert stream
    while count:
        count -= len(os.read(stream.fileno(), count))


def test_in_generation(tiny: Path) -> None:
    endless = ("-m", tiny, "-p", "Hi", "--ignore-eos", "-c", "100000")
    err = interrupted(endless, lambda process: written(process.stdout, 20))
    assert "eval time" in err, "the timings of what was done are shown"
    assert "Traceback" not in err


def test_in_prefill(tiny: Path, tmp_path: Path) -> None:
    prompt = tmp_path / "long.txt"
    prompt.write_text("many words " * 8000)

    def ready(process: Popen[bytes]) -> None:
        written(process.stdout, 88000)  # the echo of the prompt comes just before
        time.sleep(0.2)

    err = interrupted(("-m", tiny, "-f", prompt, "-c", "100000", "-n", "0"), ready)
    assert "prompt eval time =" in err
    assert "/     0 tokens" in err


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6])
def test_in_load(tiny: Path, tmp_path: Path, delay: float) -> None:
    """With an empty kernel cache, so that loading compiles."""

    def ready(process: Popen[bytes]) -> None:
        written(process.stderr, 7)  # "loading", before anything large is imported
        time.sleep(delay)

    endless = ("-m", tiny, "-p", "Hi", "--ignore-eos", "-c", "100000", "-v")
    interrupted(endless, ready, PYLLAMA_CACHE=str(tmp_path))
