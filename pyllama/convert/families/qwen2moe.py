"""Qwen 1.5 and 2 with experts, and shared ones behind a gate; some layers may be dense."""

from collections.abc import Iterable

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS, QKV_BIASES
from pyllama.convert.experts import EXPERT_KEYS, dense_in, expert_rules, shared_rules
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, flag, real, whole
from pyllama.convert.transforms import reshaped


def sparse_layers(config: Config) -> list[int]:
    """Layers with experts: every so many-th one, but for those that are said to be dense."""
    period = max(1, config.whole("decoder_sparse_step", default=1))
    dense = config.given("mlp_only_layers") or []
    return [i for i in range(config.layers) if (i + 1) % period == 0 and i not in dense]


def _other_layers(config: Config) -> Iterable[int]:
    return sorted(set(range(config.layers)) - set(sparse_layers(config)))


def dense_layers(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Rules whose feed-forward is that of the layers without experts."""
    return dense_in(rules, _other_layers)


QWEN2MOE = Family(
    gguf="qwen2moe",
    architectures=("Qwen2MoeForCausalLM",),
    keys=extended(
        DECODER_KEYS,
        *EXPERT_KEYS,
        real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-6),
        whole("expert_feed_forward_length", "moe_intermediate_size"),
        whole("expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
        flag("expert_weights_norm", "norm_topk_prob", default=False),
    ),
    tensors=(
        *dense_layers(extended(DECODER_TENSORS, *QKV_BIASES)),
        *expert_rules(layers=sparse_layers),
        *shared_rules("shared_expert", sparse_layers),
        Rule(
            "model.layers.{i}.mlp.shared_expert_gate.weight",
            "blk.{i}.ffn_gate_inp_shexp.weight",
            reshaped(lambda _, shape: shape[-1:]),
            layers=sparse_layers,
        ),
    ),
)
