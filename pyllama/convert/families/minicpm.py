"""MiniCPM 1 and 2: Llama with scaled embeddings, additions to the stream and logits."""

import math

from pyllama.convert.config import Config
from pyllama.convert.families.llama import LLAMA_TENSORS
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import DECODER_KEYS, SILU, Key, expects, real


def _residual_scale(config: Config) -> float:
    return config.real("scale_depth") / math.sqrt(config.layers)


def _logit_divisor(config: Config) -> float:
    return config.width / config.real("dim_model_base")


MINICPM = Family(
    gguf="minicpm",
    architectures=("MiniCPMForCausalLM",),
    keys=extended(
        DECODER_KEYS,
        real("embedding_scale", "scale_emb"),
        Key("residual_scale", _residual_scale),
        Key("logit_scale", _logit_divisor),
        expects(SILU, "hidden_act", default="silu"),
        expects((0, None), "num_experts", default=0),
    ),
    tensors=LLAMA_TENSORS,
    tied=True,
)
