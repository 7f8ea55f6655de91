"""Baichuan 1 and 2: fused projections; the 13B models have ALiBi.

That, and which version it is, config.json tells by its names and numbers alone.
"""

import numpy as np

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, SILU, Key, expects, whole
from pyllama.convert.tensor import LazyTensor
from pyllama.convert.transforms import interleaved_queries, rows, then

_FUSED = "model.layers.{i}.self_attn.W_pack.weight"
_ALIBI = 8.0
_VOCABULARY_OF_VERSION_2 = 125696


def _has_alibi(config: Config) -> bool:
    """Configurations of models with rotary positions say how many of these there are."""
    return config.given("max_position_embeddings") is None


def _head(config: Config, /, *tensors: LazyTensor) -> LazyTensor:
    """Version 2 divides every row of the output matrix by its length."""
    (tensor,) = tensors
    if config.vocabulary != _VOCABULARY_OF_VERSION_2:
        return tensor
    return tensor.computed(lambda rows: rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def _width(config: Config) -> int:
    return config.width


_PARTS = {
    "q": then(rows(lambda _: 0, _width), interleaved_queries),
    "k": then(rows(_width, _width), interleaved_queries),
    "v": rows(lambda config: 2 * config.width, _width),
}

_REPLACED = ("output.weight", *(f"blk.{{i}}.attn_{part}.weight" for part in _PARTS))

BAICHUAN = Family(
    gguf="baichuan",
    architectures=("BaichuanForCausalLM", "BaiChuanForCausalLM"),
    keys=extended(
        DECODER_KEYS,
        whole("context_length", "max_position_embeddings", "model_max_length"),
        Key("attention.max_alibi_bias", lambda config: _ALIBI if _has_alibi(config) else None),
        expects(SILU, "hidden_act", default="silu"),
    ),
    tensors=(
        *(rule for rule in DECODER_TENSORS if rule.target not in _REPLACED),
        Rule("lm_head.weight", "output.weight", _head),
        *(Rule(_FUSED, f"blk.{{i}}.attn_{part}.weight", t) for part, t in _PARTS.items()),
    ),
)
