"""Granite 3 with experts, whose gate and up matrices are halves of one."""

from pyllama.convert.experts import DENSE_FEED_FORWARD, EXPERT_KEYS, without
from pyllama.convert.families.llama import LLAMA_TENSORS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, real, whole
from pyllama.convert.transforms import half

_LAYER = "model.layers.{i}"
_SHARED = f"{_LAYER}.shared_mlp"
_EXPERTS = f"{_LAYER}.block_sparse_moe"

GRANITEMOE = Family(
    gguf="granitemoe",
    architectures=("GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"),
    keys=extended(
        DECODER_KEYS,
        *EXPERT_KEYS,
        real("attention.layer_norm_rms_epsilon", "rms_norm_eps", default=1e-6),
        real("attention.scale", "attention_multiplier", default=1.0),
        real("embedding_scale", "embedding_multiplier", default=1.0),
        real("residual_scale", "residual_multiplier", default=1.0),
        real("logit_scale", "logits_scaling", default=1.0),
        whole("expert_shared_feed_forward_length", "shared_intermediate_size", default=None),
    ),
    tensors=(
        *without(LLAMA_TENSORS, *DENSE_FEED_FORWARD),
        Rule(f"{_EXPERTS}.router.layer.weight", "blk.{i}.ffn_gate_inp.weight"),
        Rule(f"{_EXPERTS}.input_linear.weight", "blk.{i}.ffn_gate_exps.weight", half(0, axis=1)),
        Rule(f"{_EXPERTS}.input_linear.weight", "blk.{i}.ffn_up_exps.weight", half(1, axis=1)),
        Rule(f"{_EXPERTS}.output_linear.weight", "blk.{i}.ffn_down_exps.weight"),
        Rule(f"{_SHARED}.input_linear.weight", "blk.{i}.ffn_gate_shexp.weight", half(0), True),
        Rule(f"{_SHARED}.input_linear.weight", "blk.{i}.ffn_up_shexp.weight", half(1), True),
        Rule(f"{_SHARED}.output_linear.weight", "blk.{i}.ffn_down_shexp.weight", optional=True),
    ),
)
