"""Llama 1 to 3.3 and what is built alike: Mistral, TinyLlama, SmolLM, Yi."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Residual, SwiGLU

LLAMA = Architecture(
    name="llama",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved")),
        Residual("ffn_norm", SwiGLU()),
    ),
)
