"""Converted files against tensors and numbers that are worked out here in another way."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from raw_checkpoint import (
    HEAD,
    HEADS,
    KV_HEADS,
    Array,
    llama_tensors,
    safetensors_bytes,
    stored,
    write_llama,
    write_shards,
)

from pyllama.convert import ConvertOptions, convert, make_plan, write_plan
from pyllama.errors import ConversionError, FileError
from pyllama.gguf import GGUFFile, TensorType, parts
from pyllama.gguf.file_types import FileType
from pyllama.gguf.parts import Limits
from pyllama.quants import dequantize, quantize
from pyllama.tokenizers import Tokenizer

BARE = ConvertOptions(vocabulary=False)
F32 = replace(BARE, file_type=FileType.F32)

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}


def renamed(name: str) -> str:
    layer = f"blk.{name.split('.')[2]}." if "layers" in name else ""
    (found,) = (
        new
        for old, new in NAMES.items()
        if old in name and ("norm" not in old or old + ".w" in name)
    )
    return f"{layer}{found}.weight"


def neighbours(rows: Array, heads: int) -> Array:
    """Rows of each head reordered 0, d/2, 1, d/2 + 1, ..."""
    order = [
        h * HEAD + i + half * HEAD // 2
        for h in range(heads)
        for i in range(HEAD // 2)
        for half in range(2)
    ]
    return rows[order]


def expected() -> dict[str, Array]:
    tensors = {renamed(name): value for name, value in llama_tensors().items()}
    for name in tensors:
        if "attn_q." in name:
            tensors[name] = neighbours(tensors[name], HEADS)
        if "attn_k." in name:
            tensors[name] = neighbours(tensors[name], KV_HEADS)
    return tensors


def read(path: Path) -> dict[str, Array]:
    with GGUFFile.open(path) as file:
        return {
            name: dequantize(file.data(name), info.type, info.shape)
            for name, info in file.tensors.items()
        }


def data(path: Path) -> dict[str, bytes]:
    with GGUFFile.open(path) as file:
        return {name: file.data(name).tobytes() for name in file.tensors}


def test_every_weight_is_where_it_belongs(tmp_path: Path) -> None:
    convert(write_llama(tmp_path / "m", "F32"), tmp_path / "x.gguf", F32)
    np.testing.assert_equal(read(tmp_path / "x.gguf"), expected())


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64"])
@pytest.mark.parametrize("file_type", [FileType.F32, FileType.F16, FileType.BF16, FileType.Q8_0])
def test_types(tmp_path: Path, dtype: str, file_type: FileType) -> None:
    options = replace(BARE, file_type=file_type)
    convert(write_llama(tmp_path / "m", dtype), tmp_path / "x.gguf", options)
    type = TensorType[file_type.name]
    for name, values in expected().items():
        source = stored(values, dtype)
        floats = (source.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else source
        wanted = TensorType.F32 if "_norm" in name else type
        if values.shape[-1] % wanted.block_size:
            wanted = TensorType.F16
        packed = quantize(floats.astype(np.float32), wanted)
        assert data(tmp_path / "x.gguf")[name] == packed.tobytes()


def test_ternary_types_need_rows_of_256(tmp_path: Path) -> None:
    convert(write_llama(tmp_path), tmp_path / "x.gguf", replace(BARE, file_type=FileType.TQ2_0))
    with GGUFFile.open(tmp_path / "x.gguf") as file:
        assert file.tensors["blk.0.attn_q.weight"].type is TensorType.F16
        assert file.metadata["general.file_type"] == FileType.TQ2_0


def test_shards_in_and_out(tmp_path: Path) -> None:
    convert(write_llama(tmp_path / "a"), tmp_path / "a.gguf", BARE)
    options = replace(BARE, limits=Limits(n_bytes=20_000))
    plan = convert(write_shards(tmp_path / "b", 3), tmp_path / "b.gguf", options)
    first = tmp_path / f"b-00001-of-{plan.parts:05}.gguf"
    assert plan.parts > 1
    assert data(first) == data(tmp_path / "a.gguf")
    assert len(list(tmp_path.glob("b-*.gguf"))) == plan.parts


def test_one_part_has_no_number(tmp_path: Path) -> None:
    options = replace(BARE, limits=Limits(n_bytes=10**9, tensors=1000))
    convert(write_llama(tmp_path / "m"), tmp_path / "x.gguf", options)
    with GGUFFile.open(tmp_path / "x.gguf") as file:
        assert "split.count" not in file.metadata


def test_metadata_may_stand_alone_in_the_first_part(tmp_path: Path) -> None:
    options = replace(BARE, limits=Limits(tensors=1000, metadata_alone=True))
    convert(write_llama(tmp_path / "m"), tmp_path / "x.gguf", options)
    with GGUFFile.open(tmp_path / "x-00001-of-00002.gguf") as file:
        assert {info.part for info in file.tensors.values()} == {1}


def test_the_vocabulary_goes_along(tmp_path: Path) -> None:
    convert(write_llama(tmp_path / "m"), tmp_path / "x.gguf")
    with GGUFFile.open(tmp_path / "x.gguf") as file:
        tokenizer = Tokenizer.from_gguf(file)
    assert tokenizer.decode(tokenizer.encode("AB", add_special=False)) == "AB"


def test_weights_in_memory_make_the_same_file(tmp_path: Path) -> None:
    plan = make_plan(write_llama(tmp_path / "m"), BARE)
    convert(tmp_path / "m", tmp_path / "lazy.gguf", BARE)
    loaded = plan.loaded()
    (tmp_path / "m" / "model.safetensors").write_bytes(b"")
    for _ in write_plan(loaded, tmp_path / "loaded.gguf", threads=1):
        pass
    assert (tmp_path / "lazy.gguf").read_bytes() == (tmp_path / "loaded.gguf").read_bytes()


def test_progress(tmp_path: Path) -> None:
    plan = make_plan(write_llama(tmp_path / "m"), BARE)
    events = list(write_plan(plan, tmp_path / "x.gguf", threads=2))
    assert [event.tensor for event in events] == list(plan.tensors)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert events[-1].n_bytes == events[-1].total == plan.n_bytes
    assert all(a.n_bytes < b.n_bytes for a, b in pairwise(events))


def changed(folder: Path, name: str, dtype: str, number: float) -> Path:
    """A checkpoint with one other number in a tensor."""
    tensors = llama_tensors()
    tensors[name][-1, 3] = number
    write_llama(folder)
    entries = {key: (dtype, stored(array, dtype)) for key, array in tensors.items()}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(entries))
    return folder


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("file_type", [FileType.F32, FileType.F16, FileType.BF16, FileType.Q8_0])
@pytest.mark.parametrize("number", [np.nan, -np.inf])
def test_weights_that_are_no_numbers(
    tmp_path: Path, dtype: str, file_type: FileType, number: float
) -> None:
    folder = changed(tmp_path / "m", "lm_head.weight", dtype, number)
    with pytest.raises(ConversionError, match=r"'lm_head\.weight' .* 1 weight infinite or NaN"):
        convert(folder, tmp_path / "x.gguf", replace(BARE, file_type=file_type))
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_weights_beyond_the_range_of_the_type(tmp_path: Path) -> None:
    folder = changed(tmp_path / "m", "lm_head.weight", "F32", 1e9)
    with pytest.raises(ConversionError, match="beyond the range of f16; choose --outtype bf16"):
        convert(folder, tmp_path / "x.gguf", replace(BARE, file_type=FileType.F16))
    convert(folder, tmp_path / "x.gguf", replace(BARE, file_type=FileType.BF16))


def test_what_exists_is_only_replaced_by_force(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m")
    target = tmp_path / "x.gguf"
    target.write_bytes(b"precious")
    with pytest.raises(FileError, match=r"x\.gguf: exists; name another output, or replace"):
        convert(folder, target, BARE)
    assert target.read_bytes() == b"precious"
    convert(folder, target, BARE, force=True)
    assert read(target)


def test_the_checkpoint_is_not_replaced(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "m")
    source = folder / "model.safetensors"
    before = source.read_bytes()
    with pytest.raises(FileError, match="is what the output is made from"):
        convert(folder, source, BARE, force=True)
    assert source.read_bytes() == before


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_llama(tmp_path / "m")

    def usage(_: Any) -> Any:
        return type("Usage", (), {"free": 1000})

    monkeypatch.setattr(parts.shutil, "disk_usage", usage)
    with pytest.raises(FileError, match="its disk has 0 MiB left; make room"):
        convert(folder, tmp_path / "x.gguf", BARE)
    assert not (tmp_path / "x.gguf").exists()


def test_a_conversion_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    options = replace(BARE, limits=Limits(tensors=4))
    plan = make_plan(write_llama(tmp_path / "m"), options)
    written = write_plan(plan, tmp_path / "x.gguf", threads=2)
    for _ in range(6):
        next(written)
    written.close()
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
