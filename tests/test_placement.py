"""Which CPUs threads run on."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from pyllama import builtin, placement
from pyllama.errors import UsageError
from pyllama.model import Model
from pyllama.placement import Placement, by_node, parse_mask, parse_range, within
from pyllama.session import Session

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux lets a program place its threads"
)


@pytest.mark.parametrize(
    ("mask", "cpus"), [("0x1", {0}), ("5", {0, 2}), ("FF00", set(range(8, 16)))]
)
def test_masks(mask: str, cpus: set[int]) -> None:
    assert parse_mask(mask) == cpus


@pytest.mark.parametrize("mask", ["", "0", "0x", "xyz", "-1", "1_1", "f" * 20000])
def test_what_is_no_mask(mask: str) -> None:
    with pytest.raises(UsageError, match="CPU mask"):
        parse_mask(mask)


def test_ranges() -> None:
    assert parse_range("2-4") == {2, 3, 4}
    for text in ("", "3", "4-2", "a-b", "-3", "0-99999999"):
        with pytest.raises(UsageError, match="CPU range"):
            parse_range(text)


def test_a_set_for_all_threads_or_a_cpu_for_each() -> None:
    allowed = os.sched_getaffinity(0)
    assert within(allowed, one_each=False).sets == (frozenset(allowed),)
    assert [*map(set, within(allowed, one_each=True).sets)] == [{cpu} for cpu in sorted(allowed)]
    with pytest.raises(UsageError, match="CPU 60000: not there"):
        within({60000}, one_each=False)


def test_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for node, cpus in enumerate(("0-1", "2-3", "8")):
        (tmp_path / f"node{node}").mkdir()
        (tmp_path / f"node{node}" / "cpulist").write_text(f"{cpus}\n")
    monkeypatch.setattr(placement, "NODES", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(placement, "_current_cpu", lambda: 2)
    assert by_node("distribute").sets == (frozenset({0, 1}), frozenset({2}))
    assert by_node("isolate").sets == (frozenset({2}),)
    assert by_node("numactl").sets == (frozenset({0, 1, 2}),)


def test_the_cpu_of_this_process_is_allowed() -> None:
    assert by_node("isolate").sets[0] <= os.sched_getaffinity(0)


def test_threads_run_where_they_are_placed() -> None:
    cpu = min(os.sched_getaffinity(0))
    seen: dict[str, set[int]] = {}

    def run() -> None:
        one = Placement((frozenset({cpu}),))
        session = Session(Model.load(builtin.path()), context=64, threads=2, placements=(one, one))
        before = {thread.native_id for thread in threading.enumerate()} - {
            threading.get_native_id()
        }
        session.evaluate([1])
        seen["leader"] = os.sched_getaffinity(0)
        pinned = [os.sched_getaffinity(n) for n in before if n]
        seen["worker"] = min(pinned, key=len)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == {"leader": {cpu}, "worker": {cpu}}
