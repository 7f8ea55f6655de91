"""Writes a model of a well-known shape with random weights, for measuring speed.

    python scripts/make_bench_model.py llama-3.2-1b q8_0 /tmp/1b-q8_0.gguf

Weights are valid blocks with small random values; the text such a model writes is noise. ``q4_k_m``
mixes types as llama.cpp's quantizer does; any other type is used for all matrices.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf import GGUFWriter, TensorType, tensor_bytes
from pyllama.gguf.file_types import FILE_TYPE_KEY, FileType
from pyllama.quants import FORMATS

SLAB_BYTES = 1 << 24

FILE_TYPES = {t.name.lower(): t for t in FileType} | {"q4_k": FileType.Q4_K_S}


@dataclass(frozen=True)
class Shape:
    """The sizes of a model."""

    architecture: str
    layers: int
    width: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool
    rope_base: float
    biases: bool = False
    experts: int = 0
    experts_used: int = 0
    head_norms: bool = False


SHAPES = {
    "llama-3.2-1b": Shape("llama", 16, 2048, 8192, 32, 8, 64, 128256, True, 500000.0),
    "llama-3.2-3b": Shape("llama", 28, 3072, 8192, 24, 8, 128, 128256, True, 500000.0),
    "llama-3-8b": Shape("llama", 32, 4096, 14336, 32, 8, 128, 128256, False, 500000.0),
    "qwen2.5-0.5b": Shape("qwen2", 24, 896, 4864, 14, 2, 64, 151936, True, 1000000.0, biases=True),
    "mixtral-2b": Shape(
        "llama", 12, 2048, 4096, 32, 8, 64, 32000, False, 1000000.0, experts=8, experts_used=2
    ),
    "qwen3-3b-a0.6b": Shape(
        "qwen3moe",
        8,
        2048,
        768,
        32,
        4,
        128,
        151936,
        True,
        1000000.0,
        experts=128,
        experts_used=8,
        head_norms=True,
    ),
    "smollm-135m": Shape("llama", 30, 576, 1536, 9, 3, 64, 49152, True, 10000.0),
}


def matrices(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every matrix, or of the matrices of all experts."""
    width, hidden = shape.width, shape.feed_forward
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    yield "token_embd.weight", (shape.vocabulary, width)
    if not shape.tied:
        yield "output.weight", (shape.vocabulary, width)
    for layer in range(shape.layers):
        for name, rows, columns in (
            ("attn_q", query, width),
            ("attn_k", key, width),
            ("attn_v", key, width),
            ("attn_output", width, query),
        ):
            yield f"blk.{layer}.{name}.weight", (rows, columns)
        if shape.experts:
            yield f"blk.{layer}.{ROUTER}", (shape.experts, width)
        outer, suffix = ((shape.experts,), "_exps") if shape.experts else ((), "")
        for name, size in (
            ("ffn_gate", (hidden, width)),
            ("ffn_up", (hidden, width)),
            ("ffn_down", (width, hidden)),
        ):
            yield f"blk.{layer}.{name}{suffix}.weight", (*outer, *size)


ROUTER = "ffn_gate_inp.weight"


def vectors(shape: Shape) -> Iterator[tuple[str, int]]:
    """Name and length of every norm and bias."""
    yield "output_norm.weight", shape.width
    for layer in range(shape.layers):
        yield f"blk.{layer}.attn_norm.weight", shape.width
        yield f"blk.{layer}.ffn_norm.weight", shape.width
        if shape.head_norms:
            yield f"blk.{layer}.attn_q_norm.weight", shape.head_dim
            yield f"blk.{layer}.attn_k_norm.weight", shape.head_dim
        if shape.biases:
            yield f"blk.{layer}.attn_q.bias", shape.heads * shape.head_dim
            yield f"blk.{layer}.attn_k.bias", shape.kv_heads * shape.head_dim
            yield f"blk.{layer}.attn_v.bias", shape.kv_heads * shape.head_dim


def type_of(name: str, mix: str, shape: Shape) -> TensorType:
    """The type of a matrix in a mix; rows of no whole blocks fall back as llama.cpp's do."""
    if name.endswith(ROUTER):
        return TensorType.F32
    type = TensorType[mix.upper()] if mix != "q4_k_m" else _q4_k_m(name, shape)
    columns = dict(matrices(shape))[name][-1]
    return type if columns % type.block_size == 0 else FALLBACKS.get(type, TensorType.F16)


