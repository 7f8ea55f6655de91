"""ChatGLM 3 and GLM 4-9b: fused gates; half of a head rotates."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual

CHATGLM = Architecture(
    name="chatglm",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved")),
        Residual("ffn_norm", GatedFeedForward(fused=True)),
    ),
)
