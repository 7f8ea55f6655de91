"""Command R7B and A: as Command R, but every fourth layer has neither window nor positions."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, ParallelResidual, local_layers
from pyllama.models.traits import Traits

COHERE2 = Architecture(
    name="cohere2",
    blocks=(
        ParallelResidual(
            ("attn_norm",),
            Attention(rope="interleaved", rotates=local_layers),
            ("attn_norm",),
            GatedFeedForward(),
        ),
    ),
    traits=Traits(norm="layer", global_every=4),
)
