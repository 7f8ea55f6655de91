"""Downloads from a hub that works, and refusals of one that does not want to."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hub_server import COMMIT, Hub, Repository, serving

from pyllama.errors import HubError, HubUnreachable, UsageError
from pyllama.hub import Progress, resolve

CONTENT = bytes(range(256)) * 4000
PARTS = {f"m-Q8_0-0000{number}-of-00003.gguf": CONTENT[: number * 300_000] for number in (1, 2, 3)}


@pytest.fixture
def repository(hub: Hub) -> Repository:
    """A repository ``u/m`` with a model in two quantizations."""
    files = {"README.md": b"#", "m-Q4_K_M.gguf": CONTENT, "m-Q8_0.gguf": CONTENT[::-1]}
    hub.repositories["u/m"] = Repository(files)
    return hub.repositories["u/m"]


@pytest.mark.usefixtures("repository")
def test_a_model_arrives_in_the_layout_of_the_cache(cache: Path) -> None:
    path = resolve("u/m")
    folder = cache / "models--u--m"
    assert path == folder / "snapshots" / COMMIT / "m-Q4_K_M.gguf"
    assert path.read_bytes() == CONTENT
    assert path.resolve() == (folder / "blobs" / hashlib.sha256(CONTENT).hexdigest()).resolve()
    assert (folder / "refs" / "main").read_text() == COMMIT
    assert not list(cache.rglob("*.incomplete"))


@pytest.mark.usefixtures("repository")
def test_the_library_finds_it_there(cache: Path) -> None:
    path = resolve("u/m:Q8_0")
    code = "from huggingface_hub import *; print(hf_hub_download('u/m', 'm-Q8_0.gguf'))"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(path)


@pytest.mark.usefixtures("repository")
def test_what_is_there_is_not_asked_for_again(hub: Hub) -> None:
    first = resolve("u/m:q8_0")
    assert len(hub.gets()) == 1
    events: list[Progress] = []
    assert resolve("u/m:Q8_0", progress=events.append) == first
    assert resolve("u/m", file="m-Q8_0.gguf") == first
    assert len(hub.gets()) == 1
    assert events == []


def test_a_new_commit_brings_only_what_has_changed(hub: Hub, repository: Repository) -> None:
    resolve("u/m:Q4_K_M")
    old = resolve("u/m:Q8_0")
    repository.commit = "b" * 40
    repository.files["m-Q8_0.gguf"] = b"new"
    asked = len(hub.gets())
    assert resolve("u/m:Q4_K_M").parent.name == "b" * 40
    assert len(hub.gets()) == asked
    assert resolve("u/m:Q8_0").read_bytes() == b"new"
    assert old.read_bytes() == CONTENT[::-1]


@pytest.mark.usefixtures("cache")
def test_all_parts_of_a_split_model_arrive(hub: Hub) -> None:
    hub.repositories["u/m"] = Repository({"a-F16.gguf": b"", **PARTS})
    events: list[Progress] = []
    path = resolve("u/m", progress=events.append)
    assert path.name == "m-Q8_0-00001-of-00003.gguf"
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == PARTS
    done = [event.done for event in events]
    assert done == sorted(set(done))
    assert {event.total for event in events} == {sum(map(len, PARTS.values()))}
    assert (done[0], done[-1]) == (0, events[0].total)
    assert [event.file for event in events] == sorted(event.file for event in events)
    assert {event.file for event in events} == set(PARTS)


@pytest.mark.usefixtures("repository")
def test_progress_is_reported_often() -> None:
    events: list[Progress] = []
    resolve("u/m", progress=events.append)
    steps = [after.done - before.done for before, after in pairwise(events)]
    assert len(steps) >= 4
    assert max(steps) <= 2**18


def test_the_token_is_sent(
    hub: Hub, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.token = "secret"
    with pytest.raises(HubError, match=r"^u/m: no such repository, or a private one; .*HF_TOKEN"):
        resolve("u/m")
    with pytest.raises(HubError, match="private"):
        resolve("u/m", token="another")
    assert resolve("u/m", token="secret").read_bytes() == CONTENT
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert resolve("u/m:Q8_0").exists()
    assert {ask.authorization for ask in hub.asked} == {None, "Bearer another", "Bearer secret"}


@pytest.mark.parametrize("token", ["a b", "a\nb", "ü"])
@pytest.mark.usefixtures("repository")
def test_a_token_that_cannot_be_one(hub: Hub, token: str) -> None:
    with pytest.raises(UsageError, match="characters that no token has"):
        resolve("u/m", token=token)
    assert not hub.asked


def test_the_token_does_not_leave_the_hub(hub: Hub, repository: Repository) -> None:
    repository.token = "secret"
    with serving("localhost") as storage:
        storage.repositories["u/m"] = Repository(repository.files)
        hub.elsewhere = storage.url
        assert resolve("u/m", token="secret").read_bytes() == CONTENT
        assert [ask.authorization for ask in storage.asked] == [None]


@pytest.mark.usefixtures("cache")
def test_an_unknown_repository(hub: Hub) -> None:
    with pytest.raises(HubError, match=r"^u/m: no such repository, or a private one; check the na"):
        resolve("u/m")
    with pytest.raises(HubError, match="no such repository"):
        resolve("u/m", token="valid")
    assert len(hub.asked) == 2


def test_a_gated_repository(repository: Repository, cache: Path) -> None:
    repository.gated = True
    with pytest.raises(HubError, match=r"m-Q4_K_M.gguf: is gated; accept its terms .*HF_TOKEN"):
        resolve("u/m")
    assert not list(cache.rglob("*.gguf"))


@pytest.mark.usefixtures("repository")
def test_what_the_repository_has_is_listed() -> None:
    with pytest.raises(HubError, match=r"^u/m: has no quantization Q6_K; there is Q4_K_M, Q8_0$"):
        resolve("u/m:Q6_K")
    with pytest.raises(HubError, match=r"^u/m: has no GGUF file x\.gguf; there is m-Q4_K_M\.gguf"):
        resolve("u/m", file="x.gguf")


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("status", [400, 403, 410, 418])
def test_other_refusals_are_explained(hub: Hub, status: int) -> None:
    hub.status = status
    with pytest.raises(HubError, match=r"^u/m: ") as caught:
        resolve("u/m")
    assert not isinstance(caught.value, HubUnreachable)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    "answer",
    [b"<html>", b"[]", b"{}", b'{"id": "u/m"}', b'{"id": 1, "sha": "../x", "siblings": []}',
     b'{"id": "u/m", "sha": "a", "siblings": [{}]}', b'{"id": "u/m", "sha": 5}', b"\xff"],
)  # fmt: skip
def test_what_is_no_hub(hub: Hub, answer: bytes) -> None:
    hub.listing = answer
    with pytest.raises(HubError, match=r"does not answer as a hub does; check HF_ENDPOINT"):
        resolve("u/m")


@pytest.mark.parametrize("etag", ["", "../../escape", "a/b", "..", "a\\b", "x" * 300])
@pytest.mark.usefixtures("repository")
def test_an_etag_that_is_no_file_name(hub: Hub, cache: Path, etag: str) -> None:
    hub.etag = etag
    with pytest.raises(HubError, match="does not answer as a hub does"):
        resolve("u/m")
    assert not cache.exists()


def test_names_that_lead_out_of_the_cache_are_not_seen(repository: Repository) -> None:
    for name in ("../up.gguf", "/root.gguf", "a//b.gguf", "c:/x.gguf", "a\\b.gguf", "./x.gguf"):
        repository.files = {name: b"evil", "z-F16.gguf": b"good"}
        assert resolve("u/m").read_bytes() == b"good"


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://", "http://[::1", "http://a b"])
def test_an_endpoint_that_is_no_url(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", url)
    with pytest.raises(UsageError, match=r"^HF_ENDPOINT: "):
        resolve("u/m")
    assert not cache.exists()


def test_import_is_cheap() -> None:
    code = "import sys, pyllama.hub; print({'numpy', 'huggingface_hub'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
