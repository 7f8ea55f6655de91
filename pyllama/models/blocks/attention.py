"""Attention: projections, norms of heads, rotation, and the heads' way back into the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyllama.graph import ops
from pyllama.graph.ops import Tensor
from pyllama.models.build import GraphBuilder
from pyllama.models.config import ModelConfig

ROPE_TABLE = "rope"
LOCAL_ROPE_TABLE = "local rope"
"""The table of layers with a window, where theirs is another."""

Layers = Callable[[ModelConfig, int], bool]
"""Which layers of a model something holds for."""


def all_layers(_config: ModelConfig, _layer: int) -> bool:
    """Every layer."""
    return True


def local_layers(config: ModelConfig, layer: int) -> bool:
    """Those with a window; every layer of a model without windows."""
    return bool(config.windows[layer]) or not any(config.windows)


def all_but_every(period: int) -> Layers:
    """All but the last of every ``period`` layers."""
    return lambda _, layer: (layer + 1) % period != 0


@dataclass(frozen=True)
class Attention:
    """Grouped-query attention (Ainslie et al. 2023), with or without rotary positions.

    ``rope``: how elements pair up (see ``ops.Rope``), None for no rotation; ``rotates``: the layers
    that rotate. ``head_norms``: queries and keys are normed before they are turned, ``always``,
    ``never``, or in those ``files`` that have the tensors. ``has_sinks``: see ``ops.Attention``.
    """

    rope: str | None = None
    rotates: Layers = all_layers
    head_norms: str = "never"
    has_sinks: bool = False

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        c, name = b.config, f"blk.{layer}"
        q, k, v = self._project(b, x, name)
        q, k = self._norm_heads(b, q, k, name)
        if self.rope and self.rotates(c, layer):
            table = _table(c, layer)
            pairs = c.rope.dims // 2
            q, k = (
                b.add(
                    ops.Rope(table, self.rope, heads, c.head_dim, pairs), t, name=f"{name}.{label}"
                )
                for t, heads, label in ((q, c.heads, "q_rope"), (k, c.kv_heads, "k_rope"))
            )
        op = ops.Attention(
            layer,
            c.heads,
            c.kv_heads,
            c.head_dim,
            c.scales.attention,
            c.windows[layer],
            c.attention_softcap,
            c.alibi,
            b.weight(f"{name}.attn_sinks.weight", c.heads) if self.has_sinks else None,
        )
        attended = b.add(op, q, k, v, name=f"{name}.attention")
        return b.linear(attended, f"{name}.attn_output", c.width)

    def _project(self, b: GraphBuilder, x: Tensor, name: str) -> list[Tensor]:
        """Queries, keys and values, from tensors of their own or from one of all three."""
        c = b.config
        labels = [f"{name}.attn_{part}" for part in "qkv"]
        widths = [heads * c.head_dim for heads in (c.heads, c.kv_heads, c.kv_heads)]
        if b.has(f"{name}.attn_qkv.weight"):
            parts = b.linear_parts(x, f"{name}.attn_qkv", dict(zip(labels, widths, strict=True)))
        else:
            parts = [b.linear(x, *part) for part in zip(labels, widths, strict=True)]
        if not c.clamp:
            return parts
        clamp = ops.Each("clamp", c.clamp)
        return [b.add(clamp, t, name=f"{t.name}.clamped") for t in parts]

    def _norm_heads(
        self, b: GraphBuilder, q: Tensor, k: Tensor, name: str
    ) -> tuple[Tensor, Tensor]:
        names = f"{name}.attn_q_norm", f"{name}.attn_k_norm"
        wanted = self.head_norms == "always" or (
            self.head_norms == "files" and b.has(f"{names[0]}.weight")
        )
        if not wanted:
            return q, k
        return b.head_norm(q, names[0], b.config.heads), b.head_norm(k, names[1], b.config.kv_heads)


def _table(config: ModelConfig, layer: int) -> str:
    own = config.windows[layer] and config.local_rope != config.rope
    return LOCAL_ROPE_TABLE if own else ROPE_TABLE
