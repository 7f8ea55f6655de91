"""The cache without a network, and what it holds."""

from __future__ import annotations

import logging
import os
import socket
import time
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, Repository

from pyllama.errors import HubError, HubUnreachable
from pyllama.hub import CachedModel, cached_models, resolve
from pyllama.hub.cache import cache_root

PARTS = [f"s/m-Q5_0-0000{number}-of-00002.gguf" for number in (1, 2)]


@pytest.fixture
def closed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub at the address where it should be."""
    del cache
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")


def put(
    cache: Path, *names: str, repo: str = "u/m", commit: str = COMMIT, main: bool = True
) -> Path:
    """Files of a repository in the cache, each with its name as the content."""
    folder = cache / ("models--" + repo.replace("/", "--"))
    for name in names:
        file = folder / "snapshots" / commit / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    if main:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
    return folder / "snapshots" / commit


@pytest.fixture(params=["option", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def offline(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Three ways to stay offline; what to give as the option."""
    if request.param == "option":
        return True
    monkeypatch.setenv(request.param, "true")
    return False


def test_offline_nobody_is_asked(hub: Hub, cache: Path, offline: bool) -> None:
    hub.repositories["u/m"] = Repository({"m-Q4_K_M.gguf": b""})
    folder = put(cache, "m-Q8_0.gguf", "m-Q6_K.gguf")
    assert resolve("u/m", offline=offline) == folder / "m-Q8_0.gguf"
    assert resolve("u/m:Q6_K", offline=offline) == folder / "m-Q6_K.gguf"
    with pytest.raises(
        HubError,
        match=r"^u/m: offline, and the cache has no quantization Q4_K_M; "
        r"there is Q6_K, Q8_0; run this once without --offline",
    ):
        resolve("u/m:Q4_K_M", offline=offline)
    with pytest.raises(
        HubError, match=r"^u/x: offline, and the cache \(.*\) does not have it; run"
    ):
        resolve("u/x", offline=offline)
    assert hub.asked == []


@pytest.mark.usefixtures("closed")
def test_without_a_network_the_cache_is_used(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = put(cache, "m-Q8_0.gguf")
    assert resolve("u/m") == folder / "m-Q8_0.gguf"
    ((_, level, message),) = caplog.record_tuples
    assert level == logging.WARNING
    assert "the connection to http://127.0.0.1:" in message
    assert "using m-Q8_0.gguf from the cache" in message


@pytest.mark.usefixtures("closed")
def test_without_a_network_and_without_the_model(
    cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put(cache, "m-Q8_0.gguf")
    with pytest.raises(
        HubUnreachable,
        match=r"^u/m: the connection to http://127\.0\.0\.1:\d+ failed \(.*\), "
        r"and the cache has no quantization Q4_0; check the network$",
    ):
        resolve("u/m:Q4_0")
    with pytest.raises(HubUnreachable, match=r"and the cache \(.*\) does not have it; check the n"):
        resolve("u/x")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_in_trouble_is_no_hub(hub: Hub, cache: Path, status: int) -> None:
    hub.status = status
    folder = put(cache, "m-Q8_0.gguf")
    assert resolve("u/m") == folder / "m-Q8_0.gguf"
    with pytest.raises(
        HubUnreachable, match=rf"answers {status}, and the cache .*; try again later"
    ):
        resolve("u/x")


def test_a_refusal_is_told_even_if_the_cache_has_the_model(hub: Hub, cache: Path) -> None:
    put(cache, "m-Q8_0.gguf")
    assert "u/m" not in hub.repositories
    with pytest.raises(HubError, match="no such repository"):
        resolve("u/m")


def test_a_split_model_must_be_complete(cache: Path) -> None:
    put(cache, PARTS[0])
    with pytest.raises(
        HubError, match=r"the cache has 1 of the 2 parts of s/m-Q5_0-00001-of-00002"
    ):
        resolve("u/m", offline=True)
    folder = put(cache, PARTS[1])
    assert resolve("u/m", offline=True) == folder / PARTS[0]


def test_a_link_to_nothing_is_nothing(hub: Hub, cache: Path) -> None:
    hub.repositories["u/m"] = Repository({"m.gguf": b"content"})
    path = resolve("u/m")
    path.resolve().unlink()
    with pytest.raises(HubError, match="offline"):
        resolve("u/m", offline=True)
    assert cached_models() == []
    assert resolve("u/m").read_bytes() == b"content"
    assert cache in path.parents


def test_older_commits_help_out(cache: Path) -> None:
    old = put(cache, "m-Q8_0.gguf", "m-F16.gguf", commit="a", main=False)
    older = put(cache, "m-Q2_K.gguf", "m-F16.gguf", commit="b", main=False)
    main = put(cache, "m-Q8_0.gguf", commit="c")
    os.utime(older, (1, 1))
    os.utime(main, (2, 2))
    assert resolve("u/m:Q8_0", offline=True) == main / "m-Q8_0.gguf"
    assert resolve("u/m:F16", offline=True) == old / "m-F16.gguf"
    assert resolve("u/m:Q2_K", offline=True) == older / "m-Q2_K.gguf"


@pytest.mark.parametrize("main", ["../../../x", "", "\xff", "missing"])
def test_a_reference_to_nowhere(cache: Path, main: str) -> None:
    folder = put(cache, "m-Q8_0.gguf")
    (folder.parent.parent / "refs" / "main").write_text(main, "latin-1")
    assert resolve("u/m", offline=True) == folder / "m-Q8_0.gguf"


def test_cached_models(cache: Path) -> None:
    assert cached_models() == []
    first = put(cache, *PARTS, "b.gguf", "README.md", "mmproj-m.gguf")
    second = put(cache, "x-q4_k_m.gguf", "y-Q8_0-00001-of-00002.gguf", repo="a/b")
    put(cache, "z.gguf", repo="alone")
    (cache / "datasets--u--d").mkdir()
    (cache / "version.txt").write_text("1")
    assert cached_models() == [
        CachedModel("a/b", "Q4_K_M", second / "x-q4_k_m.gguf", 13),
        CachedModel("u/m", None, first / "b.gguf", 6),
        CachedModel("u/m", "Q5_0", first / PARTS[0], 2 * len(PARTS[0])),
    ]
    assert [model.reference for model in cached_models()] == ["a/b:Q4_K_M", "u/m", "u/m:Q5_0"]


def test_of_each_cached_model_the_latest_version(cache: Path) -> None:
    put(cache, "m-Q8_0.gguf", "m-F16.gguf", commit="a", main=False)
    main = put(cache, "m-Q8_0.gguf", commit="b")
    os.utime(main, (1, 1))
    commits = {model.quant: model.path.parent.name for model in cached_models()}
    assert commits == {"Q8_0": "b", "F16": "a"}


def test_the_place_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name, value, expected in (
        (None, None, tmp_path / ".cache/huggingface/hub"),
        ("XDG_CACHE_HOME", "/x", Path("/x/huggingface/hub")),
        ("HF_HOME", "~/h", tmp_path / "h/hub"),
        ("HUGGINGFACE_HUB_CACHE", "/old", Path("/old")),
        ("HF_HUB_CACHE", "$HOME/c", tmp_path / "c"),
        ("LLAMA_CACHE", "/l", Path("/l")),
    ):
        if name and value:
            monkeypatch.setenv(name, value)
        assert cache_root() == expected


def test_the_cache_answers_at_once(cache: Path) -> None:
    put(cache, "m-Q8_0.gguf")
    start = time.perf_counter()
    resolve("u/m", offline=True)
    assert time.perf_counter() - start < 0.1
