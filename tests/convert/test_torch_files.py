"""PyTorch's files: read without it, and without running what is in them."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_checkpoint import (
    bf16,
    llama_tensors,
    stored,
    tensor_program,
    text,
    torch_file,
    write_llama,
)

from pyllama.convert.sources.checkpoint import open_checkpoint
from pyllama.convert.sources.state_pickle import PickleProblem, read_state
from pyllama.convert.sources.torch_zip import read_torch
from pyllama.errors import ConversionError

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_the_same_tensors_as_from_safetensors(tmp_path: Path, dtype: str) -> None:
    expected = open_checkpoint(write_llama(tmp_path / "a", dtype)).tensors
    tensors = {name: (dtype, stored(value, dtype)) for name, value in llama_tensors().items()}
    (tmp_path / "b").mkdir()
    torch_file(tmp_path / "b" / "pytorch_model.bin", tensors)
    found = open_checkpoint(tmp_path / "b").tensors
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].type is tensor.type
        np.testing.assert_array_equal(found[name].read(), tensor.read())


def test_safetensors_are_preferred(tmp_path: Path) -> None:
    write_llama(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"never looked at")
    assert open_checkpoint(tmp_path).files == (tmp_path / "model.safetensors",)


class Malicious:
    """Something that a pickle may call."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self._target,)


def archive(path: Path, program: bytes, **data: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("x/data.pkl", program)
        for key, content in data.items():
            target.writestr(f"x/data/{key}", content)
    return path


@pytest.mark.parametrize("protocol", [2, 4])
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    program = pickle.dumps({"a": Malicious(tmp_path / "touched")}, protocol)
    with pytest.raises(ConversionError, match="its pickle was not trusted"):
        read_torch(archive(tmp_path / "x.bin", program))
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        (b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.", "it calls os.system"),
        (b"\x80\x02cbuiltins\neval\nX\x01\0\0\x001\x85R.", "it calls builtins.eval"),
        (b"\x80\x02}(X\x01\0\0\0acos\nsystem\nu.", None),
        (b"\x80\x02N.", "it holds no tensors by name"),
        (b"\x80\x02]K\x01a.", "it holds no tensors by name"),
        (b"\x80\x02}K\x01K\x02s.", "it has values without a name"),
        (b"\x80\x02K\x01K\x02a.", "it appends to what is no list"),
        (b"\x80\x02NK\x01K\x02s.", "it sets items of what is no dictionary"),
        (b"\x80\x02h\x05.", "it is damaged"),
        (b"\x80\x02", "it is damaged"),
        (b"", "it is damaged"),
        (b"\xff\xff\xff", "it is damaged"),
        (b"\x80\x02t.", "it is damaged"),
        (b"\x80\x02}.", None),
        (b"\x80\x02(X\x07\0\0\0storageK\x01K\x02K\x03K\x04tQ.", "no storage of a known type"),
        (b"\x80\x04\x8c\x01aj\xff\xff\xff\xff.", "it is damaged"),
        (b"(i__builtin__\nlist\n.", "it has the instruction INST"),
        (b"\x80\x02}(c__main__\nx\n\x81.", "it has the instruction NEWOBJ"),
    ],
)
def test_programs(program: bytes, problem: str | None) -> None:
    if problem is None:
        assert isinstance(read_state(program), dict)
        return
    with pytest.raises(PickleProblem, match=problem):
        read_state(program)


def with_program(path: Path, tensor: bytes) -> Path:
    """A file of one storage of 48 bytes, key 0, and one tensor ``a``."""
    program = b"\x80\x02}" + text("a") + tensor + b"s."
    return archive(path, program, **{"0": ARRAY.tobytes()})


def test_a_part_of_a_storage(tmp_path: Path) -> None:
    program = tensor_program("0", "F32", ARRAY[1:], offset=4)
    (tensor,) = read_torch(with_program(tmp_path / "x.bin", program))
    np.testing.assert_array_equal(tensor.lazy().read(), ARRAY[1:])


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (tensor_program("0", "F32", ARRAY, offset=1), "ends beyond the part '0'"),
        (tensor_program("0", "F32", np.zeros((4, 4), np.float32)), "ends beyond the part '0'"),
        (tensor_program("7", "F32", ARRAY), "is in the part '7', which is missing"),
        (tensor_program("0", "F32", ARRAY, strides=(1, 3)), "do not lie side by side"),
        (tensor_program("0", "F32", ARRAY, strides=(4,)), "has the shape"),
        (tensor_program("0", "F32", ARRAY, offset=-1), "it has the size -1"),
        (tensor_program("0", "F32", ARRAY, strides=(-4, 1)), "it has the size -4"),
    ],
)
def test_wrong_tensors_of_a_storage(tmp_path: Path, tensor: bytes, problem: str) -> None:
    with pytest.raises(ConversionError, match=problem):
        read_torch(with_program(tmp_path / "x.bin", tensor))


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ConversionError, match="is no zip file"):
        read_torch(path)
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("x/data", b"")
    with pytest.raises(ConversionError, match="holds no weights as PyTorch saves them"):
        read_torch(path)


def test_a_compressed_storage(tmp_path: Path) -> None:
    path = with_program(tmp_path / "x.bin", tensor_program("0", "F32", ARRAY))
    with zipfile.ZipFile(path) as old:
        entries = {entry.filename: old.read(entry) for entry in old.infolist()}
    with zipfile.ZipFile(path, "w") as target:
        for name, content in entries.items():
            kind = zipfile.ZIP_DEFLATED if "/data/" in name else zipfile.ZIP_STORED
            target.writestr(name, content, kind)
    with pytest.raises(ConversionError, match="is compressed"):
        read_torch(path)


def test_every_truncation_is_an_error_or_the_same(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    torch_file(path, {"a": ("BF16", bf16(ARRAY)), "b": ("F32", ARRAY)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ConversionError):
            read_torch(path)


def test_big_endian(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("x/data.pkl", b"\x80\x02}.")
        target.writestr("x/byteorder", "big")
    with pytest.raises(ConversionError, match="big-endian"):
        read_torch(path)
