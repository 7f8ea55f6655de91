"""The written file: its bytes, and that it appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_model import weights, write_model

from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, GGUFWriter, TensorType, split_path
from pyllama.gguf.file_types import FileType
from pyllama.quantize import (
    Importance,
    Plan,
    QuantizeOptions,
    TensorDone,
    make_plan,
    output_paths,
    write_plan,
    writing,
)
from pyllama.quantize.coding import Packed, ReferenceCoding
from pyllama.quants import quantize


def make(
    source: Path, output: Path, recipe: FileType | None, options: QuantizeOptions, threads: int = 2
) -> list[TensorDone]:
    with GGUFFile.open(source) as file:
        return list(write_plan(make_plan(file, recipe, options), output, threads))


def expected(plan: Plan) -> dict[str, bytes]:
    values = weights()
    result = {}
    for tensor in plan.tensors:
        array = values[tensor.source.name]
        if tensor.importance is None:
            result[tensor.name] = quantize(array, tensor.type).tobytes()
            continue
        parts = array.reshape(len(tensor.importance), -1, array.shape[-1])
        pairs = zip(parts, tensor.importance, strict=True)
        result[tensor.name] = b"".join(
            quantize(part, tensor.type, importance).tobytes() for part, importance in pairs
        )
    return result


IMPORTANCE = Importance(
    Path("none.gguf"),
    {
        "blk.0.attn_q.weight": np.arange(256, dtype=np.float32),
        "blk.1.ffn_up_exps.weight": np.arange(4 * 256, dtype=np.float32),
    },
)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("recipe", [FileType.Q4_K_M, FileType.IQ4_XS, FileType.F16, None])
def test_every_tensor_is_what_its_encoder_makes_of_it(
    model: GGUFFile,
    tmp_path: Path,
    recipe: FileType | None,
    threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "PIECE_ELEMENTS", 3000)  # several pieces a tensor
    options = QuantizeOptions(importance=IMPORTANCE if recipe is FileType.Q4_K_M else None)
    plan = make_plan(model, recipe, options)
    done = list(write_plan(plan, tmp_path / "out.gguf", threads))
    assert [d.number for d in done] == list(range(1, len(plan.tensors) + 1))
    assert done[-1].source_bytes == done[-1].source_total == plan.source_bytes
    with GGUFFile.open(tmp_path / "out.gguf") as file:
        written = {name: file.data(name).tobytes() for name in file.tensors}
        assert written == expected(plan)
        assert list(file.tensors) == [tensor.name for tensor in plan.tensors]
        assert file.fields.keys() == plan.fields.keys()
        assert file.metadata["general.file_type"] == (0 if recipe is None else recipe)


@pytest.mark.parametrize("recipe", [FileType.Q8_0, None])
def test_what_is_written_leaves_memory(
    model: GGUFFile, tmp_path: Path, recipe: FileType | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: dict[str, list[tuple[int, int]]] = {name: [] for name in model.tensors}
    monkeypatch.setattr(writing, "PIECE_ELEMENTS", 3000)
    monkeypatch.setattr(model, "release", lambda name, *part: released[name].append(part))
    list(write_plan(make_plan(model, recipe, QuantizeOptions()), tmp_path / "out.gguf", 2))
    for name, info in model.tensors.items():
        starts, ends = zip(*released[name], strict=True)
        assert (0, *ends) == (*starts, info.n_bytes)
    assert len(released["token_embd.weight"]) > 1


def test_a_quantized_model_can_be_copied_and_requantized(tmp_path: Path) -> None:
    write_model(tmp_path / "q8.gguf", type=TensorType.Q8_0)
    make(tmp_path / "q8.gguf", tmp_path / "copy.gguf", None, QuantizeOptions())
    allowed = QuantizeOptions(allow_requantize=True)
    make(tmp_path / "q8.gguf", tmp_path / "q4.gguf", FileType.Q4_0, allowed)
    with GGUFFile.open(tmp_path / "q8.gguf") as old, GGUFFile.open(tmp_path / "copy.gguf") as new:
        for name in old.tensors:
            assert old.data(name).tobytes() == new.data(name).tobytes()
    with GGUFFile.open(tmp_path / "q4.gguf") as file:
        assert file.tensors["blk.0.attn_q.weight"].type is TensorType.Q4_0


def write_split(folder: Path) -> Path:
    """The model in two parts."""
    values = weights()
    names = list(values)
    for index, part in enumerate((names[:9], names[9:])):
        with GGUFWriter(split_path(folder / "m", index, 2)) as writer:
            if index == 0:
                writer.add("general.architecture", "llama")
                writer.add("llama.block_count", 3)
            for key, value in (("no", index), ("count", 2)):
                writer.add(f"split.{key}", np.uint16(value))
            writer.add("split.tensors.count", np.int32(len(names)))
            for name in part:
                writer.add_tensor_info(name, values[name].shape, TensorType.F32)
            for name in part:
                writer.write_tensor(name, values[name])
    return split_path(folder / "m", 0, 2)


def test_a_split_model_becomes_one_file_or_as_many_parts(tmp_path: Path) -> None:
    source = write_split(tmp_path)
    make(source, tmp_path / "one.gguf", FileType.Q8_0, QuantizeOptions())
    make(source, tmp_path / "many.gguf", FileType.Q8_0, QuantizeOptions(keep_split=True))
    with (
        GGUFFile.open(tmp_path / "one.gguf") as one,
        GGUFFile.open(split_path(tmp_path / "many", 0, 2)) as many,
        GGUFFile.open(source) as old,
    ):
        assert not any(key.startswith("split.") for key in one.fields)
        assert len(many.paths) == 2
        assert [t.part for t in many.tensors.values()] == [t.part for t in old.tensors.values()]
        for name in one.tensors:
            assert one.data(name).tobytes() == many.data(name).tobytes()


def test_parts_are_named_by_their_prefix(model: GGUFFile) -> None:
    plan = SimpleNamespace(parts=2)
    paths = output_paths(plan, Path("a/b.gguf"))  # type: ignore[arg-type]
    assert [path.name for path in paths] == ["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"]
    assert output_paths(make_plan(model, None, QuantizeOptions()), Path("x")) == [Path("x")]


def leftovers(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["blk.1.attn_q.weight", "output_norm.weight"])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, value: float, name: str) -> None:
    values = weights()
    values[name].reshape(-1)[77] = value
    write_model(tmp_path / "bad.gguf", values)
    place = "in row 0, column 77"
    with pytest.raises(FileError, match=rf"tensor '{name}' has 1 weight infinite or NaN.*{place}"):
        make(tmp_path / "bad.gguf", tmp_path / "out.gguf", FileType.Q4_K_M, QuantizeOptions())
    assert leftovers(tmp_path) == {"bad.gguf"}


def test_weights_beyond_the_range_of_a_type_are_named(tmp_path: Path) -> None:
    values = {"blk.0.attn_q.weight": np.full((2, 256), 1e30, np.float32)}
    write_model(tmp_path / "big.gguf", values)
    for recipe in (FileType.F16, FileType.Q8_0, FileType.Q4_K_M):
        with pytest.raises(FileError, match="has weights beyond the range of"):
            make(tmp_path / "big.gguf", tmp_path / "out.gguf", recipe, QuantizeOptions())
    make(tmp_path / "big.gguf", tmp_path / "out.gguf", FileType.BF16, QuantizeOptions())


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_the_model_is_never_replaced(model_path: Path, tmp_path: Path, link: object) -> None:
    before = model_path.read_bytes()
    output = model_path
    if callable(link):
        output = tmp_path / "other.gguf"
        link(model_path, output)
    with pytest.raises(FileError, match="is what the output is made from"):
        make(model_path, output, FileType.Q8_0, QuantizeOptions())
    assert model_path.read_bytes() == before


def test_a_full_disk_is_known_before_anything_is_written(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(FileError, match=r"needs \d+ MiB, its disk has 1 MiB left"):
        make(model_path, tmp_path / "out.gguf", FileType.Q8_0, QuantizeOptions())
    assert leftovers(tmp_path) == {"model.gguf"}


def test_stopping_halfway_leaves_nothing(model: GGUFFile, tmp_path: Path) -> None:
    plan = make_plan(model, FileType.Q8_0, QuantizeOptions())
    writing_it = write_plan(plan, tmp_path / "out.gguf", 2)
    next(writing_it)
    assert not (tmp_path / "out.gguf").exists()
    writing_it.close()  # type: ignore[attr-defined]
    assert leftovers(tmp_path) == {"model.gguf"}


def test_a_failing_encoder_leaves_nothing(model: GGUFFile, tmp_path: Path) -> None:
    class Failing(ReferenceCoding):
        def encode(self, *_: object) -> Packed:
            raise KeyboardInterrupt

    plan = make_plan(model, FileType.Q8_0, QuantizeOptions())
    with pytest.raises(KeyboardInterrupt):
        list(write_plan(plan, tmp_path / "out.gguf", 2, Failing()))
    assert leftovers(tmp_path) == {"model.gguf"}


def test_a_plan_with_obstacles_is_not_written(model_path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="would be garbage without an importance matrix"):
        make(model_path, tmp_path / "out.gguf", FileType.Q2_K_S, QuantizeOptions())
