"""InternLM 2 and 2.5: built as Llama."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual

INTERNLM2 = Architecture(
    name="internlm2",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved")),
        Residual("ffn_norm", GatedFeedForward()),
    ),
)
