"""DeepSeek MoE (V1): some dense layers first, then experts of which some compute every token."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Residual, mixture

DEEPSEEK = Architecture(
    name="deepseek",
    blocks=(Residual("attn_norm", Attention(rope="interleaved")), mixture()),
)
