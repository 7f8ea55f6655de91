"""What a golden case says: a family, a tiny model of it, and tokens for the model to read.

A case gives the model twice. ``config`` is what transformers is told; ``metadata`` is what the GGUF
file says beyond the plain dimensions (which ``tiny.py`` derives from ``config``). The golden logits
tie the two together: they come from ``config``, and whoever reads the file must arrive at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONTEXT = 256
"""Tokens: ``context_length`` of every file, and more than any case evaluates."""


@dataclass(frozen=True)
class Family:
    """What transformers and GGUF call a family, and how it rotates queries and keys."""

    model_type: str
    architecture: str
    interleaved: bool
    """The pairs of the rotation are neighbours (2i, 2i+1) in the file, not (i, i + dim/2)."""
    biased: tuple[str, ...] = ()
    """Projections of a block that always have a bias."""
    head_norms: bool = False
    """Queries and keys are normalized per head before the rotation."""


LLAMA = Family("llama", "llama", interleaved=True)
MISTRAL = Family("mistral", "llama", interleaved=True)
QWEN2 = Family("qwen2", "qwen2", interleaved=False, biased=("q_proj", "k_proj", "v_proj"))
QWEN3 = Family("qwen3", "qwen3", interleaved=False, head_norms=True)


@dataclass(frozen=True)
class Case:
    """A tiny model, the tokens it is asked about, and what its logits must depend on."""

    name: str
    family: Family
    config: Mapping[str, Any]
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)
    """GGUF keys without the architecture's prefix."""
    prompt: int = 33
    decode: int = 9
    misread: tuple[tuple[str, float | None], ...] = ()
    """Keys or endings of tensor names with a wrong value, or None where they are overlooked: each
    such mistake alone must be seen in the logits."""

    @property
    def head_dim(self) -> int:
        """Elements of a query or key head."""
        width: int = self.config["hidden_size"] // self.config["num_attention_heads"]
        return self.config.get("head_dim") or width
