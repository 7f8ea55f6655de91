"""Models by URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_server import Hub, Repository, serving

from pyllama.errors import HubError, HubUnreachable, UsageError
from pyllama.hub import Progress, download

PARTS = {f"m x-0000{number}-of-00002.gguf": b"part" * number for number in (1, 2)}
BASE = "a/b/resolve/any"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> object:
    """A server of files, which is not the hub."""
    monkeypatch.setenv("HF_TOKEN", "secret")
    with serving() as running:
        running.repositories["a/b"] = Repository({"m.gguf": b"model", **PARTS})
        yield running


def test_a_file_is_downloaded_once(server: Hub, tmp_path: Path) -> None:
    events: list[Progress] = []
    path = download(f"{server.url}/{BASE}/m.gguf", progress=events.append)
    assert path.name == "m.gguf"
    assert path.read_bytes() == b"model"
    assert (tmp_path / "pyllama") in path.parents
    assert events[-1] == Progress("m.gguf", 5, 5)
    assert download(f"{server.url}/{BASE}/m.gguf") == path
    assert len(server.gets()) == 1
    assert {ask.authorization for ask in server.asked} == {None}


def test_a_new_version_takes_its_place(server: Hub) -> None:
    path = download(f"{server.url}/{BASE}/m.gguf")
    server.repositories["a/b"].files["m.gguf"] = b"other"
    assert download(f"{server.url}/{BASE}/m.gguf") == path
    assert path.read_bytes() == b"other"
    server.etag = ""  # a server without versions: the size must do
    assert download(f"{server.url}/{BASE}/m.gguf").read_bytes() == b"other"
    assert download(f"{server.url}/{BASE}/m.gguf").read_bytes() == b"other"
    assert len(server.gets()) == 3


def test_the_parts_of_a_split_model(server: Hub) -> None:
    path = download(f"{server.url}/{BASE}/m%20x-00002-of-00002.gguf?a=b")
    assert {file.name: file.read_bytes() for file in path.parent.glob("*.gguf")} == PARTS
    assert path.name == "m x-00001-of-00002.gguf"


def test_addresses_do_not_mix(server: Hub) -> None:
    server.repositories["c/d"] = Repository({"m.gguf": b"other"})
    one = download(f"{server.url}/{BASE}/m.gguf")
    two = download(f"{server.url}/c/d/resolve/any/m.gguf")
    three = download(f"{server.url}/{BASE}/m.gguf?version=3")
    assert len({one, two, three}) == 3
    assert two.read_bytes() == b"other"


def test_a_download_is_gone_on_with(server: Hub) -> None:
    server.repositories["a/b"].files["m.gguf"] = content = bytes(1_000_000)

    def report(progress: Progress) -> None:
        if progress.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}/{BASE}/m.gguf", progress=report)
    assert download(f"{server.url}/{BASE}/m.gguf").read_bytes() == content
    assert server.gets()[0] is None
    assert server.gets()[1] is not None


def test_without_a_network(server: Hub, caplog: pytest.LogCaptureFixture) -> None:
    url = f"{server.url}/{BASE}/m.gguf"
    with pytest.raises(HubError, match=r"m\.gguf: offline, and not in .*; run this once without"):
        download(url, offline=True)
    path = download(url)
    asked = len(server.asked)
    assert download(url, offline=True) == path
    assert len(server.asked) == asked
    assert caplog.records == []
    server.status = 503
    assert download(url) == path
    assert "answers 503" in caplog.text
    with pytest.raises(HubUnreachable, match=r"x\.gguf: .*answers 503"):
        download(f"{server.url}/{BASE}/x.gguf")


def test_refusals(server: Hub) -> None:
    with pytest.raises(HubError, match=r"/x\.gguf: no such file; check the URL$"):
        download(f"{server.url}/{BASE}/x.gguf?key=secret")
    server.status = 403
    with pytest.raises(HubError, match=r"answers 403$"):
        download(f"{server.url}/{BASE}/x.gguf")


def test_passwords_and_queries_are_not_repeated(server: Hub) -> None:
    address = server.url.replace("http://", "http://user:password@")
    with pytest.raises(HubError) as caught:
        download(f"{address}/{BASE}/x.gguf?key=secret")
    assert "password" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["m.gguf", "file:///m.gguf", "http://h/", "http://h", "http://h/a/..", "http://h/%2e%2e%2fx",
     "http://h/a\nb", "http://h/m-00001-of-00000.gguf", "http://h/a%5Cb"],
)  # fmt: skip
def test_what_is_no_url_of_a_file(url: str) -> None:
    with pytest.raises(UsageError, match=r"^-mu: "):
        download(url)


@pytest.mark.parametrize("kind", ["resolve", "blob"])
def test_a_file_of_the_hub_belongs_into_its_cache(hub: Hub, cache: Path, kind: str) -> None:
    hub.repositories["u/m"] = Repository({"a/m.gguf": b"model"}, token="secret")
    url = f"{hub.url}/u/m/{kind}/main/a%2Fm.gguf?download=true"
    path = download(url, token="secret")
    assert path.read_bytes() == b"model"
    assert cache in path.parents
    assert download(url, offline=True) == path
