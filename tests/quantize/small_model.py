"""A small model to quantize: three layers of width 256 and an expert tensor, random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyllama.gguf import GGUFWriter, TensorType
from pyllama.quants import quantize

LAYERS = 3
SHAPES = {
    "token_embd.weight": (96, 256),
    "output_norm.weight": (256,),
    "output.weight": (96, 256),
    "rope_freqs.weight": (32,),
}
for _layer in range(LAYERS):
    SHAPES |= {
        f"blk.{_layer}.attn_norm.weight": (256,),
        f"blk.{_layer}.attn_q.weight": (256, 256),
        f"blk.{_layer}.attn_k.weight": (64, 256),
        f"blk.{_layer}.attn_v.weight": (64, 256),
        f"blk.{_layer}.attn_output.weight": (256, 256),
        f"blk.{_layer}.ffn_gate_inp.weight": (4, 256),
        f"blk.{_layer}.ffn_down.weight": (256, 96),
        f"blk.{_layer}.ffn_up_exps.weight": (4, 32, 256),
    }


def weights() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(5)
    return {n: rng.standard_normal(s).astype(np.float32) * 0.1 for n, s in SHAPES.items()}


def write_model(
    path: Path,
    values: dict[str, NDArray[np.float32]] | None = None,
    type: TensorType = TensorType.F32,
) -> dict[str, NDArray[np.float32]]:
    """Write the model, its matrices in ``type``, in an order that is not that of the result."""
    values = weights() if values is None else values
    types = {n: type if v.ndim > 1 else TensorType.F32 for n, v in values.items()}
    with GGUFWriter(path) as writer:
        writer.add("general.architecture", "llama")
        writer.add("general.file_type", 0)
        writer.add("llama.block_count", LAYERS)
        writer.add("llama.attention.head_count", 4)
        writer.add("llama.attention.head_count_kv", 1)
        writer.add("llama.feed_forward_length", [96, 97, 98])
        writer.add("tokenizer.ggml.tokens", ["a", "b"])
        for name, array in reversed(values.items()):
            writer.add_tensor_info(name, array.shape, types[name])
        for name, array in reversed(values.items()):
            writer.write_tensor(name, quantize(array, types[name]))
    return values
