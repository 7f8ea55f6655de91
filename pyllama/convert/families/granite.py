"""Granite 3: scales of embeddings, scores, additions to the stream and logits."""

from pyllama.convert.families.llama import LLAMA_TENSORS
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import DECODER_KEYS, real

GRANITE_KEYS = extended(
    DECODER_KEYS,
    real("attention.scale", "attention_multiplier", default=1.0),
    real("embedding_scale", "embedding_multiplier", default=1.0),
    real("residual_scale", "residual_multiplier", default=1.0),
    real("logit_scale", "logits_scaling", default=1.0),
)

GRANITE = Family(
    gguf="granite",
    architectures=("GraniteForCausalLM",),
    keys=GRANITE_KEYS,
    tensors=LLAMA_TENSORS,
)
