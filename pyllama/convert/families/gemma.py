"""Gemma 1: norms are stored as their distance from one."""

from pyllama.convert.decoder import DECODER_TENSORS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, GELU, expects, real, whole
from pyllama.convert.transforms import plus_one

GEMMA_KEYS = extended(
    DECODER_KEYS,
    whole("attention.key_length", "head_dim", default=256),
    whole("attention.value_length", "head_dim", default=256),
    real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-6),
    expects(GELU, "hidden_activation", "hidden_act", default="gelu_pytorch_tanh"),
)
"""What all Gemmas have."""

GEMMA = Family(
    gguf="gemma",
    architectures=("GemmaForCausalLM",),
    keys=GEMMA_KEYS,
    tensors=extended(
        DECODER_TENSORS,
        Rule("model.norm.weight", "output_norm.weight", plus_one),
        Rule("model.layers.{i}.input_layernorm.weight", "blk.{i}.attn_norm.weight", plus_one),
        Rule(
            "model.layers.{i}.post_attention_layernorm.weight", "blk.{i}.ffn_norm.weight", plus_one
        ),
    ),
    tied=True,
)
