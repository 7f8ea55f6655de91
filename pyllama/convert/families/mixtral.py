"""Mixtral: Llama with experts, which GGUF does not tell from it by name."""

from pyllama.convert.experts import DENSE_FEED_FORWARD, EXPERT_KEYS, expert_rules, without
from pyllama.convert.families.llama import LLAMA, LLAMA_TENSORS
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import real, rope_theta

MIXTRAL = Family(
    gguf="llama",
    architectures=("MixtralForCausalLM",),
    keys=extended(
        LLAMA.keys,
        *EXPERT_KEYS,
        real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-5),
        rope_theta(1e6),
    ),
    tensors=extended(
        without(LLAMA_TENSORS, *DENSE_FEED_FORWARD),
        *expert_rules("block_sparse_moe", names=("w1", "w3", "w2")),
    ),
)
