"""``pyllama split`` and ``pyllama merge``."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runner import call, one_line_error, spawn
from tiny_model import write_model

from pyllama.commands.split_options import n_bytes
from pyllama.errors import UsageError
from pyllama.gguf import GGUFFile


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "tiny.gguf")


def test_there_and_back_in_processes_of_their_own(model: Path, tmp_path: Path) -> None:
    result = spawn("split", model, tmp_path / "part", "--split-max-tensors", "5")
    assert (result.code, result.err) == (0, "")
    parts = sorted(tmp_path.glob("part-*"))
    assert len(result.out.decode().splitlines()) == len(parts) + 1
    merged = tmp_path / "merged.gguf"
    assert spawn("merge", parts[0], merged, "--delete-splits").code == 0
    assert not any(part.exists() for part in parts)
    with GGUFFile.open(model) as old, GGUFFile.open(merged) as new:
        assert list(new.tensors) == list(old.tensors)
        for name in old.tensors:
            assert new.data(name).tobytes() == old.data(name).tobytes()


def test_by_size_with_metadata_first(model: Path, tmp_path: Path) -> None:
    result = call(
        "split", model, tmp_path / "p", "--split-max-size", "20K", "--no-tensor-first-split"
    )
    assert result.code == 0
    first = next(tmp_path.glob("p-00001-of-*"))
    with GGUFFile.open(first) as file:
        assert min(info.part for info in file.tensors.values()) == 1


def test_a_dry_run_writes_nothing(model: Path, tmp_path: Path) -> None:
    result = call("split", model, tmp_path / "p", "--dry-run", "--split-max-tensors", "5")
    assert b"p-00002-of-" in result.out
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_by_default_128_tensors_are_one_part(model: Path, tmp_path: Path) -> None:
    assert call("split", model, tmp_path / "p").code == 0
    assert (tmp_path / "p-00001-of-00001.gguf").exists()


def test_refusals(model: Path, tmp_path: Path) -> None:
    call("split", model, tmp_path / "p", "--split-max-tensors", "5")
    parts = sorted(tmp_path.glob("p-*"))
    error = one_line_error(call("merge", parts[1], tmp_path / "x.gguf"))
    assert "is part 2 of" in error
    error = one_line_error(call("merge", model, tmp_path / "x.gguf"))
    assert error == f"{model}: is not split; name the first part of a split model"
    error = one_line_error(call("merge", parts[0], model))
    assert error == f"{model}: exists; name another output, or replace it with --force"
    error = one_line_error(call("merge", parts[0], parts[1], "--force"))
    assert "is what the output is made from" in error
    parts[1].unlink()
    assert "is missing" in one_line_error(call("merge", parts[0], tmp_path / "x.gguf"))


@pytest.mark.parametrize(
    ("text", "size"), [("7", 7), ("20K", 20_000), ("300m", 300_000_000), ("2G", 2 * 10**9)]
)
def test_sizes_are_decimal(text: str, size: int) -> None:
    assert n_bytes(text) == size


@pytest.mark.parametrize("text", ["", "G", "1T", "-1", "1.5G", "1 G G"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="is no size such as 500M or 2G"):
        n_bytes(text)
