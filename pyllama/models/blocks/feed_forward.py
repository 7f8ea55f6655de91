"""Feed-forward networks, gated and plain."""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.graph import ops
from pyllama.graph.ops import Tensor
from pyllama.models.build import GraphBuilder


@dataclass(frozen=True)
class GatedFeedForward:
    """``down(activation(gate(x)) * up(x))`` (Shazeer 2020).

    ``fused``: gate and up are the halves of one tensor; ``suffix``: of the tensors' names;
    ``hidden``: elements between the matrices, where it is not what the model's config says.
    """

    activation: str = "silu"
    fused: bool = False
    suffix: str = ""
    hidden: int | None = None

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        name, hidden = f"blk.{layer}", self.hidden or b.config.feed_forward
        labels = f"{name}.ffn_gate{self.suffix}", f"{name}.ffn_up{self.suffix}"
        if self.fused:
            gate, up = b.linear_parts(x, labels[1], dict.fromkeys(labels, hidden))
        else:
            gate, up = (b.linear(x, label, hidden) for label in labels)
        label = f"{name}.ffn_gated{self.suffix}"
        gated = b.add(ops.Gate(self.activation), gate, up, name=label)
        return b.linear(gated, f"{name}.ffn_down{self.suffix}", b.config.width)


@dataclass(frozen=True)
class FeedForward:
    """``down(activation(up(x)))``."""

    activation: str

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        name = f"blk.{layer}"
        up = b.linear(x, f"{name}.ffn_up", b.config.feed_forward)
        active = b.add(ops.Each(self.activation), up, name=f"{name}.ffn_active")
        return b.linear(active, f"{name}.ffn_down", b.config.width)
