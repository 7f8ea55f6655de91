"""LFM2: short convolutions in most layers, attention in the others."""

from __future__ import annotations

from collections.abc import Iterable

from pyllama.convert.config import Config
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, Key, real, rope_theta, whole
from pyllama.convert.transforms import reshaped

_LAYER = "model.layers.{i}"


def _attention_layers(config: Config) -> list[int]:
    """Layers that attend; older configurations give their numbers."""
    kinds = config.given("layer_types")
    if kinds is None:
        return [i for i in config.given("full_attn_idxs") or [] if i < config.layers]
    if not isinstance(kinds, list) or len(kinds) != config.layers:
        raise config.error("layer_types", f"does not name the kind of {config.layers} layers")
    return [i for i, kind in enumerate(kinds) if kind != "conv"]


def _conv_layers(config: Config) -> Iterable[int]:
    return sorted(set(range(config.layers)) - set(_attention_layers(config)))


def _kv_heads(config: Config) -> list[int]:
    """Of every layer; none in those that convolve."""
    attend = set(_attention_layers(config))
    return [config.kv_heads if i in attend else 0 for i in range(config.layers)]


def _feed_forward(config: Config) -> int:
    """Elements between the matrices: as given, or two thirds of it, rounded up to whole blocks."""
    hidden = config.whole("block_ff_dim", "intermediate_size")
    if not config.flag("block_auto_adjust_ff_dim", default=True):
        return hidden
    hidden = int(config.real("block_ffn_dim_multiplier", default=1.0) * int(2 * hidden / 3))
    block = max(1, config.whole("block_multiple_of", default=256))
    return -(-hidden // block) * block


LFM2_KEYS = extended(
    DECODER_KEYS,
    Key("attention.head_count_kv", _kv_heads),
    real("attention.layer_norm_rms_epsilon", "norm_eps", "block_norm_eps", default=1e-5),
    rope_theta(1e6),
    whole("shortconv.l_cache", "conv_L_cache", default=3),
)

_ATTENTION = (
    ("q_proj", "attn_q"),
    ("k_proj", "attn_k"),
    ("v_proj", "attn_v"),
    ("out_proj", "attn_output"),
    ("q_layernorm", "attn_q_norm"),
    ("k_layernorm", "attn_k_norm"),
)

MIXER_TENSORS = (
    Rule("model.embed_tokens.weight", "token_embd.weight"),
    Rule("model.embedding_norm.weight", "token_embd_norm.weight"),
    Rule("lm_head.weight", "output.weight"),
    Rule(f"{_LAYER}.operator_norm.weight", "blk.{i}.attn_norm.weight"),
    Rule(f"{_LAYER}.ffn_norm.weight", "blk.{i}.ffn_norm.weight"),
    *(
        Rule(
            f"{_LAYER}.self_attn.{source}.weight",
            f"blk.{{i}}.{target}.weight",
            layers=_attention_layers,
        )
        for source, target in _ATTENTION
    ),
    *(
        Rule(
            f"{_LAYER}.conv.{part}.weight",
            f"blk.{{i}}.shortconv.{part}.weight",
            layers=_conv_layers,
        )
        for part in ("in_proj", "out_proj")
    ),
    Rule(
        f"{_LAYER}.conv.conv.weight",
        "blk.{i}.shortconv.conv.weight",
        reshaped(lambda _, shape: (shape[0], shape[-1])),
        layers=_conv_layers,
    ),
)
"""All but the feed-forward."""

FEED_FORWARD = tuple(
    Rule(f"{_LAYER}.feed_forward.{source}.weight", f"blk.{{i}}.ffn_{part}.weight")
    for part, source in (("gate", "w1"), ("up", "w3"), ("down", "w2"))
)

LFM2 = Family(
    gguf="lfm2",
    architectures=("Lfm2ForCausalLM",),
    keys=extended(LFM2_KEYS, Key("feed_forward_length", _feed_forward)),
    tensors=(*MIXER_TENSORS, *FEED_FORWARD),
    tied=True,
)
"""Its embedding serves as output matrix unless config.json says otherwise."""
