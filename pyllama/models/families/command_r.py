"""Command R and Aya: attention and feed-forward side by side behind one LayerNorm without bias."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, ParallelResidual
from pyllama.models.traits import Traits

COMMAND_R = Architecture(
    name="command-r",
    blocks=(
        ParallelResidual(
            ("attn_norm",),
            Attention(rope="interleaved", head_norms="files"),
            ("attn_norm",),
            GatedFeedForward(),
        ),
    ),
    traits=Traits(norm="layer"),
)
