"""safetensors files: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_checkpoint import bf16, framed, llama_tensors, safetensors_bytes, write_llama, write_shards
from safetensors.numpy import save_file

from pyllama.convert.sources.checkpoint import Checkpoint, open_checkpoint
from pyllama.convert.sources.safetensors import read_safetensors
from pyllama.errors import ConversionError, FileError
from pyllama.gguf import TensorType

ONE = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def refused(path: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        read_safetensors(path)
    assert caught.value.path == str(path)
    return caught.value.problem


def written(path: Path, header: dict[str, Any], n_bytes: int = 16) -> Path:
    path.write_bytes(framed(header) + bytes(n_bytes))
    return path


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.standard_normal((3, 4)).astype(np.float32),
        "b": rng.standard_normal(5).astype(np.float16),
        "c": rng.standard_normal((2, 2, 2)),
        "d": np.array(3.5, np.float32),
        "e": np.zeros((0, 4), np.float32),
        "f": rng.integers(-9, 9, (2, 3)),
        "g": np.array([True, False]),
    }
    save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "pt"})
    found = {tensor.name: tensor.lazy() for tensor in read_safetensors(tmp_path / "x.safetensors")}
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name].read(), array)
    assert found["c"].type is TensorType.F64


def test_bf16_is_read_as_its_bits(tmp_path: Path) -> None:
    values = np.array([[1.0, -2.5, 3.0e38]], np.float32)
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes({"a": ("BF16", bf16(values))}))
    (tensor,) = (stored.lazy() for stored in read_safetensors(path))
    np.testing.assert_array_equal(tensor.read(), bf16(values))
    np.testing.assert_allclose(tensor.floats(), values, rtol=2**-7)


def test_pieces_are_whole_rows_in_order(tmp_path: Path) -> None:
    array = np.arange(70, dtype=np.float32).reshape(10, 7)
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes({"a": ("F32", array)}))
    (tensor,) = read_safetensors(path)
    pieces = list(tensor.pieces(np.dtype("<f4"), 2, 100))
    assert [len(piece) for piece in pieces] == [2, 2, 2, 2, 2]
    np.testing.assert_array_equal(np.concatenate(pieces), array)


@pytest.mark.parametrize(
    ("entries", "n_bytes", "problem"),
    [
        ({"a": ONE, "b": {**ONE, "data_offsets": [8, 24]}}, 24, "overlap"),
        ({"a": ONE, "b": {**ONE, "data_offsets": [20, 36]}}, 36, "gap"),
        ({"a": {**ONE, "data_offsets": [4, 20]}}, 20, "the header and tensor 'a' have a gap"),
        ({"a": ONE}, 20, "4 bytes after tensor 'a'"),
        ({"a": ONE}, 12, "ends at byte"),
        ({"a": {**ONE, "shape": [2, 3]}}, 16, "has 16 bytes, not those of F32 (2, 3)"),
        ({"a": {**ONE, "shape": [2**40, 2**40]}}, 16, "has 16 bytes, not those"),
        ({"a": {**ONE, "shape": [-2, -2]}}, 16, "has the shape [-2, -2]"),
        ({"a": {**ONE, "shape": [True, 4]}}, 16, "has the shape [True, 4]"),
        ({"a": {**ONE, "shape": "4"}}, 16, "has the shape '4'"),
        ({"a": {**ONE, "shape": [1] * 9}}, 16, "has the shape [1, 1"),
        ({"a": {**ONE, "data_offsets": [16, 0]}}, 16, "has -16 bytes"),
        ({"a": {**ONE, "data_offsets": [0]}}, 16, "lies at [0]"),
        ({"a": {**ONE, "dtype": "F4"}}, 16, "unknown type 'F4'"),
        ({"a": {**ONE, "dtype": ["F32"]}}, 16, "unknown type ['F32']"),
        ({"a": 3}, 16, "unknown type None"),
    ],
)
def test_wrong_tensors(tmp_path: Path, entries: dict[str, Any], n_bytes: int, problem: str) -> None:
    assert problem in refused(written(tmp_path / "x.safetensors", entries, n_bytes))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"1234", "has 4 bytes, too few"),
        ((2**62).to_bytes(8, "little") + b"{}", "its header alone claims"),
        ((3).to_bytes(8, "little") + b"{]}", "is no JSON"),
        ((4).to_bytes(8, "little") + b"[[]]", "holds no JSON object"),
        ((2).to_bytes(8, "little") + b"\xff\xff", "is no JSON"),
        ((100000).to_bytes(8, "little") + b"[" * 100000, "is no JSON"),
    ],
)
def test_wrong_headers(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    assert problem in refused(path)


def test_a_file_that_shrinks_is_not_read_beyond_its_end(tmp_path: Path) -> None:
    path = write_llama(tmp_path) / "model.safetensors"
    tensors = read_safetensors(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConversionError, match="has shrunk"):
        tensors[-1].lazy().read()


def values(checkpoint: Checkpoint) -> dict[str, Any]:
    return {name: tensor.read() for name, tensor in checkpoint.tensors.items()}


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    whole = values(open_checkpoint(write_llama(tmp_path / "one")))
    shards = open_checkpoint(write_shards(tmp_path / "two"))
    assert len(shards.files) == 2
    np.testing.assert_equal(values(shards), whole)
    (tmp_path / "two" / "model.safetensors.index.json").unlink()
    np.testing.assert_equal(values(open_checkpoint(tmp_path / "two")), whole)


def change_index(folder: Path, **places: str) -> None:
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] |= places
    path.write_text(json.dumps(index))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, 3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ConversionError, match=r"model-00002-of-00003\.safetensors is missing"):
        open_checkpoint(folder)


def test_index_and_shard_that_disagree(tmp_path: Path) -> None:
    folder = write_shards(tmp_path)
    change_index(folder, other="model-00001-of-00002.safetensors")
    with pytest.raises(ConversionError, match="lacks the tensor 'other'"):
        open_checkpoint(folder)


def test_a_tensor_that_the_index_does_not_say(tmp_path: Path) -> None:
    folder = write_shards(tmp_path)
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    del index["weight_map"]["model.norm.weight"]
    path.write_text(json.dumps(index))
    with pytest.raises(ConversionError, match=r"holds the tensor 'model\.norm\.weight', which the"):
        open_checkpoint(folder)


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "..", "a/b"])
def test_an_index_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    folder = write_shards(tmp_path)
    change_index(folder, other=name)
    with pytest.raises(ConversionError, match="which is no file name"):
        open_checkpoint(folder)


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    folder = write_shards(tmp_path)
    name = "model.norm.weight"
    for number in (1, 2):
        tensors = {name: ("BF16", bf16(llama_tensors()[name]))}
        path = folder / f"model-0000{number}-of-00002.safetensors"
        path.write_bytes(safetensors_bytes(tensors))
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(ConversionError, match=r"'model.norm.weight' is also in model-00001"):
        open_checkpoint(folder)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="holds no weights; looked for model"):
        open_checkpoint(tmp_path)
    with pytest.raises(FileError, match="no such directory"):
        open_checkpoint(tmp_path / "missing")


def test_a_type_that_gguf_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_bytes({"a": ("U8", np.zeros(8, np.uint8))}))
    path.write_bytes(path.read_bytes().replace(b'"U8"', b'"U64"').replace(b"[8]", b"[1]"))
    header = {"a": {"dtype": "U64", "shape": [1], "data_offsets": [0, 8]}}
    with pytest.raises(ConversionError, match="is U64, which cannot be converted"):
        open_checkpoint(written(path, header, 8).parent)
