"""A model family as data: its name in GGUF files, its constants and the blocks of a layer."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyllama.graph import ops
from pyllama.graph.graph import Graph
from pyllama.graph.ops import Tensor
from pyllama.models.blocks import Block
from pyllama.models.build import GraphBuilder
from pyllama.models.traits import Traits


@dataclass(frozen=True)
class Architecture:
    """A decoder: token embedding, the same blocks in every layer, a norm, logits.

    ``learned_positions``: positions must have embeddings, which are added where files have them;
    ``output_norm``: what the files call the last norm.
    """

    name: str
    blocks: tuple[Block, ...]
    traits: Traits = field(default_factory=Traits)
    learned_positions: bool = False
    output_norm: str = "output_norm"

    def build(self, b: GraphBuilder, n_vocab: int) -> Graph:
        """The graph of a model of this family; ModelError names a tensor that does not fit."""
        x = self._embed(b, n_vocab)
        for layer in range(b.config.layers):
            for block in self.blocks:
                x = block.build(b, x, layer)
        x = b.add(ops.SelectRows(), x, name="outputs")
        return b.graph(_logits(b, b.norm(x, self.output_norm), n_vocab))

    def _embed(self, b: GraphBuilder, n_vocab: int) -> Tensor:
        c = b.config
        table = b.weight("token_embd.weight", n_vocab, c.width)
        x = b.add(ops.Embedding(table, c.scales.embedding), name="token_embd")
        if self.learned_positions or b.has("position_embd.weight"):
            table = b.weight("position_embd.weight", c.context_length, c.width)
            positions = b.add(ops.Embedding(table, of="positions"), name="position_embd")
            x = b.add(ops.Add(), x, positions, name="embedded")
        return x


def _logits(b: GraphBuilder, x: Tensor, n_vocab: int) -> Tensor:
    """The output matrix, or the embedding in its place; then scale and softcap."""
    c = b.config
    if b.has("output.weight"):
        logits = b.linear(x, "output", n_vocab)
    else:
        table = b.weight("token_embd.weight", n_vocab, c.width)
        logits = b.add(ops.Linear(table), x, name="output")
    if c.scales.logits != 1:
        logits = b.add(ops.Each("scale", c.scales.logits), logits, name="output.scaled")
    if c.logit_softcap:
        logits = b.add(ops.Each("softcap", c.logit_softcap), logits, name="output.capped")
    return logits
