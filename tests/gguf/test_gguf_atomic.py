"""An output file appears whole or not at all."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, GGUFWriter, TensorType, atomic, write_gguf

F32 = TensorType.F32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


@pytest.fixture(autouse=True, params=["unnamed", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With files that have no name until the end, and as where there is no such thing."""
    kind: str = request.param
    if kind == "named":
        monkeypatch.setattr(atomic, "_DESCRIPTORS", "/none")
    return kind


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_exception_leaves_nothing(path: Path, error: type[BaseException]) -> None:
    path.write_bytes(b"before")

    def data() -> Any:
        yield bytes(4)
        raise error

    with pytest.raises(error):
        write_gguf(path, {}, {"a": ((2,), F32, data())})
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupt_while_finishing_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt), GGUFWriter(path):
        pass
    assert not list(path.parent.iterdir())


def test_a_full_disk_is_explained(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="no space left on device"), GGUFWriter(path):
        pass
    assert not list(path.parent.iterdir())


def test_the_disk_works_while_the_file_is_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    advise = getattr(os, "posix_fadvise", lambda *_: None)

    def note(descriptor: int, start: int, length: int, advice: int) -> None:
        told.append((start, length))
        advise(descriptor, start, length, advice)

    monkeypatch.setattr(os, "posix_fadvise", note, raising=False)
    monkeypatch.setattr(os, "POSIX_FADV_DONTNEED", 4, raising=False)
    monkeypatch.setattr(atomic, "_WRITE_BACK", 100)
    with atomic.AtomicFile(path) as file:
        for size in (60, 30, 20, 250, 7):
            file.write(b"x" * size)
    assert told == [(0, 110), (110, 250)]
    assert path.read_bytes() == b"x" * 367


def test_advice_that_fails_does_no_harm(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "posix_fadvise", refuse, raising=False)
    monkeypatch.setattr(os, "POSIX_FADV_DONTNEED", 4, raising=False)
    monkeypatch.setattr(atomic, "_WRITE_BACK", 1)
    with atomic.AtomicFile(path) as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"


def test_existing_file_stays_until_the_end(path: Path) -> None:
    write_gguf(path, {"k": "old"}, {})
    with GGUFFile.open(path) as old, GGUFWriter(path) as writer:
        writer.add("k", "new")
        writer.add_tensor_info("a", (2,), F32)
        writer.write_tensor("a", bytes(8))
        with GGUFFile.open(path) as now:
            assert now.metadata["k"] == old.metadata["k"] == "old"
        old.close()
    with GGUFFile.open(path) as new:
        assert new.metadata["k"] == "new"
    assert list(path.parent.iterdir()) == [path]


KILLED = """
import os, signal, sys
from pyllama.gguf.atomic import AtomicFile
with AtomicFile(sys.argv[1]) as file:
    file.write(bytes(100))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="needs files without names")
@pytest.mark.parametrize("way", ["unnamed"], indirect=True)
def test_a_killed_process_leaves_nothing(path: Path) -> None:
    stream = atomic._open_unnamed(path.parent)
    if stream is None:
        pytest.skip("this file system has no files without names")
    stream.close()
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not list(path.parent.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_permissions_follow_the_umask(path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_gguf(path, {}, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_long_file_name(tmp_path: Path) -> None:
    path = tmp_path / ("m" * 250 + ".gguf")
    write_gguf(path, {}, {})
    assert path.is_file()


def test_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file or directory; check the path"):
        write_gguf(tmp_path / "none" / "model.gguf", {}, {})


def test_directory_as_output(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is a directory; name a file"):
        write_gguf(tmp_path, {}, {})


@pytest.mark.skipif(not os.path.exists(os.devnull) or os.name == "nt", reason="needs /dev/null")
def test_a_device_is_not_replaced() -> None:
    with pytest.raises(FileError, match="not a regular file"):
        write_gguf(os.devnull, {}, {})
