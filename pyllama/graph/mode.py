"""What a plan is made for: the most tokens of a step, and the memory of attention."""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.graph.ops import Rows
from pyllama.kernels.cache_types import CACHE_TYPES, NUMBERS

ROW_PADDING = 64
"""Buffers of a batch have this many rows more: kernels work on whole tiles of tokens."""

MATVEC_TOKENS = 8
"""Up to so many tokens weights are read for each group of tokens, beyond it they are unpacked."""


@dataclass(frozen=True)
class CacheLayout:
    """The memory of attention: positions a sequence may have, sequences, and element types."""

    capacity: int
    sequences: int
    key_type: str
    value_type: str

    @property
    def conv_type(self) -> str:
        """How inputs of convolutions are stored: as keys are, but never quantized."""
        return self.key_type if self.key_type in NUMBERS else "f16"

    def types_of(self, latent: int) -> tuple[str, str]:
        """Types of the keys and of the values of a layer, which is one for latents."""
        return self.key_type, self.key_type if latent else self.value_type

    def layer_bytes(self, type: str, kv_heads: int, head_dim: int) -> int:
        """Bytes of the keys, or of the values, of one layer."""
        head = CACHE_TYPES[type].head_bytes(head_dim)
        return self.sequences * self.capacity * kv_heads * head


@dataclass(frozen=True)
class Mode:
    """What a plan is made for: at most so many tokens and outputs a step."""

    tokens: int
    outputs: int

    def rows(self, rows: Rows) -> int:
        """Most rows that an activation can have."""
        return self.tokens if rows is Rows.TOKENS else self.outputs

    def padded(self, rows: Rows) -> int:
        """Rows that its buffer has, so that whole tiles stay inside."""
        n = self.rows(rows)
        return n if n == 1 else n + (MATVEC_TOKENS if n <= MATVEC_TOKENS else ROW_PADDING)

    def uses_matvec(self, rows: Rows) -> bool:
        """Whether so few rows come that weights are best read for them directly."""
        return self.rows(rows) <= MATVEC_TOKENS
