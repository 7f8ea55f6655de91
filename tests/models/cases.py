"""The table of golden cases.

The lengths put the boundary under test (original context, sliding window) inside the tokens, and
mostly after the prompt, so that decoding crosses it.
"""

from __future__ import annotations

import math
from typing import Any

from models.case import CONTEXT, LLAMA, MISTRAL, QWEN2, QWEN3, Case


def _shape(
    hidden: int, heads: int, kv_heads: int, ffn: int, vocab: int, layers: int = 2
) -> dict[str, Any]:
    """The dimensions of a model, by their names in transformers."""
    return {
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": ffn,
        "vocab_size": vocab,
        "num_hidden_layers": layers,
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
    }


AWKWARD = _shape(hidden=48, heads=4, kv_heads=2, ffn=80, vocab=67)
ROUND = _shape(hidden=64, heads=4, kv_heads=2, ffn=128, vocab=128)
WIDE = _shape(hidden=72, heads=6, kv_heads=2, ffn=100, vocab=71)


def _rope(kind: str, theta: float = 10000.0, **parameters: float) -> dict[str, Any]:
    """The rotation, as transformers describes it."""
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **parameters}}


def _around(key: str, value: int) -> tuple[tuple[str, float | None], ...]:
    """The key overlooked, and off by one either way."""
    return (key, None), (key, value - 1), (key, value + 1)


YARN_FACTOR = 4.0
YARN_ATTENTION = 0.1 * math.log(YARN_FACTOR) + 1.0
"""Factor on cosine and sine that a YaRN model has unless it says otherwise."""

_ARCHITECTURES = (
    Case("llama_basic", LLAMA, _shape(hidden=48, heads=4, kv_heads=4, ffn=80, vocab=67)),
    Case(
        "llama_gqa",
        LLAMA,
        _shape(hidden=64, heads=8, kv_heads=2, ffn=128, vocab=128),
        prompt=64,
        decode=16,
    ),
    Case("llama_mqa", LLAMA, _shape(hidden=72, heads=6, kv_heads=1, ffn=100, vocab=71)),
    Case("llama_head_dim", LLAMA, {**AWKWARD, "head_dim": 24}),
    Case("llama_tied", LLAMA, {**WIDE, "tie_word_embeddings": True}),
    Case(
        "llama_biases",
        LLAMA,
        {**AWKWARD, "attention_bias": True, "mlp_bias": True},
        misread=((".bias", None),),
    ),
    Case(
        "llama_theta_epsilon",
        LLAMA,
        {**ROUND, "num_hidden_layers": 3, "rms_norm_eps": 1e-3, **_rope("default", 500000.0)},
        {"rope.freq_base": 500000.0},
        misread=(
            ("rope.freq_base", None),
            ("attention.layer_norm_rms_epsilon", 1e-5),
        ),
    ),
    Case("mistral_full", MISTRAL, {**AWKWARD, "head_dim": 16, "sliding_window": None}),
    Case("qwen2", QWEN2, {**AWKWARD, "rms_norm_eps": 1e-6}, misread=((".bias", None),)),
    Case("qwen2_tied", QWEN2, {**ROUND, "tie_word_embeddings": True}, misread=((".bias", None),)),
    Case(
        "qwen3",
        QWEN3,
        {**AWKWARD, "head_dim": 20, **_rope("default", 1000000.0)},
        {"rope.freq_base": 1000000.0},
        misread=(("attn_q_norm.weight", None), ("attn_k_norm.weight", None)),
    ),
    Case(
        "qwen3_tied",
        QWEN3,
        {**WIDE, "head_dim": 16, "tie_word_embeddings": True},
        misread=(("attn_q_norm.weight", None), ("attn_k_norm.weight", None)),
    ),
)