FALLBACKS = {
    TensorType.Q4_K: TensorType.Q5_0,
    TensorType.Q5_K: TensorType.Q5_1,
    TensorType.Q6_K: TensorType.Q8_0,
}


def _q4_k_m(name: str, shape: Shape) -> TensorType:
    is_output = name == ("token_embd.weight" if shape.tied else "output.weight")
    layer = int(name.split(".")[1]) if name.startswith("blk.") else -1
    eighth = shape.layers // 8
    more_bits = layer < eighth or layer >= 7 * eighth or (layer - eighth) % 3 == 2
    if is_output or (more_bits and ("attn_v" in name or "ffn_down" in name)):
        return TensorType.Q6_K
    return TensorType.Q4_K


def random_blocks(type: TensorType, n_bytes: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blocks with random contents and small scales, about ``n_bytes`` of them."""
    layout = FORMATS[type].dtype
    count = max(1, n_bytes // layout.itemsize)
    if type in (TensorType.F32, TensorType.F16, TensorType.BF16):
        values = rng.normal(0, 0.02, count).astype(np.float32)
        if type is TensorType.BF16:
            return (values.view(np.uint32) >> 16).astype("<u2").view(np.uint8)
        return values.astype(layout["x"]).view(np.uint8)
    blocks = np.frombuffer(rng.bytes(count * layout.itemsize), layout).copy()
    for name in layout.names or ():
        if layout[name] == np.dtype("<f2"):
            blocks[name] = rng.normal(0, 0.002, count)
    return blocks.view(np.uint8)


def repeated(slab: NDArray[np.uint8], n_bytes: int) -> Iterator[NDArray[np.uint8]]:
    """The slab again and again until there are ``n_bytes``."""
    while n_bytes > 0:
        yield slab[:n_bytes]
        n_bytes -= len(slab)


def write_model(path: Path, shape: Shape, mix: str, seed: int = 0) -> None:
    """Write the file."""
    rng = np.random.default_rng(seed)
    types = {name: type_of(name, mix, shape) for name, _ in matrices(shape)}
    slabs = {type: random_blocks(type, SLAB_BYTES, rng) for type in set(types.values())}
    prefix = shape.architecture
    keys = {
        "general.architecture": prefix,
        "general.name": f"random {path.stem}",
        f"{prefix}.block_count": shape.layers,
        f"{prefix}.context_length": 131072,
        f"{prefix}.embedding_length": shape.width,
        f"{prefix}.feed_forward_length": shape.feed_forward,
        f"{prefix}.attention.head_count": shape.heads,
        f"{prefix}.attention.head_count_kv": shape.kv_heads,
        f"{prefix}.attention.key_length": shape.head_dim,
        f"{prefix}.attention.value_length": shape.head_dim,
        f"{prefix}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{prefix}.rope.dimension_count": shape.head_dim,
        f"{prefix}.rope.freq_base": shape.rope_base,
        FILE_TYPE_KEY: int(FILE_TYPES.get(mix, FileType.F32)),
        **_expert_keys(shape),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "llama-bpe",
        "tokenizer.ggml.tokens": _byte_tokens() + [f"w{i}" for i in range(256, shape.vocabulary)],
        "tokenizer.ggml.token_type": np.ones(shape.vocabulary, np.int32),
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    with GGUFWriter(path) as writer:
        for key, value in keys.items():
            writer.add(key, value)
        for name, length in vectors(shape):
            writer.add_tensor_info(name, (length,), TensorType.F32)
        for name, size in matrices(shape):
            writer.add_tensor_info(name, size, types[name])
        for name, length in vectors(shape):
            writer.write_tensor(name, (name.endswith("weight") * np.ones(length)).astype("<f4"))
        for name, size in matrices(shape):
            n_bytes = tensor_bytes(size, types[name])
            writer.write_tensor(name, repeated(slabs[types[name]], n_bytes))


def _expert_keys(shape: Shape) -> dict[str, int]:
    if not shape.experts:
        return {}
    return {
        f"{shape.architecture}.expert_count": shape.experts,
        f"{shape.architecture}.expert_used_count": shape.experts_used,
        f"{shape.architecture}.expert_feed_forward_length": shape.feed_forward,
    }


def _byte_tokens() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(others))]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shape", choices=sorted(SHAPES))
    parser.add_argument("mix", help="q4_k_m, or the type of all matrices: f16, q8_0, q4_0, ...")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    write_model(arguments.output, SHAPES[arguments.shape], arguments.mix)


if __name__ == "__main__":
    main()
