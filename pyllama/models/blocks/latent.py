"""Multi-head latent attention (DeepSeek-AI 2024), in the space of the latents.

A head's keys and values are matrices times the latent of a token. Instead of making them, queries
are brought into the space of the latent, and what is attended to is brought out of it: the cache
holds one latent a token, and the rotated part that all heads share.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.graph import ops
from pyllama.graph.ops import Tensor
from pyllama.models.blocks.attention import ROPE_TABLE
from pyllama.models.build import GraphBuilder


@dataclass(frozen=True)
class LatentAttention:
    """Attention to latents; see the module. ``rope``: as of ``Attention``."""

    rope: str

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        c, name = b.config, f"blk.{layer}"
        latent, heads, rotated = c.latent, c.heads, c.rope.dims
        plain = latent.key_dim - rotated
        q = self._queries(b, x, name)
        unrotated = b.add(ops.HeadPart(heads, 0, plain), q, name=f"{name}.q_plain")
        into = b.weight(f"{name}.attn_k_b.weight", heads, latent.rank, plain)
        absorbed = b.add(ops.HeadLinear(into), unrotated, name=f"{name}.attn_k_b")
        q = b.add(ops.HeadPart(heads, plain, rotated), q, name=f"{name}.q_rest")
        q = self._turn(b, q, heads, f"{name}.q_rope")
        q = b.add(ops.HeadJoin(heads), absorbed, q, name=f"{name}.q")

        both = b.linear(x, f"{name}.attn_kv_a_mqa", latent.rank + rotated)
        kv = b.add(ops.HeadPart(1, 0, latent.rank), both, name=f"{name}.latent")
        kv = b.norm(kv, f"{name}.attn_kv_a_norm")
        k = b.add(ops.HeadPart(1, latent.rank, rotated), both, name=f"{name}.k_rest")
        k = self._turn(b, k, 1, f"{name}.k_rope")
        k = b.add(ops.HeadJoin(1), kv, k, name=f"{name}.k")

        op = ops.Attention(layer, heads, 1, k.width, c.scales.attention, latent=latent.rank)
        out = b.add(op, q, k, name=f"{name}.attention")
        out_of = b.weight(f"{name}.attn_v_b.weight", heads, latent.value_dim, latent.rank)
        values = b.add(ops.HeadLinear(out_of), out, name=f"{name}.attn_v_b")
        return b.linear(values, f"{name}.attn_output", c.width)

    def _queries(self, b: GraphBuilder, x: Tensor, name: str) -> Tensor:
        """(heads * key_dim) queries, through a latent of their own where there is one."""
        latent = b.config.latent
        width = b.config.heads * latent.key_dim
        if not latent.query_rank:
            return b.linear(x, f"{name}.attn_q", width)
        q = b.linear(x, f"{name}.attn_q_a", latent.query_rank)
        return b.linear(b.norm(q, f"{name}.attn_q_a_norm"), f"{name}.attn_q_b", width)

    def _turn(self, b: GraphBuilder, x: Tensor, heads: int, name: str) -> Tensor:
        dims = b.config.rope.dims
        return b.add(ops.Rope(ROPE_TABLE, self.rope, heads, dims, dims // 2), x, name=name)
