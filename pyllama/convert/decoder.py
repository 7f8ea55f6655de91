"""The names that most decoders in transformers share, and what they are called in GGUF."""

from __future__ import annotations

import math

import numpy as np

from pyllama.convert.config import Config
from pyllama.convert.family import Extra, Rule
from pyllama.convert.keys import rotated
from pyllama.convert.tensor import LazyTensor, held

DECODER_TENSORS = (
    Rule("model.embed_tokens.weight", "token_embd.weight"),
    Rule("model.norm.weight", "output_norm.weight"),
    Rule("lm_head.weight", "output.weight"),
    Rule("model.layers.{i}.input_layernorm.weight", "blk.{i}.attn_norm.weight"),
    Rule("model.layers.{i}.self_attn.q_proj.weight", "blk.{i}.attn_q.weight"),
    Rule("model.layers.{i}.self_attn.k_proj.weight", "blk.{i}.attn_k.weight"),
    Rule("model.layers.{i}.self_attn.v_proj.weight", "blk.{i}.attn_v.weight"),
    Rule("model.layers.{i}.self_attn.o_proj.weight", "blk.{i}.attn_output.weight"),
    Rule("model.layers.{i}.self_attn.q_proj.bias", "blk.{i}.attn_q.bias", optional=True),
    Rule("model.layers.{i}.self_attn.k_proj.bias", "blk.{i}.attn_k.bias", optional=True),
    Rule("model.layers.{i}.self_attn.v_proj.bias", "blk.{i}.attn_v.bias", optional=True),
    Rule("model.layers.{i}.self_attn.o_proj.bias", "blk.{i}.attn_output.bias", optional=True),
    Rule("model.layers.{i}.post_attention_layernorm.weight", "blk.{i}.ffn_norm.weight"),
    Rule("model.layers.{i}.mlp.gate_proj.weight", "blk.{i}.ffn_gate.weight"),
    Rule("model.layers.{i}.mlp.up_proj.weight", "blk.{i}.ffn_up.weight"),
    Rule("model.layers.{i}.mlp.down_proj.weight", "blk.{i}.ffn_down.weight"),
    Rule("model.layers.{i}.mlp.gate_proj.bias", "blk.{i}.ffn_gate.bias", optional=True),
    Rule("model.layers.{i}.mlp.up_proj.bias", "blk.{i}.ffn_up.bias", optional=True),
    Rule("model.layers.{i}.mlp.down_proj.bias", "blk.{i}.ffn_down.bias", optional=True),
)
"""Embedding, norms, attention and a gated feed-forward; biases where the checkpoint has them."""

HEAD_NORMS = (
    Rule("model.layers.{i}.self_attn.q_norm.weight", "blk.{i}.attn_q_norm.weight"),
    Rule("model.layers.{i}.self_attn.k_norm.weight", "blk.{i}.attn_k_norm.weight"),
)
"""Norms of queries and keys."""

QKV_BIASES = tuple(
    Rule(f"model.layers.{{i}}.self_attn.{letter}_proj.bias", f"blk.{{i}}.attn_{letter}.bias")
    for letter in "qkv"
)
"""Biases of queries, keys and values, which must be there."""

ALWAYS_IGNORED = (
    "*.rotary_emb.inv_freq",
    "*.attention.masked_bias",
    "*.attention.bias",
    "*.attn.masked_bias",
    "vision_tower.*",
    "vision_model.*",
    "multi_modal_projector.*",
)
"""Tables that older versions of transformers stored, and the parts of a model that see."""


def llama3_factors(config: Config) -> LazyTensor | None:
    """Divisors of the rotary frequencies of Llama 3.1 and later: float32 (pairs,).

    Waves much shorter than the original context keep their frequency, those longer than it are
    slowed by ``factor``; between, frequencies are blended. Source: Meta's reference code for
    Llama 3.1.
    """
    rope = config.rope
    if rope.text("rope_type", default="default") != "llama3":
        return None
    low, high = (
        rope.real(f"{side}_freq_factor", default=d) for side, d in (("low", 1), ("high", 4))
    )
    if high <= low:
        raise rope.error("high_freq_factor", f"is {high}, not above low_freq_factor {low}")
    dims = rotated(config)
    exponents = np.arange(0, dims, 2) / dims
    wavelengths = 2 * math.pi * rope.real("rope_theta", default=10000.0) ** exponents
    turns = rope.whole("original_max_position_embeddings", default=8192) / wavelengths
    share = np.clip((turns - low) / (high - low), 0.0, 1.0)  # of the frequency that is kept
    factors = 1.0 / ((1.0 - share) / rope.real("factor", default=8.0) + share)
    return held("rope_freqs.weight", factors.astype(np.float32))


LLAMA3_FACTORS = Extra("rope_freqs.weight", llama3_factors)
