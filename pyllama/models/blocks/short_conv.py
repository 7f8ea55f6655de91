"""Gated short convolutions, which stand in the place of attention in some layers."""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.graph import ops
from pyllama.graph.ops import Tensor
from pyllama.models.build import GraphBuilder


@dataclass(frozen=True)
class ShortConv:
    """``out(c * conv(b * x))`` of the parts (b, c, x) of a projection (Liquid AI's LFM2, 2025)."""

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        c, name = b.config, f"blk.{layer}.shortconv"
        parts = b.linear(x, f"{name}.in_proj", 3 * c.width)
        weight = b.weight(f"{name}.conv.weight", c.width, c.conv_taps)
        convolved = b.add(ops.ShortConv(layer, weight), parts, name=f"{name}.conv")
        return b.linear(convolved, f"{name}.out_proj", c.width)


def has_short_conv(b: GraphBuilder, layer: int) -> bool:
    """Whether a layer convolves."""
    return b.has(f"blk.{layer}.shortconv.conv.weight")
