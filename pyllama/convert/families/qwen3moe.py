"""Qwen 3 with experts; some layers may be dense."""

from pyllama.convert.decoder import DECODER_TENSORS, HEAD_NORMS
from pyllama.convert.experts import EXPERT_KEYS, expert_rules
from pyllama.convert.families.qwen2moe import dense_layers, sparse_layers
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import DECODER_KEYS, flag, real, whole

QWEN3MOE = Family(
    gguf="qwen3moe",
    architectures=("Qwen3MoeForCausalLM",),
    keys=extended(
        DECODER_KEYS,
        *EXPERT_KEYS,
        real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-6),
        whole("expert_feed_forward_length", "moe_intermediate_size"),
        flag("expert_weights_norm", "norm_topk_prob", default=False),
    ),
    tensors=(
        *dense_layers(extended(DECODER_TENSORS, *HEAD_NORMS)),
        *expert_rules(layers=sparse_layers),
    ),
)
