"""``pyllama run`` from end to end: what is on which stream, and what the options do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import COMMAND, FOLDER, call, environment, spawn
from tiny_model import write_model

QUIET = ("--no-perf", "--seed", "1")
PERF_LINES = 7


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights: its text is noise, but the same for the same seed."""
    return write_model(tmp_path_factory.mktemp("run") / "tiny.gguf")


def test_a_trained_model_continues_as_published(shared: Path) -> None:
    result = spawn(
        *("run", "-m", shared / "models/stories260K.gguf", "-p", "Once upon a time"),
        *("-n", "200", "--temp", "0"),
    )
    assert result.code == 0
    assert result.out == (shared / "models/stories260K.expected.txt").read_bytes()


def test_the_built_in_model_says_that_it_is_used() -> None:
    result = spawn("run", "-p", "def read_lines(path):", "-n", "8", *QUIET)
    assert result.code == 0
    assert result.out.startswith(b"def read_lines(path):")
    assert result.err.count("\n") == 1
    assert "built-in" in result.err


def test_stdout_is_prompt_text_and_newline(tiny: Path) -> None:
    whole = call("run", "-m", tiny, "-p", "Hello", "-n", "9", *QUIET)
    text = call("run", "-m", tiny, "-p", "Hello", "-n", "9", *QUIET, "--no-display-prompt")
    nothing = call("run", "-m", tiny, "-p", "Hello", "-n", "0", *QUIET)
    assert whole.out == b"Hello" + text.out
    assert text.out.endswith(b"\n")
    assert len(text.out) >= 9
    assert nothing.out == b"Hello\n"
    assert [result.err for result in (whole, text, nothing)] == ["", "", ""]


def test_the_timing_block_is_on_stderr(tiny: Path) -> None:
    result = call("run", "-m", tiny, "-p", "Hello", "-n", "9", "-s", "1")
    assert result.err.count("\n") == PERF_LINES
    assert re.search(r"^common_perf_print:  +load time = +[\d.]+ ms$", result.err, re.M)
    assert re.search(r"^common_perf_print:  +eval time = .* / +8 runs ", result.err, re.M)
    assert result.out == call("run", "-m", tiny, "-p", "Hello", "-n", "9", *QUIET).out


def test_seeds(tiny: Path) -> None:
    def text(*options: str) -> bytes:
        return call("run", "-m", tiny, "-p", "a", "-n", "24", "--no-perf", *options).out

    assert text("-s", "5") == text("--seed", "5") != text("-s", "6")
    assert text("--temp", "0") == text("--temperature", "0", "-s", "3")
    assert text("--top-k", "1") == text("--top_k=1", "-s", "-1")


def test_batches_and_threads_do_not_change_the_text(tiny: Path) -> None:
    def text(*options: str) -> bytes:
        prompt = "The quick brown fox" * 3
        return call("run", "-m", tiny, "-p", prompt, "-n", "16", *QUIET, *options).out

    expected = text()
    assert text("-b", "16", "-ub", "7") == expected
    assert text("-ub", "999") == expected
    assert text("-t", "1") == expected
    assert text("--threads", "3") == expected


def test_the_prompt_may_come_from_a_file_or_a_pipe(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "prompt.txt"
    file.write_bytes(b"Hel\\x6co\n")
    expected = call("run", "-m", tiny, "-p", "Hello", "-n", "5", *QUIET).out
    assert call("run", "-m", tiny, "-f", file, "-n", "5", *QUIET).out == expected
    piped = call("run", "-m", tiny, "-n", "5", *QUIET, stdin=b"Hello\n")
    assert piped.out == expected
    verbatim = call("run", "-m", tiny, "-f", file, "-n", "0", "--no-escape", *QUIET)
    assert verbatim.out == b"Hel\\x6co\n"


def test_without_an_end_the_context_is_filled(tiny: Path) -> None:
    result = call("run", "-m", tiny, "-p", "Hi", "--ignore-eos", "-c", "32", "-s", "1")
    assert result.code == 0
    assert "warning: the context of 32 tokens is full" in result.err
    runs = re.search(r"eval time = .* / +(\d+) runs", result.err)
    prompt = re.search(r"prompt eval time = .* / +(\d+) tokens", result.err)
    assert runs
    assert prompt
    assert int(runs[1]) + int(prompt[1]) == 32


def test_the_log_appears_when_asked_for(tiny: Path) -> None:
    call("run", "-m", tiny, "-p", "Hi", "-n", "2", "-c", "64", "--no-perf")  # fills the cache
    result = call("run", "-m", tiny, "-p", "Hi", "-n", "2", "-s", "42", "-v", "-c", "64")
    for line in (
        r"^threads = \d+ \(.+\)$",
        r"^isa = \w+ \(0 kernels compiled in 0.00 s\)$",
        r"^sampler seed: 42$",
        r"^sampler chain: logits -> top-k -> top-p -> min-p -> temp -> dist$",
        r"^generate: n_ctx = 64, ",
    ):
        assert re.search(line, result.err, re.M), line
    assert result.out == call("run", "-m", tiny, "-p", "Hi", "-n", "2", "-s", "42").out


def test_the_file_s_sampling_options_count(tmp_path: Path, tiny: Path) -> None:
    greedy = write_model(tmp_path / "greedy.gguf", {"general.sampling.temp": 0.0})
    arguments = ("-p", "Hi", "-n", "24", "--no-perf", "-s", "9")
    expected = call("run", "-m", tiny, *arguments, "--temp", "0").out
    assert call("run", "-m", greedy, *arguments).out == expected
    assert call("run", "-m", greedy, *arguments, "--temp", "1").out != expected


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locale")
def test_output_is_utf8_whatever_the_locale(tiny: Path) -> None:
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = spawn("run", "-m", tiny, "-p", "naïve ½ 漢", "-n", "9", *QUIET, env=env)
    assert (result.code, result.err) == (0, "")
    assert result.out.decode().startswith("naïve ½ 漢")


def start(*arguments: str | Path, stdout: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=FOLDER,
    )


def test_text_arrives_as_it_is_made_and_a_closed_pipe_ends_the_run(tiny: Path) -> None:
    endless = ("run", "-m", tiny, "-p", "Hi", "--ignore-eos", "-c", "100000")
    with start(*endless, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(3)[:2] == b"Hi"
        process.stdout.close()
        err = process.stderr.read().decode()
        assert process.wait(timeout=10) == 0
    assert "error" not in err
    assert "BrokenPipe" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(tiny: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("run", "-m", tiny, "-p", "Hi", *QUIET, stdout=full.fileno())
        err = process.communicate()[1].decode()
    assert process.returncode == 1
    assert err.startswith("error: standard output: no space left")
    assert err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_closed_streams(tiny: Path) -> None:
    command = f"'{sys.executable}' -m pyllama run -m '{tiny}' --no-perf -n 2"
    for arguments, code, line in (
        ("-p Hi >&-", 1, "error: standard output: is closed"),
        ("<&-", 2, "error: no prompt"),
    ):
        done = subprocess.run(
            f"{command} {arguments}", shell=True, capture_output=True, text=True, cwd=FOLDER
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(line)
        assert done.stderr.count("\n") == 1
    silent = subprocess.run(f"{command} -p Hi 2>&-", shell=True, capture_output=True, cwd=FOLDER)
    assert silent.returncode == 0
    assert silent.stdout.startswith(b"Hi")
