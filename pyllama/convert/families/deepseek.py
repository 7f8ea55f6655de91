"""DeepSeek MoE (V1): dense layers first, then experts of which some compute every token."""

from pyllama.convert.experts import (
    EXPERT_KEYS,
    LEADING_DENSE,
    SHARED_KEYS,
    dense_first,
    expert_rules,
    shared_rules,
    sparse_layers,
)
from pyllama.convert.families.llama import LLAMA_TENSORS
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import DECODER_KEYS, flag, real

DEEPSEEK = Family(
    gguf="deepseek",
    architectures=("DeepseekForCausalLM",),
    keys=extended(
        DECODER_KEYS,
        *EXPERT_KEYS,
        *SHARED_KEYS,
        LEADING_DENSE,
        real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-6),
        flag("expert_weights_norm", "norm_topk_prob", default=False),
    ),
    tensors=(
        *dense_first(LLAMA_TENSORS),
        *expert_rules(layers=sparse_layers),
        *shared_rules("shared_experts", sparse_layers),
    ),
)
