"""GPT-2: learned positions."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, FeedForward, Residual
from pyllama.models.traits import Traits

GPT2 = Architecture(
    name="gpt2",
    blocks=(
        Residual("attn_norm", Attention()),
        Residual("ffn_norm", FeedForward("gelu")),
    ),
    traits=Traits(norm="layer"),
    learned_positions=True,
)
