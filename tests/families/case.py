"""What a golden case says: a model class of transformers and a tiny configuration of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VOCABULARY = 96
"""Tokens of every tiny model."""

CONTEXT = 64
"""Tokens: what the models are trained for, and more than any case reads."""

SHAPE: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": False,
    "rms_norm_eps": 1e-3,
}
"""The usual dimensions, by their usual names. Kernels are made for a head's size (16) and for how
many query heads share keys (2), so cases with the same ones share kernels."""


@dataclass(frozen=True)
class Case:
    """A tiny model of a family, and what its logits must depend on."""

    name: str
    architecture: str
    """The model's class, as ``architectures`` of config.json gives it."""
    config: Mapping[str, Any]
    """What config.json says besides, with the keys of published models."""
    matters: tuple[tuple[str, Any], ...] = ()
    """Keys of ``config`` with another value, which alone must be seen in the logits: whoever
    overlooks the key fails the case. Checked when the golden file is made."""
    unseen: tuple[str, ...] = ()
    """Endings of parameters that logits do not depend on, such as biases that cancel out."""
    prompt: int = 25
    decode: int = 8
    context: int = CONTEXT
    """Positions of the session that the tests evaluate with."""
