"""Progress of a measurement on a terminal, and Ctrl-C in the middle of one."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import COMMAND, FOLDER, environment
from tiny_model import write_model

pexpect = pytest.importorskip("pexpect", reason="needs pseudo-terminals")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")

TEXT = "\n".join(f"value_{n} = {n * n}" for n in range(300))


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("perplexity_terminal")
    (folder / "text.txt").write_text(TEXT)
    model = write_model(folder / "tiny.gguf")
    return ["-m", str(model), "-f", str(folder / "text.txt"), "-t", "1"]


def test_the_status_and_the_result_share_a_terminal(options: list[str]) -> None:
    command = [*COMMAND, "perplexity", *options, "-c", "32", "--chunks", "3"]
    child = pexpect.spawn(
        command[0], command[1:], dimensions=(24, 110), timeout=60, cwd=str(FOLDER),
        env=environment(),
    )  # fmt: skip
    shown = child.read().decode()
    child.close()
    assert child.exitstatus == 0
    assert "\x1b" not in shown
    assert re.search(
        r"\rperplexity: 1/3, PPL = [\d.]+ \+/- [\d.]+, [\d.]+ tokens per second", shown
    )
    wiped = shown.split("\r")
    place = next(i for i, part in enumerate(wiped) if part.startswith("[1]"))
    assert not wiped[place - 1].strip(), "the status is wiped before the result"
    assert re.fullmatch(r"\[1\][\d.]+,\[2\][\d.]+,\[3\][\d.]+,", wiped[place])


def test_ctrl_c_leaves_whole_lines_and_the_state(options: list[str], tmp_path: Path) -> None:
    state = tmp_path / "state"
    more = ("-c", "8", "--ppl-stride", "1", "--resume", str(state))
    process = subprocess.Popen(
        [*COMMAND, "perplexity", *options, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        env=environment(),
        cwd=FOLDER,
    )
    assert process.stdout is not None
    first = process.stdout.read(4)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.decode().splitlines()[-1] == "error: interrupted"
    assert (first + rest).startswith(b"[1]")
    assert (first + rest).endswith(b",\n")
    written = (first + rest).count(b"[")
    assert written <= len(state.read_bytes().splitlines()) - 1 <= written + 1
