"""The GGUF files of the tiny models: weights renamed and permuted, and the metadata beside them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from models.case import CONTEXT, Case
from models.weights import Array, weights
from pyllama.gguf import GGUFFile, TensorType, write_gguf

OUTER = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
"""Modules outside the blocks: name in transformers -> name in GGUF."""

BLOCK = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Modules of a block: name in transformers -> name in GGUF."""


def write_tiny(case: Case, path: Path) -> None:
    """Write the case's model, every tensor F32."""
    arrays = tensors(case)
    write_gguf(
        path,
        metadata(case),
        {name: (array.shape, TensorType.F32, array) for name, array in arrays.items()},
    )


def read_tiny(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Metadata and tensors of a file whose tensors are all F32."""
    with GGUFFile.open(path) as file:
        arrays = {
            name: file.data(name).view(np.float32).reshape(info.shape).copy()
            for name, info in file.tensors.items()
        }
        return dict(file.metadata), arrays


def metadata(case: Case) -> dict[str, Any]:
    """The file's keys: the architecture's dimensions, the case's own keys, a tiny vocabulary."""
    config = case.config
    keys: dict[str, Any] = {
        "vocab_size": config["vocab_size"],
        "context_length": CONTEXT,
        "embedding_length": config["hidden_size"],
        "block_count": config["num_hidden_layers"],
        "feed_forward_length": config["intermediate_size"],
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
    }
    if "head_dim" in config:
        keys |= {"attention.key_length": case.head_dim, "attention.value_length": case.head_dim}
    if case.family.architecture == "llama":
        keys["rope.dimension_count"] = case.head_dim
    keys |= case.metadata
    architecture = case.family.architecture
    return (
        {"general.architecture": architecture, "general.name": case.name}
        | {f"{architecture}.{key}": value for key, value in keys.items()}
        | _vocabulary(config["vocab_size"])
    )


def _vocabulary(size: int) -> dict[str, Any]:
    """A SentencePiece vocabulary of three control tokens and single characters."""
    pieces = ["<unk>", "<s>", "</s>", "\u2581", *map(chr, range(ord("!"), ord("~")))]
    pieces += map(chr, range(ord("\u00c0"), ord("\u00c0") + size))
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": pieces[:size],
        "tokenizer.ggml.scores": [-float(rank) for rank in range(size)],
        "tokenizer.ggml.token_type": [2, 3, 3] + [1] * (size - 3),
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }


def tensors(case: Case) -> dict[str, Array]:
    """The file's tensors: GGUF name -> float32, rows permuted where the rotation asks for it."""
    return dict(_renamed(case, name, value) for name, value in weights(case).items()) | (
        _rope_factors(case)
    )


def _renamed(case: Case, name: str, value: Array) -> tuple[str, Array]:
    module, _, kind = name.rpartition(".")
    if module in OUTER:
        return f"{OUTER[module]}.{kind}", value
    _, _, layer, module = module.split(".", 3)
    if case.family.interleaved and module.endswith(("q_proj", "k_proj")):
        value = _interleave(value, case.head_dim)
    return f"blk.{layer}.{BLOCK[module]}.{kind}", value


def _interleave(value: Array, head_dim: int) -> Array:
    """Rows (half, pair) of every head -> rows (pair, half): partners become neighbours."""
    heads = value.reshape(-1, 2, head_dim // 2, *value.shape[1:])
    return np.ascontiguousarray(heads.swapaxes(1, 2).reshape(value.shape))


def _rope_factors(case: Case) -> dict[str, Array]:
    """Divisors of the frequencies of Llama 3.1 and later: (head_dim / 2,).

    Waves much shorter than the original context keep their frequency, those longer than it are
    slowed by ``factor``, with a linear blend of the frequencies between.
    Source: Meta's reference code for Llama 3.1 (``apply_scaling``).
    """
    rope = case.config.get("rope_parameters", {})
    if rope.get("rope_type") != "llama3":
        return {}
    dim, low, high = case.head_dim, rope["low_freq_factor"], rope["high_freq_factor"]
    wavelength = 2 * math.pi * rope["rope_theta"] ** (np.arange(0, dim, 2) / dim)
    waves = rope["original_max_position_embeddings"] / wavelength
    smooth = np.clip((waves - low) / (high - low), 0.0, 1.0)
    factors = 1.0 / ((1.0 - smooth) / rope["factor"] + smooth)
    return {"rope_freqs.weight": factors.astype(np.float32)}
