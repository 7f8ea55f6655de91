"""The parts that families are put together from."""

from pyllama.models.blocks.attention import (
    LOCAL_ROPE_TABLE,
    ROPE_TABLE,
    Attention,
    all_but_every,
    local_layers,
)
from pyllama.models.blocks.base import Block, Chosen, ParallelResidual, Residual
from pyllama.models.blocks.experts import Experts, mixture
from pyllama.models.blocks.feed_forward import FeedForward, GatedFeedForward
from pyllama.models.blocks.latent import LatentAttention
from pyllama.models.blocks.short_conv import ShortConv, has_short_conv

__all__ = [
    "LOCAL_ROPE_TABLE",
    "ROPE_TABLE",
    "Attention",
    "Block",
    "Chosen",
    "Experts",
    "FeedForward",
    "GatedFeedForward",
    "LatentAttention",
    "ParallelResidual",
    "Residual",
    "ShortConv",
    "all_but_every",
    "has_short_conv",
    "local_layers",
    "mixture",
]
