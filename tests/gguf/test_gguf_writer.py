"""Writing files: what goes in comes out, and calls out of order are refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyllama.errors import PyllamaError, UsageError
from pyllama.gguf import (
    GGUFFile,
    GGUFWriter,
    TensorType,
    tensor_bytes,
    write_gguf,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def random_tensors(seed: int) -> dict[str, tuple[tuple[int, ...], TensorType, Any]]:
    rng = np.random.default_rng(seed)
    tensors: dict[str, tuple[tuple[int, ...], TensorType, Any]] = {}
    for type in TensorType:
        shape = (3, 2, type.block_size * 2)
        data = rng.integers(0, 256, tensor_bytes(shape, type), np.uint8)
        tensors[f"blk.0.{type.label}.weight"] = (shape, type, data)
    return tensors


@pytest.mark.parametrize("alignment", [1, 8, 32, 4096])
def test_every_tensor_type(path: Path, alignment: int) -> None:
    tensors = random_tensors(1)
    write_gguf(path, {}, tensors, alignment)
    with GGUFFile.open(path) as file:
        assert file.alignment == alignment
        assert list(file.tensors) == list(tensors)
        for name, (shape, type, data) in tensors.items():
            info = file.tensors[name]
            assert (info.shape, info.type, info.n_bytes) == (shape, type, data.nbytes)
            assert info.offset % alignment == 0
            assert file.data(name).tobytes() == data.tobytes()
    assert os.path.getsize(path) % alignment == 0


def test_copy_of_a_file_is_the_same(path: Path) -> None:
    fields = {
        "general.architecture": "llama",
        "general.alignment": 64,
        "k": np.int8(-1),
        "tokens": ["a", "", "é", "x" * 300],
        "odd": [b"\xff", b"\xed\xa0\x80"],
        "scores": np.array([0.5, np.nan], np.float32),
        "flags": [True, False],
        "none": np.array([], np.uint16),
    }
    write_gguf(path, fields, random_tensors(2), alignment=64)
    copy = path.with_name("copy.gguf")
    with GGUFFile.open(path) as file:
        tensors = {t.name: (t.shape, t.type, file.data(t.name)) for t in file.tensors.values()}
        write_gguf(copy, file.fields, tensors, file.alignment)
    assert copy.read_bytes() == path.read_bytes()


def test_forms_of_tensor_data(path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    forms: dict[str, Any] = {
        "array": values,
        "columns first": np.asfortranarray(values),
        "strided": np.repeat(values, 2, axis=1)[:, ::2],
        "big-endian": values.astype(">f4"),
        "bytes": values.tobytes(),
        "bytearray": bytearray(values.tobytes()),
        "memoryview": memoryview(values.tobytes()).cast("f"),
        "generator": (row.tobytes() for row in values),
        "arrays": [values[:1], values[1:]],
    }
    write_gguf(path, {}, {name: ((2, 3), TensorType.F32, form) for name, form in forms.items()})
    with GGUFFile.open(path) as file:
        for name in forms:
            assert file.data(name).view("<f4").tolist() == [0, 1, 2, 3, 4, 5], name


def test_empty_and_scalar_tensors(path: Path) -> None:
    tensors = {
        "empty": ((2, 0), TensorType.F32, np.empty((2, 0), np.float32)),
        "scalar": ((), TensorType.F32, np.full((), 3, np.float32)),
    }
    write_gguf(path, {}, tensors)
    with GGUFFile.open(path) as file:
        assert file.tensors["empty"].shape == (2, 0)
        assert file.data("scalar").view("<f4").tolist() == [3.0]


Act = Callable[[GGUFWriter], None]
F32 = TensorType.F32


def declared(act: Act) -> Act:
    """The act, after two tensors of eight bytes have been declared."""

    def run(writer: GGUFWriter) -> None:
        writer.add_tensor_info("a", (2,), F32)
        writer.add_tensor_info("b", (2,), F32)
        act(writer)

    return run


def late(act: Act) -> Act:
    """The act, after data have been written."""

    def run(writer: GGUFWriter) -> None:
        writer.write_tensor("a", bytes(8))
        act(writer)

    return declared(run)


def twice(act: Act) -> Act:
    def run(writer: GGUFWriter) -> None:
        act(writer)
        act(writer)

    return run


MISUSES: dict[str, tuple[Act, str]] = {
    "duplicate key": (twice(lambda w: w.add("k", 1)), "key 'k' occurs twice"),
    "empty key": (lambda w: w.add("", 1), "key is empty"),
    "long key": (lambda w: w.add("k" * 65_536, 1), "65536 bytes, 65535 are allowed"),
    "key not UTF-8": (lambda w: w.add("\udcff", 1), "is not UTF-8"),
    "alignment key": (lambda w: w.add("general.alignment", 64), "give the writer alignment=64"),
    "duplicate tensor": (
        twice(lambda w: w.add_tensor_info("t", (1,), F32)),
        "tensor 't' occurs twice",
    ),
    "long tensor name": (lambda w: w.add_tensor_info("t" * 64, (1,), F32), "64 bytes, 63"),
    "dimensions": (lambda w: w.add_tensor_info("t", (1,) * 5, F32), "5 dimensions"),
    "row": (lambda w: w.add_tensor_info("t", (2, 33), TensorType.Q8_0), "multiple of 32"),
    "order": (declared(lambda w: w.write_tensor("b", bytes(8))), "'b' written, 'a' is next"),
    "not declared": (lambda w: w.write_tensor("b", b""), "'b' written, none is next"),
    "too short": (declared(lambda w: w.write_tensor("a", bytes(7))), "got 7 bytes where"),
    "too long": (declared(lambda w: w.write_tensor("a", [bytes(8), b"1"])), "got 9 bytes or more"),
    "not written": (declared(lambda _: None), "2 tensors from 'a' on declared but not written"),
    "half written": (late(lambda _: None), "1 tensor from 'b' on declared but not written"),
    "late key": (late(lambda w: w.add("k", 1)), "declared before any data"),
    "late tensor": (late(lambda w: w.add_tensor_info("c", (1,), F32)), "declared before any"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse(path: Path, name: str) -> None:
    act, expected = MISUSES[name]
    path.write_bytes(b"before")
    with pytest.raises(PyllamaError) as caught, GGUFWriter(path) as writer:
        act(writer)
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


def test_a_swallowed_failure_does_not_pass_for_a_file(path: Path) -> None:
    def swallow(writer: GGUFWriter) -> None:
        with pytest.raises(UsageError):
            writer.write_tensor("a", bytes(7))
        writer.write_tensor("b", bytes(8))

    with pytest.raises(UsageError, match="not written whole"), GGUFWriter(path) as writer:
        declared(swallow)(writer)
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("alignment", [0, -32, 48, 2**32])
def test_alignment_must_be_a_power_of_two(path: Path, alignment: int) -> None:
    with pytest.raises(UsageError, match="not a power of two"):
        GGUFWriter(path, alignment)


def test_outside_the_with_block(path: Path) -> None:
    writer = GGUFWriter(path)
    with pytest.raises(UsageError, match="inside the `with` block"):
        writer.write_tensor("a", b"")
