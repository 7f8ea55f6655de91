"""Qwen 3: queries and keys are normed head by head."""

from pyllama.convert.decoder import DECODER_TENSORS, HEAD_NORMS
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import DECODER_KEYS

QWEN3 = Family(
    gguf="qwen3",
    architectures=("Qwen3ForCausalLM",),
    keys=DECODER_KEYS,
    tensors=extended(DECODER_TENSORS, *HEAD_NORMS),
)
