"""``--prompt-cache``: what is kept, what is used of it, and files that are not to be used."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from cli_runner import COMMAND, FOLDER, Result, call, environment, one_line_error
from tiny_model import Metadata, Tensors, write_model

PROMPT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("prompt_cache") / "tiny.gguf")


def run(model: Path, *options: str | Path, prompt: str = PROMPT) -> Result:
    quiet = ("-n", "8", "--temp", "0", "--no-perf")
    return call("run", "-m", model, "-p", prompt, *quiet, *options)


def cached(model: Path, cache: Path, prompt: str = PROMPT, *options: str) -> tuple[int, int]:
    """How many tokens of the prompt the file had, and how many the prompt has."""
    result = run(model, "--prompt-cache", cache, "-lv", "3", *options, prompt=prompt)
    assert result.code == 0, result
    found = re.search(r"n_prompt = (\d+), n_cached = (\d+)", result.err)
    assert found
    return int(found[2]), int(found[1])


def test_a_second_run_evaluates_only_the_last_token(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "prompt.cache"
    without = run(tiny)
    first = run(tiny, "--prompt-cache", cache)
    size = cache.stat().st_size
    second = run(tiny, "--prompt-cache", cache)
    assert first.out == second.out == without.out
    assert cached(tiny, cache) == (45, 46)
    assert cache.stat().st_size == size
    assert [path.name for path in tmp_path.iterdir()] == [cache.name]


def test_the_common_beginning_counts(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "prompt.cache"
    run(tiny, "--prompt-cache", cache)
    longer, other = PROMPT + " And on.", PROMPT[:20] + "!"
    assert cached(tiny, cache, longer, "--prompt-cache-ro") == (46, 54)
    assert run(tiny, "--prompt-cache", cache, prompt=longer).out == run(tiny, prompt=longer).out
    assert cached(tiny, cache, PROMPT, "--prompt-cache-ro") == (45, 46)
    assert cached(tiny, cache, other) == (22, 23)
    assert cached(tiny, cache, "x") == (2, 3)


def test_all_keeps_the_text_too(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "prompt.cache"
    text = run(tiny, "--prompt-cache", cache, "--prompt-cache-all").out.decode()
    kept, count = cached(tiny, cache, text.removesuffix("\n"), "--prompt-cache-ro")
    assert (kept, count) == (53, 54)


def test_read_only(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "prompt.cache"
    run(tiny, "--prompt-cache", cache, "--prompt-cache-ro")
    assert not cache.exists()
    run(tiny, "--prompt-cache", cache, prompt="other")
    before = cache.read_bytes()
    run(tiny, "--prompt-cache", cache, "--prompt-cache-ro")
    assert cache.read_bytes() == before


def test_another_model_s(tiny: Path, tmp_path: Path) -> None:
    def other(_: Metadata, tensors: Tensors) -> None:
        tensors["blk.0.attn_k.weight"] = tensors["blk.0.attn_k.weight"] * 1.5

    cache = tmp_path / "prompt.cache"
    sibling = write_model(tmp_path / "other.gguf", change=other)
    run(sibling, "--prompt-cache", cache)
    error = one_line_error(run(tiny, "--prompt-cache", cache))
    assert error.startswith(f"{cache}: is the prompt cache of another model")
    run(tiny, "--prompt-cache", cache.with_suffix(".f32"), "-ctk", "f32")
    assert "other cache types" in run(tiny, "--prompt-cache", cache.with_suffix(".f32")).err
    assert "another model" in run(sibling, "--prompt-cache", cache, "--rope-freq-base", "9").err


def test_damaged_files(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "prompt.cache"
    run(tiny, "--prompt-cache", cache)
    whole = cache.read_bytes()
    for content, problem in {
        b"": "no prompt cache",
        b"GGUF" + whole: "no prompt cache",
        whole[:30]: "no prompt cache",
        whole[:-1]: "damaged",
        whole + b"\0": "damaged",
        whole[:-1] + bytes([whole[-1] ^ 1]): "damaged",
        whole[:8] + b"\x09" + whole[9:]: "version 9",
        whole[:12] + b"\xff\xff\xff\xff" + whole[16:]: "damaged",
        whole[:12] + b"\x01\x00\x00\x00" + whole[16:]: "damaged",
    }.items():
        cache.write_bytes(content)
        error = one_line_error(run(tiny, "--prompt-cache", cache))
        assert error.startswith(f"{cache}: ")
        assert problem in error
        assert "; delete it, or name another file" in error
        assert cache.read_bytes() == content


def test_a_directory_that_does_not_exist_is_missed_at_once(tiny: Path, tmp_path: Path) -> None:
    error = one_line_error(run(tiny, "--prompt-cache", tmp_path / "absent" / "prompt.cache"))
    assert error.endswith("the directory does not exist; make it, or name another file")
    assert cached(tiny, tmp_path / "x", "", "--prompt-cache-ro")[0] == 0


def test_an_empty_prompt_is_kept_like_any_other(tiny: Path, tmp_path: Path) -> None:
    cache = tmp_path / "prompt.cache"
    assert run(tiny, "--prompt-cache", cache, prompt="").code == 0
    assert cached(tiny, cache, "") == (0, 1)


def test_a_directory(tiny: Path, tmp_path: Path) -> None:
    assert "directory" in one_line_error(run(tiny, "--prompt-cache", tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="limits file sizes as POSIX does")
def test_a_full_disk(tiny: Path, tmp_path: Path) -> None:
    import resource
    import signal
    import subprocess

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    cache = tmp_path / "prompt.cache"
    arguments = ("run", "-m", tiny, "-p", PROMPT, "--prompt-cache", cache, "--no-perf", "-n", "8")
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        cwd=FOLDER,
        preexec_fn=limit,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == PROMPT + "\n"
    assert done.stderr.startswith(f"error: {cache}: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--prompt-cache-all",), "--prompt-cache-all needs --prompt-cache FILE"),
        (("--prompt-cache-ro",), "--prompt-cache-ro needs --prompt-cache FILE"),
        (
            ("--prompt-cache", "x", "--prompt-cache-all", "--prompt-cache-ro"),
            "--prompt-cache-all and --prompt-cache-ro contradict",
        ),
    ],
)
def test_contradictions(tiny: Path, options: tuple[str, ...], complaint: str) -> None:
    result = run(tiny, *options)
    assert (result.code, result.out) == (2, b"")
    assert complaint in result.err
