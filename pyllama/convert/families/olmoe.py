"""OLMoE: experts, and norms of all queries and of all keys."""

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS, HEAD_NORMS
from pyllama.convert.experts import DENSE_FEED_FORWARD, EXPERT_KEYS, expert_rules, without
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import DECODER_KEYS, Key, flag, real


def _not_clamped(config: Config) -> None:
    """OLMoE clamps behind the norms, which no key of GGUF says; no published model does it."""
    if config.given("clip_qkv") is not None:
        raise config.error("clip_qkv", "is set, which a GGUF file of OLMoE cannot say")


OLMOE = Family(
    gguf="olmoe",
    architectures=("OlmoeForCausalLM",),
    keys=extended(
        DECODER_KEYS,
        *EXPERT_KEYS,
        real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-5),
        Key("attention.clamp_kqv", _not_clamped),
        flag("expert_weights_norm", "norm_topk_prob", default=False),
    ),
    tensors=extended(without(DECODER_TENSORS, *DENSE_FEED_FORWARD), *HEAD_NORMS, *expert_rules()),
)
