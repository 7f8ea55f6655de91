"""Mixtures of experts, and feed-forwards that some layers have in their place."""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.graph import ops
from pyllama.graph.ops import Tensor
from pyllama.models.blocks.base import Chosen, Residual
from pyllama.models.blocks.feed_forward import GatedFeedForward
from pyllama.models.build import GraphBuilder

GROUP_BEST = 2
"""Experts that speak for their group where a bias balances the load (DeepSeek-AI 2024, V3)."""


@dataclass(frozen=True)
class Experts:
    """The experts that a router chooses for each token, and those that compute all tokens.

    Biases, shared experts and the gate of these are there where the file has them.
    """

    activation: str = "silu"

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        c, name = b.config.experts, f"blk.{layer}"
        route = self._route(b, x, name)
        gate, up, down = (f"{name}.ffn_{part}_exps" for part in ("gate", "up", "down"))
        hidden, width = (c.count, c.feed_forward), (c.count, b.config.width)
        gates, ups = (b.weight(f"{part}.weight", *hidden, width[1]) for part in (gate, up))
        gate_bias, up_bias = (b.optional(f"{part}.bias", *hidden) for part in (gate, up))
        b.require_alike(gates, ups)
        b.require_alike(gate_bias, up_bias)
        op = ops.GatedExperts(gates, ups, self.activation, gate_bias, up_bias)
        active = b.add(op, x, route, name=f"{name}.ffn_experts")
        downs = b.weight(f"{down}.weight", *width, c.feed_forward)
        total = ops.SumExperts(downs, b.optional(f"{down}.bias", *width))
        out = b.add(total, active, route, name=f"{name}.ffn_mixture")
        if b.has(f"{name}.ffn_gate_shexp.weight"):
            out = b.add(ops.Add(), self._shared(b, x, layer), out, name=f"{name}.ffn_all")
        return out

    def _route(self, b: GraphBuilder, x: Tensor, name: str) -> Tensor:
        c = b.config.experts
        logits = b.linear(x, f"{name}.ffn_gate_inp", c.count)
        bias = b.optional(f"{name}.exp_probs_b.bias", c.count)
        best = min(GROUP_BEST if bias else 1, c.count // c.groups)
        op = ops.Route(
            c.count, c.used, c.score, c.normalized, c.scale, bias, c.groups, c.groups_used, best
        )
        return b.add(op, logits, name=f"{name}.ffn_route")

    def _shared(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """What every token's experts give, through a gate of their own where there is one."""
        shared = GatedFeedForward(self.activation, suffix="_shexp", hidden=b.config.experts.shared)
        out = shared.build(b, x, layer)
        name = f"blk.{layer}.ffn_gate_inp_shexp"
        if not b.has(f"{name}.weight"):
            return out
        gate = b.add(ops.Linear(b.row(f"{name}.weight", x.width)), x, name=name)
        return b.add(ops.RowGate(), out, gate, name=f"blk.{layer}.ffn_shared")


def _is_mixture(b: GraphBuilder, layer: int) -> bool:
    return b.has(f"blk.{layer}.ffn_gate_inp.weight")


def mixture(
    norm: str = "ffn_norm", post_norm: str | None = None, activation: str = "silu"
) -> Chosen:
    """Experts in the layers that have them, a gated feed-forward in the others."""
    return Chosen(
        _is_mixture,
        then=(Residual(norm, Experts(activation), post_norm),),
        otherwise=(Residual(norm, GatedFeedForward(activation), post_norm),),
    )
