"""Object code on disk: trusted only where it is whole and nobody else could have put it there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from kernel_cases.rows import add_case, gate_case
from kernel_cases.targets import MAIN, target

from pyllama.kernels.cache import ObjectCache, default_directory
from pyllama.kernels.elementwise import add, gate
from pyllama.kernels.jit import Library
from pyllama.kernels.target import select

posix = pytest.mark.skipif(os.name != "posix", reason="needs the permissions of POSIX")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cache that does not exist yet."""
    return tmp_path / "caches" / "kernels"


def fresh(folder: Path) -> Library:
    """A library as a new process would make it."""
    return Library(select(), ObjectCache(folder))


def entries(folder: Path) -> list[Path]:
    """Files of the cache."""
    return sorted(folder.iterdir())


def test_a_warm_start_compiles_nothing(folder: Path) -> None:
    cold = fresh(folder)
    add_case(17).run(cold)
    gate_case(17).run(cold)
    assert sorted(cold.compiled) == sorted([add().symbol, gate(activation="silu").symbol])
    assert cold.compile_seconds > 0
    warm = fresh(folder)
    add_case(17).run(warm)
    gate_case(17).run(warm)
    assert warm.compiled == []
    assert warm.compile_seconds == 0


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "short"])
def test_a_damaged_entry_is_compiled_again(damage: str, folder: Path) -> None:
    add_case(17).run(fresh(folder))
    (entry,) = entries(folder)
    sound = entry.read_bytes()
    broken = {
        "cut": sound[:-1],
        "flip": sound[:-1] + bytes([sound[-1] ^ 1]),
        "empty": b"",
        "short": sound[:20],
    }
    entry.write_bytes(broken[damage])
    library = fresh(folder)
    add_case(17).run(library)
    assert library.compiled == [add().symbol]
    assert entry.read_bytes()[:32] == sound[:32]
    assert fresh(folder).objects.get(entry.name) == sound[32:]


def test_targets_and_features_do_not_share_entries(folder: Path) -> None:
    names = {str(param.values[0]) for param in MAIN}  # type: ignore[attr-defined]
    names |= {f"{name}-least" for name in names}
    keys = {target(name).key for name in names}
    for name in names:
        add_case(17).run(Library(target(name), ObjectCache(folder)))
    assert len(entries(folder)) == len(keys)


@posix
def test_the_directory_is_private(folder: Path) -> None:
    cache = ObjectCache(folder)
    assert not cache.problem
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    cache.put("key", b"code")
    assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_directory_that_others_may_write_is_not_used(mode: int, folder: Path) -> None:
    ObjectCache(folder).put("key", b"code")
    folder.chmod(mode)
    cache = ObjectCache(folder)
    assert cache.problem == f"{folder}: others may write to it"
    assert cache.get("key") is None
    cache.put("other", b"code")
    assert [e.name for e in entries(folder)] == ["key"]
    assert_works_without_cache(Library(select(), cache))


@posix
def test_a_directory_of_another_user_is_not_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ObjectCache(folder).put("key", b"code")
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    cache = ObjectCache(folder)
    assert cache.problem == f"{folder}: belongs to another user"
    assert cache.get("key") is None
    assert_works_without_cache(Library(select(), cache))


def test_a_directory_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = ObjectCache(tmp_path / "file" / "kernels")
    assert str(tmp_path / "file" / "kernels") in cache.problem
    assert_works_without_cache(Library(select(), cache))


def test_a_directory_that_vanishes_is_done_without(folder: Path) -> None:
    library = fresh(folder)
    folder.rmdir()
    assert_works_without_cache(library)
    assert str(folder) in library.objects.problem


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_directory_that_is_read_only_is_done_without(folder: Path) -> None:
    library = fresh(folder)
    folder.chmod(0o500)
    assert_works_without_cache(library)
    assert str(folder) in library.objects.problem


def assert_works_without_cache(library: Library) -> None:
    """Kernels are compiled, and compiled again."""
    for _ in range(2):
        again = Library(library.isa, library.objects)
        add_case(17).run(again)
        assert again.compiled == [add().symbol]


def test_the_environment_chooses_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYLLAMA_CACHE", str(tmp_path))
    assert default_directory() == tmp_path / "kernels"
    assert ObjectCache().directory == tmp_path / "kernels"
    monkeypatch.delenv("PYLLAMA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_directory().name == "kernels"


def test_a_library_loads_what_it_is_asked_for_once(folder: Path) -> None:
    library = fresh(folder)
    library.load([add(), gate(activation="silu")])
    address = library.address(add())
    library.load([add()])
    assert library.address(add()) == address
    assert library.compiled == [add().symbol, gate(activation="silu").symbol]
    assert np.unique([address, library.address(gate(activation="silu"))]).size == 2
