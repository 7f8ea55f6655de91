"""What a block is, and how blocks join the stream of a layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pyllama.graph import ops
from pyllama.graph.ops import Tensor
from pyllama.models.build import GraphBuilder


class Block(Protocol):
    """A part of a layer."""

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """Append the part's ops for a layer and return their output."""


@dataclass(frozen=True)
class Residual:
    """``x + scale * post_norm(block(norm(x)))``; either norm may be missing."""

    norm: str | None
    block: Block
    post_norm: str | None = None

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        name = f"blk.{layer}"
        normed = b.norm(x, f"{name}.{self.norm}") if self.norm else x
        out = self.block.build(b, normed, layer)
        if self.post_norm:
            out = b.norm(out, f"{name}.{self.post_norm}")
        label = f"{name}.{self.norm or self.post_norm}.residual"
        return b.add(ops.Add(b.config.scales.residual), out, x, name=label)


@dataclass(frozen=True)
class ParallelResidual:
    """``x + attention(norm(x)) + feed_forward(norm(x))`` (Wang and Komatsuzaki 2021).

    Of the names of either norm the first that the file has counts.
    """

    attention_norm: tuple[str, ...]
    attention: Block
    feed_forward_norm: tuple[str, ...]
    feed_forward: Block

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        name = f"blk.{layer}"
        attention_norm, feed_forward_norm = (
            _first_there(b, [f"{name}.{norm}" for norm in norms])
            for norms in (self.attention_norm, self.feed_forward_norm)
        )
        normed = b.norm(x, attention_norm)
        add = ops.Add(b.config.scales.residual)
        attended = self.attention.build(b, normed, layer)
        total = b.add(add, attended, x, name=f"{name}.attention.residual")
        if feed_forward_norm != attention_norm:
            normed = b.norm(x, feed_forward_norm)
        out = self.feed_forward.build(b, normed, layer)
        return b.add(add, out, total, name=f"{name}.ffn.residual")


def _first_there(b: GraphBuilder, names: list[str]) -> str:
    """The first name whose weight the file has; the last one where it has none of them."""
    return next((name for name in names if b.has(f"{name}.weight")), names[-1])


@dataclass(frozen=True)
class Chosen:
    """Some blocks or others, as the file or the layer asks for."""

    when: Callable[[GraphBuilder, int], bool]
    then: tuple[Block, ...]
    otherwise: tuple[Block, ...]

    def build(self, b: GraphBuilder, x: Tensor, layer: int) -> Tensor:
        """See ``Block``."""
        for block in self.then if self.when(b, layer) else self.otherwise:
            x = block.build(b, x, layer)
        return x
