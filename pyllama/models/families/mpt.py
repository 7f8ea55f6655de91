"""MPT: distances lower the scores instead of positions (ALiBi); queries, keys, values clamped."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, FeedForward, Residual
from pyllama.models.traits import Traits

MPT = Architecture(
    name="mpt",
    blocks=(
        Residual("attn_norm", Attention()),
        Residual("ffn_norm", FeedForward("gelu_erf")),
    ),
    traits=Traits(norm="layer"),
)
