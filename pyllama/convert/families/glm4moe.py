"""GLM 4.5 and later: dense layers first, then experts with a bias for their choice."""

from pyllama.convert.decoder import DECODER_TENSORS, HEAD_NORMS
from pyllama.convert.experts import (
    EXPERT_KEYS,
    GROUP_KEYS,
    LEADING_DENSE,
    SHARED_KEYS,
    choice_biases,
    dense_first,
    expert_rules,
    shared_rules,
    sparse_layers,
)
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, Key, flag, real, rope_theta
from pyllama.convert.transforms import as_it_is

GLM4MOE = Family(
    gguf="glm4moe",
    architectures=("Glm4MoeForCausalLM",),
    keys=extended(
        DECODER_KEYS,
        *EXPERT_KEYS,
        *SHARED_KEYS,
        *GROUP_KEYS,
        LEADING_DENSE,
        Key("expert_gating_func", lambda _: 2),
        Key("attention.key_length", lambda config: config.head_dim),
        Key("attention.value_length", lambda config: config.head_dim),
        real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-5),
        rope_theta(),
        flag("expert_weights_norm", "norm_topk_prob", default=True),
        real("expert_weights_scale", "routed_scaling_factor", default=1.0),
    ),
    tensors=(
        *dense_first(
            extended(
                DECODER_TENSORS,
                Rule(
                    "model.layers.{i}.post_attention_layernorm.weight",
                    "blk.{i}.post_attention_norm.weight",
                ),
                *(Rule(rule.source, rule.target, as_it_is, optional=True) for rule in HEAD_NORMS),
            )
        ),
        *expert_rules(layers=sparse_layers),
        *shared_rules("shared_experts", sparse_layers),
        choice_biases(sparse_layers),
    ),
    ignored=("model.layers.{beyond}.*",),
)
