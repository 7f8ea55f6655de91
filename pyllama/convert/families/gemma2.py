"""Gemma 2: norms on both sides of a block, softcaps, windows by turns."""

from pyllama.convert.config import Config
from pyllama.convert.families.gemma import GEMMA, GEMMA_KEYS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import Key, real, whole, windowed_layers
from pyllama.convert.transforms import plus_one

_LAYER = "model.layers.{i}"

GEMMA2_TENSORS = extended(
    GEMMA.tensors,
    Rule(f"{_LAYER}.input_layernorm.weight", "blk.{i}.attn_norm.weight", plus_one),
    Rule(
        f"{_LAYER}.post_attention_layernorm.weight", "blk.{i}.post_attention_norm.weight", plus_one
    ),
    Rule(f"{_LAYER}.pre_feedforward_layernorm.weight", "blk.{i}.ffn_norm.weight", plus_one),
    Rule(f"{_LAYER}.post_feedforward_layernorm.weight", "blk.{i}.post_ffw_norm.weight", plus_one),
)
"""Norms before and after attention and feed-forward."""


def score_scale(config: Config) -> float | None:
    """What scores are multiplied by, where it is not what a head's size asks for."""
    dims = config.real("query_pre_attn_scalar", default=256.0)
    return dims**-0.5 if dims != config.whole("head_dim", default=256) else None


GEMMA2 = Family(
    gguf="gemma2",
    architectures=("Gemma2ForCausalLM",),
    keys=extended(
        GEMMA_KEYS,
        real("attn_logit_softcapping", "attn_logit_softcapping", default=50.0),
        real("final_logit_softcapping", "final_logit_softcapping", default=30.0),
        whole("attention.sliding_window", "sliding_window", default=4096),
        windowed_layers(2),
        Key("attention.scale", score_scale),
    ),
    tensors=GEMMA2_TENSORS,
    tied=True,
)
