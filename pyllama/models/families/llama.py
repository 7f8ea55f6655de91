"""Llama 1 to 3.3 and what is built alike: Mistral, TinyLlama, SmolLM, Yi; with experts: Mixtral."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Residual, mixture
from pyllama.models.traits import Traits

LLAMA = Architecture(
    name="llama",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved")),
        mixture(),
    ),
    traits=Traits(experts_normalized=True),
)
