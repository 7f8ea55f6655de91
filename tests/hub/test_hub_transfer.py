"""Downloads that break off, arrive damaged or do not fit."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import Hub, Repository

from pyllama.errors import FileError, HubError, HubUnreachable
from pyllama.hub import Progress, resolve, transfer

CONTENT = os.urandom(2_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _repository(hub: Hub) -> None:
    hub.repositories["u/m"] = Repository({"m.gguf": CONTENT})


@pytest.fixture
def partial(cache: Path) -> Path:
    """What has arrived of the model while it is not complete."""
    return cache / "models--u--m" / "blobs" / f"{SHA256}.incomplete"


class Stop(Exception):
    """Someone does not want to wait any longer."""


def stop_after(size: int) -> transfer.Report:
    def report(progress: Progress) -> None:
        if progress.done >= size:
            raise Stop

    return report


def test_a_broken_connection_is_opened_again_where_it_broke(hub: Hub) -> None:
    hub.breaks = [500_000, 1_000_000, 0, 1]
    events: list[Progress] = []
    assert resolve("u/m", progress=events.append).read_bytes() == CONTENT
    ranges = hub.gets()
    assert len(ranges) == 5
    assert ranges[0] is None
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges[1:] if asked]
    assert starts == sorted(starts)
    assert starts[-1] > 1_000_000
    done = [event.done for event in events]
    assert done == sorted(set(done))
    assert done[-1] == len(CONTENT)


def test_a_download_that_was_given_up_is_gone_on_with(hub: Hub, partial: Path, cache: Path) -> None:
    with pytest.raises(Stop):
        resolve("u/m", progress=stop_after(700_000))
    arrived = partial.read_bytes()
    assert 700_000 <= len(arrived) < len(CONTENT)
    assert CONTENT.startswith(arrived)
    assert not list(cache.rglob("*.gguf"))
    assert not list(cache.rglob("refs/main"))
    events: list[Progress] = []
    assert resolve("u/m", progress=events.append).read_bytes() == CONTENT
    assert hub.gets() == [None, f"bytes={len(arrived)}-"]
    assert events[0] == Progress("m.gguf", len(arrived), len(CONTENT))
    assert not partial.exists()


def test_a_server_without_ranges_sends_all_of_it_again(hub: Hub, partial: Path) -> None:
    with pytest.raises(Stop):
        resolve("u/m", progress=stop_after(700_000))
    hub.ranges = False
    hub.breaks = [1_900_000]
    events: list[Progress] = []
    assert resolve("u/m", progress=events.append).read_bytes() == CONTENT
    done = [event.done for event in events]
    assert done == sorted(set(done))
    assert not partial.exists()


def test_a_connection_that_stays_broken(hub: Hub, partial: Path) -> None:
    hub.breaks = [400_000] + [0] * transfer.ATTEMPTS
    with pytest.raises(
        HubUnreachable, match=r"^u/m/m\.gguf: .*, after .* of 2 MB; run this again: it goes on"
    ):
        resolve("u/m")
    assert partial.exists()
    assert len(hub.gets()) == 1 + transfer.ATTEMPTS
    assert resolve("u/m").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(hub: Hub) -> None:
    hub.busy = transfer.ATTEMPTS
    with pytest.raises(HubUnreachable, match=r"answers 503, after 0 bytes of 2 MB; run this again"):
        resolve("u/m")
    hub.busy = transfer.ATTEMPTS - 1
    assert resolve("u/m").read_bytes() == CONTENT


def test_damage_is_noticed(hub: Hub, cache: Path, partial: Path) -> None:
    hub.damage = b"damage"
    with pytest.raises(
        HubError, match=rf"arrived damaged: its SHA-256 is .*, not {SHA256}; it was"
    ):
        resolve("u/m")
    assert not partial.exists()
    assert not list(cache.rglob("*.gguf"))
    hub.damage = b""
    assert resolve("u/m").read_bytes() == CONTENT


def test_damage_in_what_had_arrived_is_noticed(hub: Hub, partial: Path) -> None:
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"damage" * 1000)
    with pytest.raises(HubError, match="arrived damaged"):
        resolve("u/m")
    assert hub.gets() == ["bytes=6000-"]
    assert resolve("u/m").read_bytes() == CONTENT


def test_more_than_there_can_be_is_thrown_away(hub: Hub, partial: Path) -> None:
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT + b"more")
    assert resolve("u/m").read_bytes() == CONTENT
    assert hub.gets() == [None]


def test_a_whole_file_that_was_not_checked_needs_no_download(hub: Hub, partial: Path) -> None:
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT)
    assert resolve("u/m").read_bytes() == CONTENT
    assert hub.gets() == []


def test_a_server_that_sends_too_much(hub: Hub, cache: Path, partial: Path) -> None:
    hub.surplus = b"more" * 100_000
    with pytest.raises(HubError, match=r"has more than the 2000000 bytes announced"):
        resolve("u/m")
    assert partial.stat().st_size == 0
    assert not list(cache.rglob("*.gguf"))


def test_a_server_that_speaks_of_another_size(hub: Hub) -> None:
    def report(progress: Progress) -> None:
        del progress
        hub.repositories["u/m"].files["m.gguf"] = CONTENT[:-1]

    with pytest.raises(HubError, match=r"has 1999999 bytes, where its description says 2000000"):
        resolve("u/m", progress=report)


def task(folder: Path, *bodies: transfer.Body) -> transfer.Task:
    """A file of four bytes from a server that answers with these, one after the other."""
    answers = iter(bodies)
    source = transfer.Source(
        label="label",
        name="name",
        size=4,
        etag="etag",
        sha256=None,
        open=lambda _: nullcontext(next(answers)),
    )
    return transfer.Task(source, folder / "target", nullcontext())


def test_bodies_that_just_end(tmp_path: Path) -> None:
    start, end = transfer.Body(0, 4, [b"01"]), transfer.Body(2, None, [b"2", b"3"])
    some = task(tmp_path, start, transfer.Body(2, 4, []), end)
    transfer.transfer([some])
    assert some.target.read_bytes() == b"0123"
    assert not some.partial.exists()


def test_bytes_from_elsewhere(tmp_path: Path) -> None:
    some = task(tmp_path, transfer.Body(0, 4, [b"01"]), transfer.Body(1, 4, [b"123"]))
    with pytest.raises(HubError, match=r"^label: the server sends it from byte 1 on, not from 2;"):
        transfer.transfer([some])
    assert some.partial.read_bytes() == b"01"


def test_an_empty_file(tmp_path: Path) -> None:
    empty = task(tmp_path)
    transfer.transfer([replace(empty, source=replace(empty.source, size=0))])
    assert empty.target.read_bytes() == b""


@pytest.mark.parametrize("given", ["", "bytes */4", "bytes x-3/4", "items 0-3/4"])
def test_a_part_that_is_not_described(hub: Hub, partial: Path, given: str) -> None:
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:1000])
    hub.content_range = given
    with pytest.raises(HubError, match="the server sends a part, but not which"):
        resolve("u/m")
    assert partial.read_bytes() == CONTENT[:1000]


def test_a_disk_that_is_too_small(
    hub: Hub, cache: Path, partial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=1_300_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(
        HubError, match=r"^u/m/m\.gguf: 2 MB to download, but only 1\.3 MB free in .*; free some"
    ):
        resolve("u/m")
    assert hub.gets() == []
    assert not cache.exists()
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:700_000])
    assert resolve("u/m").read_bytes() == CONTENT


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_gets_full(partial: Path) -> None:
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    with pytest.raises(FileError, match=r"incomplete: the disk is full; free some space and run"):
        resolve("u/m")


def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    cache.write_text("no folder")
    with pytest.raises(FileError) as caught:
        resolve("u/m")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno in (errno.ENOTDIR, errno.EEXIST)


def test_an_error_of_the_display_stays_what_it_is(partial: Path) -> None:
    def report(progress: Progress) -> None:
        if progress.done:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        resolve("u/m", progress=report)
    assert partial.exists()


def test_two_at_the_same_time_download_it_once(hub: Hub) -> None:
    paths: list[Path] = []
    threads = [threading.Thread(target=lambda: paths.append(resolve("u/m"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 3
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert len(hub.gets()) == 1


def test_without_links_the_file_itself_is_there(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: str) -> None:
        del self, target
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    path = resolve("u/m")
    assert path.is_file()
    assert not path.is_symlink()
    assert not list((cache / "models--u--m" / "blobs").iterdir())
