"""Command R and Aya."""

from dataclasses import replace

from pyllama.convert.decoder import DECODER_TENSORS, HEAD_NORMS
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import SILU, expects, layer_norm_keys, real, whole

COHERE_TENSORS = tuple(rule for rule in DECODER_TENSORS if rule.target != "blk.{i}.ffn_norm.weight")
"""One norm for attention and feed-forward."""

COMMAND_R = Family(
    gguf="command-r",
    architectures=("CohereForCausalLM",),
    keys=extended(
        layer_norm_keys("layer_norm_eps", default=1e-5),
        whole("context_length", "model_max_length", "max_position_embeddings"),
        real("logit_scale", "logit_scale", default=0.0625),
        expects(SILU, "hidden_act", default="silu"),
    ),
    tensors=(*COHERE_TENSORS, *(replace(rule, optional=True) for rule in HEAD_NORMS)),
    tied=True,
)
