"""Agreement with the ``gguf`` package, reading and writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from pyllama.gguf import (
    GGUFFile,
    GGUFWriter,
    StringArray,
    TensorType,
    ValueType,
    tensor_bytes,
    write_gguf,
)

FIELDS: dict[str, tuple[Any, ValueType, ValueType | None]] = {
    "general.name": ("Modell ü", ValueType.STRING, None),
    "a.u8": (200, ValueType.UINT8, None),
    "a.i8": (-100, ValueType.INT8, None),
    "a.u16": (60_000, ValueType.UINT16, None),
    "a.i16": (-30_000, ValueType.INT16, None),
    "a.u32": (4_000_000_000, ValueType.UINT32, None),
    "a.i32": (-2_000_000_000, ValueType.INT32, None),
    "a.f32": (0.25, ValueType.FLOAT32, None),
    "a.bool": (True, ValueType.BOOL, None),
    "a.u64": (2**63, ValueType.UINT64, None),
    "a.i64": (-(2**62), ValueType.INT64, None),
    "a.f64": (0.1, ValueType.FLOAT64, None),
    "a.texts": (["a", "ü", ""], ValueType.ARRAY, ValueType.STRING),
    "a.ints": ([1, -2, 3], ValueType.ARRAY, ValueType.INT32),
    "a.floats": ([0.5, -0.5], ValueType.ARRAY, ValueType.FLOAT32),
    "a.bools": ([True, False], ValueType.ARRAY, ValueType.BOOL),
}


def known_types() -> list[TensorType]:
    """The types whose blocks this version of the package knows.

    Not Q8_1, which occurs in no file: ggml's block has 36 bytes, the package says 40.
    """
    known = {int(type) for type in gguf.GGML_QUANT_SIZES}
    return [type for type in TensorType if type in known and type is not TensorType.Q8_1]


def random_bytes(shape: tuple[int, ...], type: TensorType) -> np.ndarray[Any, Any]:
    return np.random.default_rng(type).integers(0, 256, tensor_bytes(shape, type), np.uint8)


def shape_of(type: TensorType) -> tuple[int, int]:
    return (3, 2 * type.block_size)


@pytest.mark.parametrize("type", known_types(), ids=lambda t: t.label)
def test_block_sizes(type: TensorType) -> None:
    theirs = gguf.GGMLQuantizationType(type)
    assert theirs.name == type.name
    assert gguf.GGML_QUANT_SIZES[theirs] == (type.block_size, type.block_bytes)


@pytest.mark.parametrize("alignment", [32, 64])
def test_the_package_reads_what_we_write(tmp_path: Path, alignment: int) -> None:
    path = tmp_path / "ours.gguf"
    tensors = {t.label: (shape_of(t), t, random_bytes(shape_of(t), t)) for t in known_types()}
    with GGUFWriter(path, alignment) as writer:
        for key, (value, type, element_type) in FIELDS.items():
            writer.add(key, value, type, element_type)
        for name, (shape, tensor_type, _) in tensors.items():
            writer.add_tensor_info(name, shape, tensor_type)
        for name, (_, _, data) in tensors.items():
            writer.write_tensor(name, data)
    reader = gguf.GGUFReader(path)
    for key, (value, type, element_type) in FIELDS.items():
        field = reader.fields[key]
        assert field.types == [gguf.GGUFValueType(t) for t in (type, element_type) if t is not None]
        assert field.contents() == (np.float32(value) if type is ValueType.FLOAT32 else value)
    assert [t.name for t in reader.tensors] == list(tensors)
    for tensor in reader.tensors:
        shape, type_, data = tensors[tensor.name]
        assert int(tensor.tensor_type) == type_
        assert tensor.shape.tolist() == list(shape[::-1])
        assert tensor.data_offset % alignment == 0
        assert tensor.data.tobytes() == data.tobytes()


@pytest.mark.parametrize("alignment", [32, 64])
def test_we_read_what_the_package_writes(tmp_path: Path, alignment: int) -> None:
    path = tmp_path / "theirs.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    if alignment != 32:
        writer.add_custom_alignment(alignment)
    for key, (value, type, element_type) in FIELDS.items():
        theirs = None if element_type is None else gguf.GGUFValueType(element_type)
        writer.add_key_value(key, value, gguf.GGUFValueType(type), theirs)
    tensors = {t.label: (t, random_bytes(shape_of(t), t)) for t in known_types()}
    for name, (tensor_type, data) in tensors.items():
        writer.add_tensor(
            name, data.reshape(3, -1), raw_dtype=gguf.GGMLQuantizationType(tensor_type)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with GGUFFile.open(path) as file:
        assert file.alignment == alignment
        assert file.metadata["general.architecture"] == "llama"
        for key, (value, type, element_type) in FIELDS.items():
            field = file.fields[key]
            assert (field.type, field.element_type) == (type, element_type)
            plain: Any = field.value
            assert (list(plain) if isinstance(value, list) else plain) == value
        assert list(file.tensors) == list(tensors)
        for name, (tensor_type, data) in tensors.items():
            assert file.tensors[name].type is tensor_type
            assert file.tensors[name].shape == shape_of(tensor_type)
            assert file.data(name).tobytes() == data.tobytes()


@pytest.mark.parametrize("name", ["models/stories260K.gguf", "vocabs/ggml-vocab-phi-3.gguf"])
def test_real_files(shared: Path, tmp_path: Path, name: str) -> None:
    """Read as the package does, and a copy is the same byte for byte."""
    path = shared / name
    reader = gguf.GGUFReader(path)
    with GGUFFile.open(path) as file:
        theirs = [key for key in reader.fields if not key.startswith("GGUF.")]
        assert list(file.fields) == theirs
        for key, value in file.metadata.items():
            plain = list(value) if isinstance(value, StringArray | np.ndarray) else value
            assert plain == reader.fields[key].contents(), key
        assert list(file.tensors) == [t.name for t in reader.tensors]
        for tensor in reader.tensors:
            assert file.tensors[tensor.name].offset == tensor.data_offset
            assert file.data(tensor.name).tobytes() == tensor.data.tobytes()
        copy = tmp_path / "copy.gguf"
        tensors = {t.name: (t.shape, t.type, file.data(t.name)) for t in file.tensors.values()}
        write_gguf(copy, file.fields, tensors, file.alignment)
    ours, original = copy.read_bytes(), path.read_bytes()
    assert ours.rstrip(b"\0") == original.rstrip(b"\0")  # the last padding is optional


def test_a_large_vocabulary(shared: Path) -> None:
    with GGUFFile.open(shared / "vocabs/ggml-vocab-llama-bpe.gguf") as file:
        tokens, merges = (
            file.metadata["tokenizer.ggml.tokens"],
            file.metadata["tokenizer.ggml.merges"],
        )
        assert (len(tokens), len(merges)) == (128_256, 280_147)
        assert (tokens[0], tokens[128_000], merges[0]) == ("!", "<|begin_of_text|>", "Ġ Ġ")
        decoded = list(tokens)
        assert len(set(decoded)) == 128_256
        assert decoded[-1] == tokens[-1] == "<|reserved_special_token_250|>"
