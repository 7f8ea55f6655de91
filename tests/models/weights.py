"""Weights and tokens of the tiny models, drawn by name from seeded generators.

Both sides draw the same: ``scripts/make_goldens.py`` gives the weights to transformers, ``tiny.py``
writes them into a GGUF file. So the repository stores logits alone.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.case import Case

Array = NDArray[np.float32]


def tokens(case: Case) -> NDArray[np.int32]:
    """The tokens of the prompt and of the decoding after it: (prompt + decode,) ids."""
    drawn = _generator(case, "tokens").randint(
        0, case.config["vocab_size"], case.prompt + case.decode
    )
    return drawn.astype(np.int32)


def weights(case: Case) -> dict[str, Array]:
    """Every parameter by its name in transformers, float32 in (out, in) order."""
    return {name: _draw(case, name, shape) for name, shape in _parameters(case)}


def _generator(case: Case, name: str) -> np.random.RandomState:
    # RandomState, because NumPy promises its streams to stay as they are; Generator's may change.
    return np.random.RandomState(zlib.crc32(f"{case.name}/{name}".encode()))


def _draw(case: Case, name: str, shape: tuple[int, ...]) -> Array:
    """Values that keep activations and logits near one, and no norm weight at one."""
    generator = _generator(case, name)
    if name.endswith("norm.weight"):
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.endswith(".bias"):
        return (0.5 * generator.standard_normal(shape)).astype(np.float32)
    return (generator.standard_normal(shape) / math.sqrt(shape[-1])).astype(np.float32)


def _parameters(case: Case) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every parameter that transformers has for the case."""
    hidden, vocab = case.config["hidden_size"], case.config["vocab_size"]
    yield "model.embed_tokens.weight", (vocab, hidden)
    for layer in range(case.config["num_hidden_layers"]):
        for module, shape in _block_shapes(case).items():
            name = f"model.layers.{layer}.{module}"
            yield f"{name}.weight", shape
            if _has_bias(case, module):
                yield f"{name}.bias", shape[:1]
    yield "model.norm.weight", (hidden,)
    if not case.config["tie_word_embeddings"]:
        yield "lm_head.weight", (vocab, hidden)


def _block_shapes(case: Case) -> dict[str, tuple[int, ...]]:
    hidden, ffn = case.config["hidden_size"], case.config["intermediate_size"]
    queries = case.config["num_attention_heads"] * case.head_dim
    keys = case.config["num_key_value_heads"] * case.head_dim
    head_norms: dict[str, tuple[int, ...]] = {
        "self_attn.q_norm": (case.head_dim,),
        "self_attn.k_norm": (case.head_dim,),
    }
    return {
        "input_layernorm": (hidden,),
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "post_attention_layernorm": (hidden,),
        "mlp.gate_proj": (ffn, hidden),
        "mlp.up_proj": (ffn, hidden),
        "mlp.down_proj": (hidden, ffn),
    } | (head_norms if case.family.head_norms else {})


def _has_bias(case: Case, module: str) -> bool:
    parent, _, projection = module.rpartition(".")
    switch = {"self_attn": "attention_bias", "mlp": "mlp_bias"}.get(parent, "")
    switched_on = projection.endswith("_proj") and case.config.get(switch, False)
    return projection in case.family.biased or switched_on
