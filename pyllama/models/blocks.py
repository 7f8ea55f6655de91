"""The parts that families are put together from: attention, gated feed-forward, residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pyllama.graph import ops
from pyllama.graph.ops import Tensor
from pyllama.models.build import GraphBuilder

ROPE_TABLE = "rope"


class Block(Protocol):
    """A part of a layer."""

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """Append the part's ops for a layer and return their output."""


@dataclass(frozen=True)
class Residual:
    """``x + block(norm(x))``."""

    norm: str
    block: Block

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        normed = b.rms_norm(x, f"blk.{layer}.{self.norm}")
        out = self.block.build(b, normed, layer)
        return b.add(ops.Add(), out, x, name=f"blk.{layer}.{self.norm}.residual")


@dataclass(frozen=True)
class Attention:
    """Grouped-query attention with rotary positions (Ainslie et al. 2023).

    ``rope``: how elements pair up (see ``ops.Rope``); ``head_norms``: queries and keys are normed
    head by head before they are turned.
    """

    rope: str
    head_norms: bool = False

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        c, name = b.config, f"blk.{layer}"
        q = b.linear(x, f"{name}.attn_q", c.heads * c.head_dim)
        k = b.linear(x, f"{name}.attn_k", c.kv_heads * c.head_dim)
        v = b.linear(x, f"{name}.attn_v", c.kv_heads * c.head_dim)
        if self.head_norms:
            q = b.rms_norm(q, f"{name}.attn_q_norm", c.heads)
            k = b.rms_norm(k, f"{name}.attn_k_norm", c.kv_heads)
        q, k = (
            b.add(
                ops.Rope(ROPE_TABLE, self.rope, heads, c.head_dim, c.rope.dims // 2),
                t,
                name=f"{name}.{label}",
            )
            for t, heads, label in ((q, c.heads, "q_rope"), (k, c.kv_heads, "k_rope"))
        )
        scale = c.head_dim**-0.5
        op = ops.Attention(layer, c.heads, c.kv_heads, c.head_dim, scale, c.window)
        attended = b.add(op, q, k, v, name=f"{name}.attention")
        return b.linear(attended, f"{name}.attn_output", c.width)


@dataclass(frozen=True)
class SwiGLU:
    """``down(silu(gate(x)) * up(x))`` (Shazeer 2020)."""

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        name, hidden = f"blk.{layer}", b.config.feed_forward
        gate = b.linear(x, f"{name}.ffn_gate", hidden)
        up = b.linear(x, f"{name}.ffn_up", hidden)
        gated = b.add(ops.SwiGLU(), gate, up, name=f"{name}.ffn_gated")
        return b.linear(gated, f"{name}.ffn_down", b.config.width)
