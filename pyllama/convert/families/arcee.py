"""Arcee Foundation Models: a plain feed-forward of squared ReLUs."""

from pyllama.convert.decoder import LLAMA3_FACTORS
from pyllama.convert.families.llama import LLAMA_TENSORS
from pyllama.convert.family import Family
from pyllama.convert.keys import DECODER_KEYS, expects

ARCEE = Family(
    gguf="arcee",
    architectures=("ArceeForCausalLM",),
    keys=(*DECODER_KEYS, expects(("relu2",), "hidden_act", default="relu2")),
    tensors=tuple(rule for rule in LLAMA_TENSORS if ".ffn_gate." not in rule.target),
    extras=(LLAMA3_FACTORS,),
)
