"""GLM 4-0414: norms on both sides of a block, fused gates."""

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, SILU, Key, expects

_LAYER = "model.layers.{i}"


def _rotated(config: Config) -> int:
    return int(config.head_dim * config.rope.real("partial_rotary_factor", default=0.5))


GLM_KEYS = extended(
    DECODER_KEYS,
    Key("rope.dimension_count", _rotated),
    expects(SILU, "hidden_act", default="silu"),
)

GLM_TENSORS = extended(
    tuple(rule for rule in DECODER_TENSORS if ".ffn_gate." not in rule.target),
    Rule(f"{_LAYER}.mlp.gate_up_proj.weight", "blk.{i}.ffn_up.weight"),
)
"""What GLM 4 and its predecessor share."""

GLM4 = Family(
    gguf="glm4",
    architectures=("Glm4ForCausalLM",),
    keys=GLM_KEYS,
    tensors=extended(
        GLM_TENSORS,
        Rule(f"{_LAYER}.post_attention_layernorm.weight", "blk.{i}.ffn_norm.weight"),
        Rule(f"{_LAYER}.post_self_attn_layernorm.weight", "blk.{i}.post_attention_norm.weight"),
        Rule(f"{_LAYER}.post_mlp_layernorm.weight", "blk.{i}.post_ffw_norm.weight"),
    ),
)
