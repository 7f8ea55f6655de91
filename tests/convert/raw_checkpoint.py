"""Checkpoints for the tests, written byte by byte: right ones, and wrong ones."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from families.checkpoint import write_tokenizer
from numpy.typing import NDArray

Array = NDArray[Any]

VOCABULARY, WIDTH, HIDDEN, HEADS, KV_HEADS, LAYERS = 272, 32, 48, 4, 2, 2
HEAD = WIDTH // HEADS

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "intermediate_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000,
}

DTYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8", "U8": "u1", "F8_E4M3": "u1"}


def llama_tensors(seed: int = 0) -> dict[str, Array]:
    """The weights of a tiny Llama by their names in a checkpoint, float32."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> Array:
        return (rng.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)

    def norm() -> Array:
        return rng.uniform(0.5, 1.5, WIDTH).astype(np.float32)

    tensors = {"model.embed_tokens.weight": matrix(VOCABULARY, WIDTH)}
    for layer in range(LAYERS):
        name = f"model.layers.{layer}"
        tensors |= {
            f"{name}.input_layernorm.weight": norm(),
            f"{name}.self_attn.q_proj.weight": matrix(HEADS * HEAD, WIDTH),
            f"{name}.self_attn.k_proj.weight": matrix(KV_HEADS * HEAD, WIDTH),
            f"{name}.self_attn.v_proj.weight": matrix(KV_HEADS * HEAD, WIDTH),
            f"{name}.self_attn.o_proj.weight": matrix(WIDTH, HEADS * HEAD),
            f"{name}.post_attention_layernorm.weight": norm(),
            f"{name}.mlp.gate_proj.weight": matrix(HIDDEN, WIDTH),
            f"{name}.mlp.up_proj.weight": matrix(HIDDEN, WIDTH),
            f"{name}.mlp.down_proj.weight": matrix(WIDTH, HIDDEN),
        }
    return {
        **tensors,
        "model.norm.weight": norm(),
        "lm_head.weight": matrix(VOCABULARY, WIDTH),
    }


def bf16(values: Array) -> Array:
    """The bits of float32 values that are cut to BF16."""
    return (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def stored(values: Array, dtype: str) -> Array:
    """Float32 values as a checkpoint holds them."""
    return bf16(values) if dtype == "BF16" else values.astype(DTYPES[dtype])


def safetensors_bytes(tensors: Mapping[str, tuple[str, Array]]) -> bytes:
    """A file of tensors: dtype and elements by name."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, array) in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        place = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": place}
        data += raw
    return framed(header) + data


def framed(header: Mapping[str, Any]) -> bytes:
    """Length and text of a header."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def write_llama(
    folder: Path, dtype: str = "BF16", config: Mapping[str, Any] | None = None, **changes: Any
) -> Path:
    """A checkpoint of one safetensors file; ``changes`` are of its config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {**(LLAMA if config is None else config), **changes}
    (folder / "config.json").write_text(json.dumps(values))
    tensors = {name: (dtype, stored(value, dtype)) for name, value in llama_tensors().items()}
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    write_tokenizer(values["vocab_size"], folder)
    return folder


def write_shards(folder: Path, count: int = 2) -> Path:
    """The same in several files with an index."""
    write_llama(folder)
    (folder / "model.safetensors").unlink()
    names = list(llama_tensors())
    places: dict[str, str] = {}
    for number in range(count):
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        here = {name: ("BF16", bf16(llama_tensors()[name])) for name in names[number::count]}
        (folder / file).write_bytes(safetensors_bytes(here))
        places |= dict.fromkeys(here, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


STORAGES = {"F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage"}


def torch_file(path: Path, tensors: Mapping[str, tuple[str, Array]], extra: bytes = b"") -> None:
    """A file as torch.save writes it; ``extra`` instructions run before the end of the pickle."""
    program = b"\x80\x02ccollections\nOrderedDict\n)R("
    for key, (name, (dtype, array)) in enumerate(tensors.items()):
        program += text(name) + tensor_program(str(key), dtype, array)
    program += b"u" + extra + b"."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", "little")
        for key, (_, array) in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", np.ascontiguousarray(array).tobytes())


def tensor_program(
    key: str, dtype: str, array: Array, offset: int = 0, strides: tuple[int, ...] | None = None
) -> bytes:
    """The pickle's instructions that make a tensor of a storage."""
    sizes = tuple(s // array.itemsize for s in np.ascontiguousarray(array).strides)
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + text("storage")
        + f"ctorch\n{STORAGES[dtype]}\n".encode()
        + text(key)
        + text("cpu")
        + number(array.size)
        + b"tQ"
        + number(offset)
        + numbers(array.shape)
        + numbers(sizes if strides is None else strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def number(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"
