"""Ctrl-C in every phase: gone within 200 ms, exit code 130, one line said about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from cli_runner import COMMAND, FOLDER, environment
from tiny_model import write_model

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

ALLOWED = 0.2
"""Seconds from the signal to the end of the process, on a machine with nothing else to do."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("ctrl_c") / "tiny.gguf")


class Run:
    """A run under way, whose streams are pipes."""

    def __init__(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "run", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(**(env or {})),
            cwd=FOLDER,
        )

    def wait_for_stdout(self, count: int) -> None:
        assert self.process.stdout
        os.read(self.process.stdout.fileno(), 1)
        for _ in range(count - 1):
            os.read(self.process.stdout.fileno(), 1)

    def interrupt(self) -> tuple[float, str]:
        """Press Ctrl-C; seconds until the process was gone, and what stderr held."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=30)
        return time.monotonic() - start, err.decode()


def check(seconds: float, err: str, run: Run) -> None:
    assert run.process.returncode == 130, err
    assert err.splitlines()[-1] == "error: interrupted"
    assert seconds < ALLOWED


def test_in_generation(tiny: Path) -> None:
    run = Run("-m", tiny, "-p", "Hi", "--ignore-eos", "-c", "100000")
    run.wait_for_stdout(10)
    seconds, err = run.interrupt()
    check(seconds, err, run)
    assert "eval time" in err, "the timings of what was done are shown"


def test_in_prefill(tiny: Path, tmp_path: Path) -> None:
    prompt = tmp_path / "long.txt"
    prompt.write_text("many words " * 8000)
    run = Run("-m", tiny, "-f", prompt, "-c", "100000", "-n", "0")
    run.wait_for_stdout(1)  # the echo of the prompt comes just before
    time.sleep(0.3)
    seconds, err = run.interrupt()
    check(seconds, err, run)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6])
def test_in_load(tiny: Path, tmp_path: Path, delay: float) -> None:
    """With an empty kernel cache, so that loading compiles."""
    run = Run("-m", tiny, "-p", "Hi", "-v", env={"PYLLAMA_CACHE": str(tmp_path)})
    assert run.process.stderr
    os.read(run.process.stderr.fileno(), 7)  # "loading", before anything large is imported
    time.sleep(delay)
    seconds, err = run.interrupt()
    check(seconds, err, run)
