"""Metadata values: the types they get, and the values that no type holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, GGUFWriter, ValueType, write_gguf


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


V = ValueType


def as_plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize(
    ("value", "type", "element_type"),
    [
        (True, V.BOOL, None),
        (0, V.UINT32, None),
        (2**32 - 1, V.UINT32, None),
        (-1, V.INT32, None),
        (2**32, V.UINT64, None),
        (-(2**31) - 1, V.INT64, None),
        (0.5, V.FLOAT32, None),
        ("tëxt", V.STRING, None),
        ("", V.STRING, None),
        (np.uint16(3), V.UINT16, None),
        (np.float64(0.1), V.FLOAT64, None),
        (np.bool_(True), V.BOOL, None),
        (np.array(7, np.int8), V.INT8, None),
        ([1, -2], V.ARRAY, V.INT32),
        ([1, 2**31], V.ARRAY, V.UINT32),
        ([-1, 2**31], V.ARRAY, V.INT64),
        ([1, 2**63], V.ARRAY, V.UINT64),
        ([np.int64(1), 2], V.ARRAY, V.INT32),
        ([1, 0.5], V.ARRAY, V.FLOAT32),
        ([True, False], V.ARRAY, V.BOOL),
        (("a", "", "é"), V.ARRAY, V.STRING),
        (np.arange(3, dtype=np.uint8), V.ARRAY, V.UINT8),
        (np.array([1, 2], ">i2"), V.ARRAY, V.INT16),
        (np.array([], np.float64), V.ARRAY, V.FLOAT64),
    ],
)
def test_types_are_inferred(
    path: Path, value: Any, type: ValueType, element_type: ValueType | None
) -> None:
    write_gguf(path, {"k": value}, {})
    with GGUFFile.open(path) as file:
        field = file.fields["k"]
    assert (field.type, field.element_type) == (type, element_type)
    assert as_plain(field.value) == (list(value) if isinstance(value, tuple) else as_plain(value))


NUMBERS = [t for t in ValueType if t not in (V.STRING, V.ARRAY)]


@pytest.mark.parametrize("type", NUMBERS)
def test_types_are_given(path: Path, type: ValueType) -> None:
    one = type is V.BOOL or 1
    with GGUFWriter(path) as writer:
        writer.add("one", one, type)
        writer.add("list", [one, one], element_type=type)
        writer.add("none", [], V.ARRAY, type)
        writer.add("array", np.array([one]), V.ARRAY, type)
    with GGUFFile.open(path) as file:
        assert file.fields["one"].type is type
        assert {file.fields[k].element_type for k in ("list", "none", "array")} == {type}
        assert [as_plain(v) for v in file.metadata.values()] == [one, [one, one], [], [one]]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((256, V.UINT8), "does not fit UINT8"),
        ((-1, V.UINT32), "does not fit UINT32"),
        ((0.5, V.INT32), "does not fit INT32"),
        ((1e300, V.FLOAT32), "does not fit FLOAT32"),
        (("1", V.FLOAT32), "does not fit FLOAT32"),
        ((1, V.BOOL), "is a BOOL but its value is not"),
        ((1, V.STRING), "is a STRING but its value is not"),
        ((2**64,), "no 64-bit type"),
        ((None,), "type NoneType, which GGUF cannot hold"),
        (({},), "type dict, which GGUF cannot hold"),
        (([],), "empty list; give its element type"),
        (([[1]],), "list of list"),
        ((["a", 1],), "list of int, str"),
        (([1, True],), "list of bool, int"),
        (([300], V.ARRAY, V.UINT8), "does not fit UINT8"),
        ((np.array([300]), V.ARRAY, V.UINT8), "does not fit UINT8"),
        ((np.zeros((2, 2)),), "has 2 dimensions"),
        ((np.zeros(2, np.float16),), "type float16"),
        ((np.zeros(2, np.complex64),), "type complex64"),
        ((1, V.ARRAY), "needs a list or an array, not 1"),
        ((1, V.UINT8, V.UINT8), "is a UINT8, which has no elements"),
        (([1], V.ARRAY, V.ARRAY), "array of arrays"),
        (("\ud800",), "UTF-8 cannot hold"),
    ],
)
def test_values_that_do_not_fit(path: Path, arguments: Any, problem: str) -> None:
    with pytest.raises(FileError, match="metadata key 'k'") as caught, GGUFWriter(path) as writer:
        writer.add("k", *arguments)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(path.parent.iterdir())


def test_text_that_is_not_utf8(path: Path) -> None:
    with GGUFWriter(path) as writer:
        writer.add("one", b"\xff", V.STRING)
        writer.add("list", [b"\xfe", "a\udcff"])
    with GGUFFile.open(path) as file:
        assert file.metadata["one"] == "\udcff"
        assert file.metadata["list"].raw(0) == b"\xfe"
        assert file.metadata["list"].raw(1) == b"a\xff"
