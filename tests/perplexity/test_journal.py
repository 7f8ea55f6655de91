"""The saved state of a run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pyllama.errors import FileError
from pyllama.perplexity.journal import Journal
from pyllama.perplexity.measure import Record

ABOUT = {"model": "abc", "context": 512}


class Counting:
    """Items of random numbers; counts those that are measured."""

    count = 5

    def __init__(self) -> None:
        self.measured: list[int] = []

    def records(self, start: int) -> Iterator[Record]:
        for index in range(start, self.count):
            self.measured.append(index)
            yield {"nll": np.random.default_rng(index).normal(0, 1, 3) / 3}


def run(path: Path, items: int = 5) -> tuple[list[bytes], list[int]]:
    """Measure some items, as a run that is interrupted does."""
    counting = Counting()
    records = Journal(path, ABOUT, ("nll",)).records(counting)
    taken = [record["nll"].tobytes() for record in islice(records, items)]
    return taken, counting.measured


def test_a_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / "whole")
    run(tmp_path / "state", items=3)
    again, measured = run(tmp_path / "state")
    assert again == whole
    assert measured == [3, 4]
    assert (tmp_path / "state").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_finished_run_measures_nothing(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / "state")
    assert run(tmp_path / "state") == (whole, [])


def test_a_line_that_is_cut_short_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "state"
    whole, _ = run(path)
    complete = path.read_bytes()
    path.write_bytes(complete[:-5])
    assert run(path) == (whole, [4])
    assert path.read_bytes() == complete


def test_the_state_of_another_run(tmp_path: Path) -> None:
    run(tmp_path / "state")
    with pytest.raises(FileError, match="is the state of another run: context, text differ"):
        Journal(tmp_path / "state", {"model": "abc", "context": 256, "text": "x"}, ("nll",))


@pytest.mark.parametrize("content", [b"", b"hello\n", b"[1]\n", b'{"a": 1}\n', b"[" * 100000])
def test_files_that_are_no_state(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(FileError, match="is no state of pyllama perplexity"):
        Journal(tmp_path / "state", ABOUT, ("nll",))


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"no json",
        b'{"item": 1, "nll": "AAAAAAAA8D8="}',
        b'{"item": 0, "nll": "AAAA"}',
        b'{"item": 0, "nll": 5}',
        b'{"item": 0, "nll": "?"}',
        b'{"item": 0, "kld": "AAAAAAAA8D8="}',
        b'{"item": 0, "nll": "AAAAAAAA8D8=", "kld": ""}',
    ],
)
def test_damaged_items(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "state"
    run(path)
    head = path.read_bytes().split(b"\n")[0]
    path.write_bytes(head + b"\n" + line + b"\n")
    with pytest.raises(FileError, match="item 1 is damaged"):
        Journal(path, ABOUT, ("nll",))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="check the path"):
        run(tmp_path / "none" / "state")
    with pytest.raises(FileError, match="name a file, not a directory"):
        Journal(tmp_path, ABOUT, ("nll",))
