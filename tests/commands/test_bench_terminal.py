"""Progress of a benchmark on a terminal, and Ctrl-C in the middle of one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runner import COMMAND, FOLDER, environment
from tiny_model import write_model

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("bench_terminal") / "tiny.gguf")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a pseudo-terminal."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_one_line_that_goes_away(model: Path, terminal: tuple[int, int]) -> None:
    leader, follower = terminal
    options = ("-m", str(model), "-p", "8", "-n", "2", "-r", "2", "-t", "1", "-o", "jsonl")
    done = subprocess.run(
        [*COMMAND, "bench", *options],
        stdout=subprocess.PIPE,
        stderr=follower,
        stdin=subprocess.DEVNULL,
        env=environment(COLUMNS="60"),
        cwd=FOLDER,
        check=True,
    )
    shown = os.read(leader, 65536).decode()
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert "\rbenchmark 1/2, pp8: warm-up" in shown
    assert "\rbenchmark 2/2, tg2: repetition 2/2, 0 s left" in shown
    assert shown.endswith("\r")
    assert max(len(part.rstrip()) for part in shown.split("\r")) < 60
    assert not shown.rsplit("\r", 2)[1].strip(), "the line is wiped at the end"
    assert done.stdout.count(b"\n") == 2


def test_ctrl_c_leaves_whole_results(model: Path) -> None:
    options = ("-m", str(model), "-p", "8", "-n", "100000", "-r", "1000", "-t", "1", "-o", "json")
    process = subprocess.Popen(
        [*COMMAND, "bench", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # what is not read below is left to communicate()
        env=environment(),
        cwd=FOLDER,
    )
    assert process.stdout is not None
    first = process.stdout.read(1)  # comes when the first of the two tests is done
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.decode() == "error: interrupted\n"
    assert (first + rest).startswith(b"[\n  {\n")
    assert (first + rest).endswith(b"\n  }\n]\n")
