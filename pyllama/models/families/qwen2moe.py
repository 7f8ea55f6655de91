"""Qwen 1.5 and 2 with experts, and shared ones behind a gate."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Residual, mixture

QWEN2MOE = Architecture(
    name="qwen2moe",
    blocks=(Residual("attn_norm", Attention(rope="halves")), mixture()),
)
