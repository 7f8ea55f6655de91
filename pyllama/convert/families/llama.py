"""Llama 1 to 3.3 and what is built alike: Mistral, TinyLlama, SmolLM, Yi."""

from pyllama.convert.decoder import DECODER_TENSORS, LLAMA3_FACTORS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, whole
from pyllama.convert.transforms import interleaved_keys, interleaved_queries

_ATTENTION = "model.layers.{i}.self_attn"

LLAMA_TENSORS = extended(
    DECODER_TENSORS,
    *(
        Rule(
            f"{_ATTENTION}.{letter}_proj.{kind}",
            f"blk.{{i}}.attn_{letter}.{kind}",
            transform,
            optional=kind == "bias",
        )
        for letter, transform in (("q", interleaved_queries), ("k", interleaved_keys))
        for kind in ("weight", "bias")
    ),
)
"""The decoder's, with the rows of queries and keys in the order of neighbouring pairs."""

LLAMA = Family(
    gguf="llama",
    architectures=("LlamaForCausalLM", "LLaMAForCausalLM", "MistralForCausalLM"),
    keys=extended(
        DECODER_KEYS,
        whole("attention.sliding_window", "sliding_window", default=None),
    ),
    tensors=LLAMA_TENSORS,
    extras=(LLAMA3_FACTORS,),
)
