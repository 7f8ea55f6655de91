"""Reading sound files: values, order, shapes, views of the data."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import raw_gguf as raw

from pyllama.errors import FileError, UsageError
from pyllama.gguf import (
    Field,
    GGUFFile,
    StringArray,
    TensorInfo,
    TensorType,
    ValueType,
    write_gguf,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


SCALARS = [
    (ValueType.UINT8, "B", 255),
    (ValueType.INT8, "b", -128),
    (ValueType.UINT16, "H", 65535),
    (ValueType.INT16, "h", -32768),
    (ValueType.UINT32, "I", 2**32 - 1),
    (ValueType.INT32, "i", -(2**31)),
    (ValueType.FLOAT32, "f", 0.5),
    (ValueType.BOOL, "?", True),
    (ValueType.UINT64, "Q", 2**64 - 1),
    (ValueType.INT64, "q", -(2**63)),
    (ValueType.FLOAT64, "d", 0.1),
]


@pytest.mark.parametrize(("type", "code", "value"), SCALARS)
def test_scalar_and_array_of_each_type(path: Path, type: ValueType, code: str, value: int) -> None:
    one, three = struct.pack("<" + code, value), struct.pack("<3" + code, value, 0, 1)
    path.write_bytes(raw.gguf([raw.field("one", type, one), raw.array("three", type, 3, three)]))
    with GGUFFile.open(path) as file:
        assert file.metadata["one"] == value
        assert file.metadata["one"].__class__ is value.__class__
        assert file.fields["one"].type is type
        array = file.metadata["three"]
        assert array.tolist() == [value, 0, 1]
        assert array.dtype == np.dtype(code)
        assert array.flags.aligned
        assert not array.flags.writeable
        assert file.fields["three"].element_type is type


@pytest.mark.parametrize("version", [2, 3])
def test_file_attributes_and_order(path: Path, version: int) -> None:
    fields = [raw.text("z", "last letter"), raw.u32("a", 1), raw.text("empty", "")]
    path.write_bytes(raw.gguf(fields, version=version))
    with GGUFFile.open(str(path)) as file:
        assert file.path == path
        assert file.paths == (path,)
        assert file.version == version
        assert file.alignment == 32
        assert list(file.fields) == list(file.metadata) == ["z", "a", "empty"]
        assert dict(file.metadata) == {"z": "last letter", "a": 1, "empty": ""}
        assert not file.tensors


@pytest.mark.parametrize("element_type", [t for t in ValueType if t is not ValueType.ARRAY])
def test_empty_arrays(path: Path, element_type: ValueType) -> None:
    path.write_bytes(raw.gguf([raw.array("none", element_type, 0, b"")]))
    with GGUFFile.open(path) as file:
        assert list(file.metadata["none"]) == []


def test_tensors(path: Path) -> None:
    first, second = np.arange(6, dtype="<f4"), np.arange(34, dtype=np.uint8)
    tensors = [
        raw.tensor("b", (3, 2), TensorType.F32, 0),
        raw.tensor("a", (32,), TensorType.Q8_0, 32),
        raw.tensor("scalar", (), TensorType.I8, 96),
    ]
    data = first.tobytes() + bytes(8) + second.tobytes() + bytes(30) + b"\x07"
    path.write_bytes(raw.gguf([], tensors, data))
    with GGUFFile.open(path) as file:
        start = file.tensors["b"].offset
        assert start % 32 == 0
        assert list(file.tensors.values()) == [
            TensorInfo("b", (2, 3), TensorType.F32, 24, start),
            TensorInfo("a", (32,), TensorType.Q8_0, 34, start + 32),
            TensorInfo("scalar", (), TensorType.I8, 1, start + 96),
        ]
        assert file.tensors["b"].dims == (3, 2)
        assert file.tensors["b"].n_elements == 6
        assert file.data("b").view("<f4").tolist() == first.tolist()
        assert file.data("a").tolist() == second.tolist()
        assert file.data("scalar").tolist() == [7]


def test_alignment_from_the_metadata(path: Path) -> None:
    tensors = [raw.tensor("a", (1,), 0, 0), raw.tensor("b", (1,), 0, 256)]
    data = struct.pack("<f252xf", 1.0, 2.0)
    path.write_bytes(raw.gguf([raw.u32("general.alignment", 256)], tensors, data, alignment=256))
    with GGUFFile.open(path) as file:
        assert file.alignment == 256
        assert file.data("b").view("<f4")[0] == 2.0


def test_data_is_a_read_only_view_of_the_file(path: Path) -> None:
    path.write_bytes(raw.gguf([], [raw.tensor("a", (4,), TensorType.I8)], b"abcd"))
    with GGUFFile.open(path) as file:
        view = file.data("a")
        assert view.base is not None
        assert not view.flags.writeable
        offset = file.tensors["a"].offset
        with path.open("r+b") as stream:  # a mapping sees what a copy would not
            stream.seek(offset)
            stream.write(b"B")
        assert bytes(view) == b"Bbcd"


def test_empty_tensor_at_the_end_of_the_file(path: Path) -> None:
    path.write_bytes(raw.gguf([], [raw.tensor("a", (0,), TensorType.F32)]))
    with GGUFFile.open(path) as file:
        assert file.data("a").shape == (0,)


def test_views_outlive_the_file(path: Path) -> None:
    path.write_bytes(raw.gguf([raw.u32("a", 1)], [raw.tensor("a", (4,), 24)], b"abcd"))
    with GGUFFile.open(path) as file:
        view = file.data("a")
    assert bytes(view) == b"abcd"
    assert file.metadata["a"] == 1
    with pytest.raises(UsageError, match="closed"):
        file.data("a")
    file.close()


def test_released_data_are_read_again(path: Path) -> None:
    values = np.arange(10_000, dtype=np.float32)
    empty = np.empty(0, np.float32)
    write_gguf(
        path, {}, {"a": ((10_000,), TensorType.F32, values), "none": ((0,), TensorType.F32, empty)}
    )
    with GGUFFile.open(path) as file:
        data = file.data("a")
        for name in file.tensors:
            file.release(name)
        assert data.tobytes() == values.tobytes()
        file.release("a", 5000, 30_000)
        file.release("a", 40_000)
        assert data.tobytes() == values.tobytes()
    file.release("a")


def test_unknown_tensor_is_named(path: Path) -> None:
    path.write_bytes(raw.gguf())
    with GGUFFile.open(path) as file, pytest.raises(FileError, match=r"no tensor 'lost'"):
        file.data("lost")


@pytest.mark.skipif(os.name == "nt", reason="Windows does not shrink a mapped file")
def test_a_file_that_shrinks_gives_an_error(path: Path) -> None:
    path.write_bytes(raw.gguf([], [raw.tensor("a", (100_000,), 24)], bytes(100_000)))
    with GGUFFile.open(path) as file:
        os.truncate(path, 5_000)
        with pytest.raises(FileError, match="shrunk since"):
            file.data("a")


def test_metadata_survive_a_file_that_shrinks(path: Path) -> None:
    path.write_bytes(raw.gguf([raw.strings("tokens", [b"x" * 50] * 2_000)]))
    with GGUFFile.open(path) as file:
        if os.name != "nt":
            os.truncate(path, 0)
        assert list(file.metadata["tokens"]) == ["x" * 50] * 2_000


def test_mappings_are_read_only(path: Path) -> None:
    path.write_bytes(raw.gguf([raw.u32("a", 1)]))
    with GGUFFile.open(path) as file:
        for mapping in (file.fields, file.metadata, file.tensors):
            with pytest.raises(TypeError):
                mapping["a"] = 0  # type: ignore[index]


def test_a_header_of_several_pieces(path: Path) -> None:
    """Longer than what is read at once, with strings across the joints."""
    tokens = [b"%d" % i * (i % 300) for i in range(9_000)]
    fields = [raw.strings("a", tokens), raw.text("b", b"y" * 9_000_000), raw.strings("c", tokens)]
    path.write_bytes(raw.gguf(fields, [raw.tensor("t", (1,), 24)], b"z"))
    with GGUFFile.open(path) as file:
        assert [t.encode() for t in file.metadata["a"]] == tokens
        assert len(file.metadata["b"]) == 9_000_000
        assert file.metadata["c"] == file.metadata["a"]
        assert bytes(file.data("t")) == b"z"


def test_opening_decodes_no_strings(path: Path) -> None:
    count = 20_000
    path.write_bytes(raw.gguf([raw.strings("tokens", [b"token %d" % i for i in range(count)])]))
    before = sys.getallocatedblocks()
    file = GGUFFile.open(path)
    after_open = sys.getallocatedblocks()
    tokens = list(file.metadata["tokens"])
    after_decode = sys.getallocatedblocks()
    file.close()
    assert after_open - before < 1_000
    assert after_decode - after_open > count * 0.9
    assert tokens[-1] == f"token {count - 1}"


def strings_of(path: Path, items: list[bytes]) -> StringArray:
    path.write_bytes(raw.gguf([raw.strings("s", items)]))
    with GGUFFile.open(path) as file:
        array = file.metadata["s"]
    assert isinstance(array, StringArray)
    return array


def test_string_array_is_a_sequence(path: Path) -> None:
    array = strings_of(path, [b"a", b"", "Ġ\0né".encode()])
    assert len(array) == 3
    assert [array[0], array[1], array[2], array[-1]] == ["a", "", "Ġ\0né", "Ġ\0né"]
    assert array[1:] == ["", "Ġ\0né"]
    assert array[::-1] == ["Ġ\0né", "", "a"]
    assert array.raw(-1) == "Ġ\0né".encode()
    assert array.index("") == 1
    assert "b" not in array
    assert array == ["a", "", "Ġ\0né"]
    assert array != ["a", "", "b"]
    assert array != ["a"]
    for index in (3, -4):
        with pytest.raises(IndexError):
            array[index]


def test_strings_that_are_not_utf8_keep_their_bytes(path: Path) -> None:
    items = [b"fine", b"\xff\xfe", "é".encode()[:1], b"\xed\xa0\x80"]
    array = strings_of(path, items)
    assert [text.encode("utf-8", "surrogateescape") for text in array] == items
    assert [array[i] for i in range(4)] == list(array)
    path.write_bytes(raw.gguf([raw.text("general.name", b"caf\xe9")]))
    with GGUFFile.open(path) as file:
        assert file.metadata["general.name"].encode("utf-8", "surrogateescape") == b"caf\xe9"


def test_field_is_immutable() -> None:
    with pytest.raises(AttributeError):
        Field(ValueType.UINT8, 1).value = 2  # type: ignore[misc]
