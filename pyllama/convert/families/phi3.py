"""Phi 3, 3.5 and 4: fused projections; factors of the frequencies for short and long contexts."""

import math

import numpy as np

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS
from pyllama.convert.family import Extra, Family, Rule, extended
from pyllama.convert.keys import CONTEXT_NAMES, DECODER_KEYS, Key, rotated, scaling, whole
from pyllama.convert.tensor import LazyTensor, held

_SPLIT = ("attn_q.", "attn_k.", "attn_v.", "ffn_gate.", "ffn_up.")


def _original_context(config: Config) -> int:
    context = config.whole(*CONTEXT_NAMES)
    return config.rope.whole("original_max_position_embeddings", default=context)


def _attention_factor(config: Config) -> float | None:
    """Factor of cosines and sines. Source: Ding et al. 2024 (LongRoPE), section 3.2."""
    if scaling(config) != "longrope":
        return None
    original = _original_context(config)
    growth = config.whole(*CONTEXT_NAMES) / original
    grown = math.sqrt(1 + math.log(growth) / math.log(original)) if growth > 1 else 1.0
    return config.rope.real("attention_factor", default=grown)


def _factors(length: str) -> Extra:
    target = f"rope_factors_{length}.weight"

    def compute(config: Config) -> LazyTensor | None:
        if scaling(config) != "longrope":
            return None
        name, count = f"{length}_factor", rotated(config) // 2
        values = config.rope.given(name)
        numbers = values if isinstance(values, list) else []
        if len(numbers) != count or not all(isinstance(v, int | float) for v in numbers):
            raise config.error(f"rope_scaling.{name}", f"must hold {count} numbers")
        return held(target, np.array(numbers, np.float32))

    return Extra(target, compute)


PHI3 = Family(
    gguf="phi3",
    architectures=("Phi3ForCausalLM",),
    keys=extended(
        DECODER_KEYS,
        Key("rope.scaling.original_context_length", _original_context),
        Key("rope.scaling.attn_factor", _attention_factor),
        whole("attention.sliding_window", "sliding_window", default=0),
    ),
    tensors=extended(
        tuple(r for r in DECODER_TENSORS if not any(part in r.target for part in _SPLIT)),
        Rule("model.layers.{i}.self_attn.qkv_proj.weight", "blk.{i}.attn_qkv.weight"),
        Rule("model.layers.{i}.mlp.gate_up_proj.weight", "blk.{i}.ffn_up.weight"),
    ),
    extras=(_factors("long"), _factors("short")),
)
