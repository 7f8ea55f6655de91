"""``-hf`` and ``-mu`` from end to end, against a stand-in hub."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runner import COMMAND, FOLDER, Result, environment, spawn
from hub.hub_server import Hub, Repository, serving
from tiny_model import write_model

ARGUMENTS = ("-p", "Hi", "-n", "4", "-s", "1", "--no-perf")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A hub with one model."""
    model = write_model(tmp_path / "model.gguf").read_bytes()
    with serving() as running:
        running.repositories["u/m"] = Repository({"m-Q4_K_M.gguf": model})
        yield running


def variables(hub: Hub, folder: Path) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_CACHE": str(folder / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "*",
        "LLAMA_CACHE": "",
        "HF_TOKEN": "",
        "HF_HUB_OFFLINE": "",
    }


def test_a_model_of_a_hub(hub: Hub, tmp_path: Path) -> None:
    def run(*options: str) -> Result:
        return spawn("run", *ARGUMENTS, *options, env=variables(hub, tmp_path))

    expected = spawn("run", "-m", tmp_path / "model.gguf", *ARGUMENTS).out
    first = run("-hf", "u/m")
    assert (first.code, first.out) == (0, expected)
    assert first.err.startswith("downloading m-Q4_K_M.gguf, ")
    assert first.err.count("\n") == 1
    asked = len(hub.asked)
    offline = run("-hf", "u/m:Q4_K_M", "--offline")
    assert (offline.code, offline.out, offline.err) == (0, expected, "")
    assert len(hub.asked) == asked
    listed = run("-cl")
    assert b"u/m:Q4_K_M" in listed.out
    assert b"m-Q4_K_M.gguf" in listed.out


def test_what_the_hub_does_not_have(hub: Hub, tmp_path: Path) -> None:
    for options, words in (
        (("-hf", "u/m:Q9"), ("u/m", "Q9", "Q4_K_M")),
        (("-hf", "u/other"), ("u/other",)),
        (("-hf", "u/m", "-hff", "x.gguf"), ("x.gguf", "m-Q4_K_M.gguf")),
    ):
        result = spawn("run", *ARGUMENTS, *options, env=variables(hub, tmp_path))
        assert (result.code, result.out) == (1, b"")
        assert result.err.count("\n") == 1
        assert all(word in result.err for word in words)


def test_no_network(hub: Hub, tmp_path: Path) -> None:
    nobody = variables(hub, tmp_path) | {"HF_ENDPOINT": "http://127.0.0.1:9"}
    result = spawn("run", *ARGUMENTS, "-hf", "u/m", env=nobody)
    assert (result.code, result.out) == (1, b"")
    assert result.err.startswith("error: u/m: ")
    assert result.err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_a_bar_at_a_terminal(hub: Hub, tmp_path: Path) -> None:
    import subprocess

    leader, follower = os.openpty()
    done = subprocess.run(
        [*COMMAND, "run", *ARGUMENTS, "-hf", "u/m"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=follower,
        env=environment(TERM="xterm-256color", COLUMNS="100", **variables(hub, tmp_path)),
        cwd=FOLDER,
        check=True,
    )
    os.close(follower)
    shown = b""
    os.set_blocking(leader, False)
    try:
        while piece := os.read(leader, 65536):
            shown += piece
    except OSError:
        pass
    os.close(leader)
    assert done.stdout.startswith(b"Hi")
    assert b"m-Q4_K_M.gguf" in shown
    assert b"\x1b[?25h" in shown, "the cursor is shown again"
    assert b"downloading" not in shown
