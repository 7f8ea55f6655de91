"""A model family as data: its name in GGUF files and the blocks of a layer."""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.graph import ops
from pyllama.graph.graph import Graph
from pyllama.models.blocks import Block
from pyllama.models.build import GraphBuilder


@dataclass(frozen=True)
class Architecture:
    """A decoder: token embedding, the same blocks in every layer, a norm, logits."""

    name: str
    blocks: tuple[Block, ...]

    def build(self, b: GraphBuilder, n_vocab: int) -> Graph:
        """The graph of a model of this family; ModelError names a tensor that does not fit."""
        table = b.weight("token_embd.weight", n_vocab, b.config.width)
        x = b.add(ops.Embedding(table), name="token_embd")
        for layer in range(b.config.layers):
            for block in self.blocks:
                x = block.build(b, x, layer)
        x = b.add(ops.SelectRows(), x, name="outputs")
        x = b.rms_norm(x, "output_norm")
        if b.has("output.weight"):
            logits = b.linear(x, "output", n_vocab)
        else:  # the embedding serves as output too
            logits = b.add(ops.Linear(table), x, name="output")
        return b.graph(logits)
