"""OLMo 2 and 3: blocks are normed behind, queries and keys as a whole; OLMo 3 has windows."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual
from pyllama.models.traits import Traits

OLMO2 = Architecture(
    name="olmo2",
    blocks=(
        Residual(
            None,
            Attention(rope="halves", head_norms="always"),
            post_norm="post_attention_norm",
        ),
        Residual(None, GatedFeedForward(), post_norm="post_ffw_norm"),
    ),
    traits=Traits(global_every=4, local_rope_scaled=False),
)