_WINDOWS = (
    Case(
        "mistral_window",
        MISTRAL,
        {**ROUND, "sliding_window": 24},
        {"attention.sliding_window": 24},
        prompt=40,
        decode=30,
        misread=_around("attention.sliding_window", 24),
    ),
    Case(
        "mistral_window_decode",
        MISTRAL,
        {**AWKWARD, "sliding_window": 13},
        {"attention.sliding_window": 13},
        prompt=9,
        decode=40,
        misread=_around("attention.sliding_window", 13),
    ),
)

_SCALINGS = (
    Case(
        "llama_rope_llama3",
        LLAMA,
        {
            **AWKWARD,
            "head_dim": 16,
            **_rope(
                "llama3",
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=64,
            ),
        },
        prompt=56,
        decode=44,
        misread=(("rope_freqs.weight", None),),
    ),
    Case(
        "llama_rope_linear",
        LLAMA,
        {**AWKWARD, **_rope("linear", factor=2.5)},
        {"rope.scaling.type": "linear", "rope.scaling.factor": 2.5},
        prompt=40,
        decode=40,
        misread=(("rope.scaling.factor", None),),
    ),
    Case(
        "llama_rope_yarn",
        LLAMA,
        {
            **AWKWARD,
            "head_dim": 24,
            **_rope("yarn", factor=YARN_FACTOR, original_max_position_embeddings=64),
        },
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": YARN_FACTOR,
            "rope.scaling.original_context_length": 64,
        },
        prompt=56,
        decode=44,
        misread=(
            ("rope.scaling.type", None),
            ("rope.scaling.original_context_length", None),
            ("rope.scaling.attn_factor", 1 / YARN_ATTENTION),
        ),
    ),
    Case(
        "llama_rope_yarn_tuned",
        LLAMA,
        {
            **ROUND,
            "head_dim": 32,
            **_rope(
                "yarn",
                factor=YARN_FACTOR,
                original_max_position_embeddings=64,
                beta_fast=4.0,
                beta_slow=0.5,
                attention_factor=1.25,
            ),
        },
        {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": YARN_FACTOR,
            "rope.scaling.original_context_length": 64,
            "rope.scaling.yarn_beta_fast": 4.0,
            "rope.scaling.yarn_beta_slow": 0.5,
            "rope.scaling.yarn_attn_factor": 1.25,
        },
        prompt=56,
        decode=44,
        misread=(
            ("rope.scaling.yarn_beta_fast", None),
            ("rope.scaling.yarn_beta_slow", None),
            ("rope.scaling.yarn_attn_factor", None),
        ),
    ),
    Case(
        "qwen3_rope_yarn",
        QWEN3,
        {
            **AWKWARD,
            "head_dim": 24,
            "max_position_embeddings": 160,
            **_rope(
                "yarn",
                1000000.0,
                factor=YARN_FACTOR,
                original_max_position_embeddings=40,
                attention_factor=1.5 * YARN_ATTENTION,
            ),
        },
        {
            "rope.freq_base": 1000000.0,
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": YARN_FACTOR,
            "rope.scaling.original_context_length": 40,
            "rope.scaling.attn_factor": 1.5,
        },
        prompt=33,
        decode=44,
        misread=(("rope.scaling.attn_factor", None),),
    ),
    Case(
        "llama_rope_dynamic",
        LLAMA,
        {**AWKWARD, "max_position_embeddings": 32, **_rope("dynamic", factor=2.0)},
        {
            "rope.scaling.type": "dynamic",
            "rope.scaling.factor": 2.0,
            "rope.scaling.original_context_length": 32,
        },
        prompt=24,
        decode=40,
        misread=_around("rope.scaling.original_context_length", 32),
    ),
    Case(
        "llama_rope_dynamic_prompt",
        LLAMA,
        {**ROUND, "max_position_embeddings": 32, **_rope("dynamic", factor=4.0)},
        {
            "rope.scaling.type": "dynamic",
            "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 32,
        },
        prompt=50,
        decode=30,
        misread=(("rope.scaling.type", None), ("rope.scaling.factor", 1.0)),
    ),
)

CASES = _ARCHITECTURES + _WINDOWS + _SCALINGS
