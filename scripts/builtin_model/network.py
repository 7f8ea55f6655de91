"""The network: Llama in PyTorch, rotating neighbouring pairs as GGUF's ``llama`` does.

Because the rotation is trained in the file's order, the export permutes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

INIT_STD = 0.02


@dataclass(frozen=True)
class Shape:
    """Dimensions; every matrix has a multiple of 256 columns, so that K-quants apply."""

    vocabulary: int = 4096
    width: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 512
    context: int = 1024
    norm_epsilon: float = 1e-5
    rope_base: float = 10000.0

    @property
    def head(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads


class Attention(nn.Module):
    """Causal attention with grouped heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q = nn.Linear(shape.width, shape.heads * shape.head, bias=False)
        self.k = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.v = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.output = nn.Linear(shape.heads * shape.head, shape.width, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """``x``: (batch, tokens, width), and so is the result."""
        batch, tokens, _ = x.shape
        groups = self.shape.heads // self.shape.kv_heads
        q, k, v = (
            projection(x).view(batch, tokens, -1, self.shape.head).transpose(1, 2)
            for projection in (self.q, self.k, self.v)
        )
        k, v = (rows.repeat_interleave(groups, dim=1) for rows in (rotate(k, rotation), v))
        mixed = functional.scaled_dot_product_attention(rotate(q, rotation), k, v, is_causal=True)
        projected: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, tokens, -1))
        return projected


class Block(nn.Module):
    """Attention and a SwiGLU network, each behind its norm and added to the stream."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attn_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.attn = Attention(shape)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.ffn_gate = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.ffn_up = nn.Linear(shape.width, shape.feed_forward, bias=False)
        self.ffn_down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """``x``: (batch, tokens, width), and so is the result."""
        x = x + self.attn(self.attn_norm(x), rotation)
        y = self.ffn_norm(x)
        activated: Tensor = self.ffn_down(functional.silu(self.ffn_gate(y)) * self.ffn_up(y))
        return x + activated


class Llama(nn.Module):
    """The whole network; the output matrix is the embedding's."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        cos, sin = rotation_table(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.apply(self._initialize)
        # The paths into the stream start smaller the more of them there are (GPT-2's rule).
        for block in self.blk:
            assert isinstance(block, Block)
            for path in (block.attn.output, block.ffn_down):
                nn.init.normal_(path.weight, std=INIT_STD / (2 * shape.layers) ** 0.5)

    def hidden(self, ids: Tensor) -> Tensor:
        """The normed stream, (batch, tokens, width), of ``ids``: (batch, tokens) int64."""
        cos, sin = self.get_buffer("cos"), self.get_buffer("sin")
        rotation = cos[: ids.shape[1]], sin[: ids.shape[1]]
        x = self.token_embd(ids)
        for block in self.blk:
            x = block(x, rotation)
        normed: Tensor = self.output_norm(x)
        return normed

    def forward(self, ids: Tensor) -> Tensor:
        """Logits (batch, tokens, vocabulary) of ``ids``: (batch, tokens) int64."""
        return functional.linear(self.hidden(ids), self.token_embd.weight)

    def loss(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats; ``ids`` and ``targets``: (batch, tokens) int64."""
        logits = self(ids).flatten(0, 1).float()
        return functional.cross_entropy(logits, targets.flatten())

    @staticmethod
    def _initialize(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=INIT_STD)


def rotation_table(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines, each (context, head / 2), of position * base^(-2i / head)."""
    exponents = torch.arange(0, shape.head, 2, dtype=torch.float64) / shape.head
    angles = torch.outer(
        torch.arange(shape.context, dtype=torch.float64), shape.rope_base**-exponents
    )
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (x[2i], x[2i+1]) by its angle; ``x``: (batch, heads, tokens, head)."""
    cos, sin = rotation
    even, odd = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2).to(x.dtype)
