"""Qwen 1.5, 2 and 2.5."""

from pyllama.convert.decoder import DECODER_TENSORS, QKV_BIASES
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import DECODER_KEYS

QWEN2 = Family(
    gguf="qwen2",
    architectures=("Qwen2ForCausalLM",),
    keys=DECODER_KEYS,
    tensors=extended(DECODER_TENSORS, *QKV_BIASES),
)
