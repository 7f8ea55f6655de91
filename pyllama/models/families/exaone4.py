"""EXAONE 4: blocks are normed behind; where there are windows, only their layers rotate."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual, local_layers
from pyllama.models.traits import Traits

EXAONE4 = Architecture(
    name="exaone4",
    blocks=(
        Residual(
            None,
            Attention(rope="halves", rotates=local_layers, head_norms="always"),
            post_norm="post_attention_norm",
        ),
        Residual(None, GatedFeedForward(), post_norm="post_ffw_norm"),
    ),
    traits=Traits(global_every=4),
)
