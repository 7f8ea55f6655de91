"""With a terminal: the same bytes on stdout, colour only for errors and only when welcome."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_runner import COMMAND, FOLDER, environment, spawn
from tiny_model import write_model

pexpect = pytest.importorskip("pexpect")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")

ESCAPE = b"\x1b"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("terminal") / "tiny.gguf")


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a pseudo-terminal."""
    ends = os.openpty()
    yield ends
    for end in ends:
        os.close(end)


def read_terminal(leader: int) -> bytes:
    """What was written to it; the terminal turns each newline into two characters."""
    os.set_blocking(leader, False)
    written = b""
    try:
        while piece := os.read(leader, 65536):
            written += piece
    except (BlockingIOError, OSError):
        pass
    return written.replace(b"\r\n", b"\n")


def test_stdout_is_the_same_with_and_without_a_terminal(
    tiny: Path, terminal: tuple[int, int]
) -> None:
    arguments = ("run", "-m", str(tiny), "-p", "Hello", "-n", "20", "-s", "3")
    leader, follower = terminal
    subprocess.run(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.DEVNULL,
        env=environment(TERM="xterm-256color"),
        cwd=FOLDER,
        check=True,
    )
    assert read_terminal(leader) == spawn(*arguments).out


@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_errors_are_coloured_only_on_a_willing_terminal(
    env: dict[str, str], coloured: bool, terminal: tuple[int, int]
) -> None:
    leader, follower = terminal
    done = subprocess.run(
        [*COMMAND, "run", "-m", "/absent.gguf", "-p", "a"],
        stdout=subprocess.PIPE,
        stderr=follower,
        env=environment(**env),
        cwd=FOLDER,
        check=False,
    )
    written = read_terminal(leader)
    assert (done.returncode, done.stdout) == (1, b"")
    assert (ESCAPE in written) == coloured
    assert b"/absent.gguf: no such file or directory" in written


def test_no_colour_without_a_terminal_even_when_forced() -> None:
    result = spawn("run", "-m", "/absent.gguf", "-p", "a", env={"FORCE_COLOR": "1"})
    assert "\x1b" not in result.err


def interactive(*arguments: str) -> Any:
    """A run at a terminal of its own; without colour, which would be in the way of matching."""
    env = environment(TERM="xterm-256color", NO_COLOR="1")
    return pexpect.spawn(COMMAND[0], [*COMMAND[1:], *arguments], cwd=str(FOLDER), env=env)


def test_a_terminal_as_stdin_gives_no_prompt(tiny: Path) -> None:
    child = interactive("run", "-m", str(tiny))
    child.expect("error: no prompt; give -p TEXT")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


def test_ctrl_c_at_a_terminal_leaves_it_sane(tiny: Path) -> None:
    endless = ("-p", "Hi", "--ignore-eos", "-c", "100000", "--no-perf")
    child = interactive("run", "-m", str(tiny), *endless)
    child.expect("Hi..")
    before = termios_of(child.child_fd)
    child.sendintr()
    child.expect("\r\nerror: interrupted\r\n", timeout=5)
    child.expect(pexpect.EOF)
    assert termios_of(child.child_fd) == before
    child.close()
    assert child.exitstatus == 130


def termios_of(descriptor: int) -> object:
    import termios

    return termios.tcgetattr(descriptor)
