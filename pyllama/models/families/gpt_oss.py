"""gpt-oss: biases everywhere, attention sinks, windows by turns, clamped experts."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Residual, mixture
from pyllama.models.traits import Traits

GPT_OSS = Architecture(
    name="gpt-oss",
    blocks=(
        Residual("attn_norm", Attention(rope="halves", has_sinks=True)),
        mixture("post_attention_norm", activation="clamped"),
    ),
    traits=Traits(global_every=2, yarn_whole_pairs=False, expert_score="softmax of chosen"),
)
