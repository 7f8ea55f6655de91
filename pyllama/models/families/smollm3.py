"""SmolLM 3: every fourth layer does without positions."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual, all_but_every

SMOLLM3 = Architecture(
    name="smollm3",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved", rotates=all_but_every(4))),
        Residual("ffn_norm", GatedFeedForward()),
    ),
)
