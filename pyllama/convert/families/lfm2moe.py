"""LFM2 with experts in all but the first layers."""

from pyllama.convert.config import Config
from pyllama.convert.experts import EXPERT_KEYS, dense_in, expert_rules
from pyllama.convert.families.lfm2 import FEED_FORWARD, LFM2_KEYS, MIXER_TENSORS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import Key, flag, real, whole


def _dense(config: Config) -> range:
    return range(config.whole("num_dense_layers", default=2))


def _sparse(config: Config) -> range:
    return range(_dense(config).stop, config.layers)


LFM2MOE = Family(
    gguf="lfm2moe",
    architectures=("Lfm2MoeForCausalLM",),
    keys=extended(
        LFM2_KEYS,
        *EXPERT_KEYS,
        whole("expert_feed_forward_length", "moe_intermediate_size"),
        Key("leading_dense_block_count", lambda config: _dense(config).stop),
        Key("expert_gating_func", lambda _: 2),
        flag("expert_weights_norm", "norm_topk_prob", default=True),
        real("expert_weights_scale", "routed_scaling_factor", default=1.0),
    ),
    tensors=(
        *MIXER_TENSORS,
        *dense_in(FEED_FORWARD, _dense),
        *expert_rules("feed_forward", names=("w1", "w3", "w2"), layers=_sparse),
        Rule(
            "model.layers.{i}.feed_forward.expert_bias",
            "blk.{i}.exp_probs_b.bias",
            optional=True,
            layers=_sparse,
        ),
    ),
    tied=True,
)
