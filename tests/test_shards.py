"""Models cut into parts and put together again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, TensorType, ValueType, write_gguf
from pyllama.gguf.parts import Limits
from pyllama.shards import plan_merge, plan_split, write_shards

FIELDS = {"general.architecture": "llama", "general.name": "x", "general.tags": ["a", "b"]}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    arrays = {f"t{i}": rng.standard_normal((4, 8)).astype(np.float32) for i in range(7)}
    path = tmp_path / "model.gguf"
    tensors = {name: (array.shape, TensorType.F32, array) for name, array in arrays.items()}
    write_gguf(path, FIELDS, tensors, alignment=64)
    return path


def split(model: Path, prefix: Path, limits: Limits) -> list[Path]:
    with GGUFFile.open(model) as file:
        plan = plan_split(file, prefix, limits)
        assert [tensor.name for tensor in write_shards(plan)] == list(file.tensors)
        return list(plan.paths)


def content(path: Path) -> dict[str, bytes]:
    with GGUFFile.open(path) as file:
        return {name: file.data(name).tobytes() for name in file.tensors}


def test_there_and_back(model: Path, tmp_path: Path) -> None:
    paths = split(model, tmp_path / "part", Limits(tensors=3))
    assert [path.name for path in paths] == [f"part-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    assert content(paths[0]) == content(model)
    with GGUFFile.open(paths[0]) as file:
        assert file.alignment == 64
        for _ in write_shards(plan_merge(file, tmp_path / "merged.gguf")):
            pass
    assert content(tmp_path / "merged.gguf") == content(model)
    with GGUFFile.open(tmp_path / "merged.gguf") as file:
        assert file.metadata["general.name"] == "x"
        assert file.fields["split.count"].type is ValueType.UINT16
        assert file.metadata["split.count"] == 0
        assert list(file.metadata["general.tags"]) == ["a", "b"]


def test_a_split_model_is_split_otherwise(model: Path, tmp_path: Path) -> None:
    first = split(model, tmp_path / "a", Limits(tensors=3))[0]
    again = split(first, tmp_path / "b", Limits(n_bytes=200))
    assert len(again) == 7
    assert content(again[0]) == content(model)


def test_one_part(model: Path, tmp_path: Path) -> None:
    (path,) = split(model, tmp_path / "a", Limits(tensors=100))
    assert path.name == "a-00001-of-00001.gguf"
    assert content(path) == content(model)


def test_refusals(model: Path, tmp_path: Path) -> None:
    with GGUFFile.open(model) as file:
        with pytest.raises(FileError, match="is not split; name the first part"):
            plan_merge(file, tmp_path / "x.gguf")
        plan = plan_split(file, tmp_path / "a", Limits(tensors=4))
        plan.paths[1].write_bytes(b"precious")
        with pytest.raises(FileError, match="exists; name another output"):
            write_shards(plan)
        assert plan.paths[1].read_bytes() == b"precious"
        for _ in write_shards(plan, force=True):
            pass
    assert content(plan.paths[0]) == content(model)
    write_gguf(tmp_path / "empty.gguf", FIELDS, {})
    with (
        GGUFFile.open(tmp_path / "empty.gguf") as file,
        pytest.raises(FileError, match="has no tensors, so nothing to split"),
    ):
        plan_split(file, tmp_path / "e", Limits(tensors=4))


def test_giving_up_leaves_nothing(model: Path, tmp_path: Path) -> None:
    with GGUFFile.open(model) as file:
        written = write_shards(plan_split(file, tmp_path / "a", Limits(tensors=2)))
        next(written)
        written.close()
    assert [path.name for path in tmp_path.iterdir()] == ["model.gguf"]
