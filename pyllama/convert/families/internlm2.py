"""InternLM 2 and 2.5: projections fused by groups of heads."""

from pyllama.convert.config import Config
from pyllama.convert.family import Family, Rule
from pyllama.convert.keys import DECODER_KEYS, SILU, expects
from pyllama.convert.transforms import (
    interleaved_keys,
    interleaved_queries,
    query_heads,
    rows,
    then,
    ungrouped,
)

_LAYER = "model.layers.{i}"
_FUSED = f"{_LAYER}.attention.wqkv.weight"


def _queries(config: Config) -> int:
    return config.heads * config.head_dim


def _keys(config: Config) -> int:
    return config.kv_heads * config.head_dim


def _before_values(config: Config) -> int:
    return _queries(config) + _keys(config)


_PARTS = {
    "q": then(ungrouped(query_heads), rows(lambda _: 0, _queries), interleaved_queries),
    "k": then(ungrouped(query_heads), rows(_queries, _keys), interleaved_keys),
    "v": then(ungrouped(query_heads), rows(_before_values, _keys)),
}

INTERNLM2 = Family(
    gguf="internlm2",
    architectures=("InternLM2ForCausalLM",),
    keys=(
        *DECODER_KEYS,
        expects(SILU, "hidden_act", default="silu"),
        expects((False,), "bias", default=False),
    ),
    tensors=(
        Rule("model.tok_embeddings.weight", "token_embd.weight"),
        Rule("model.norm.weight", "output_norm.weight"),
        Rule("output.weight", "output.weight"),
        Rule(f"{_LAYER}.attention_norm.weight", "blk.{i}.attn_norm.weight"),
        *(Rule(_FUSED, f"blk.{{i}}.attn_{part}.weight", t) for part, t in _PARTS.items()),
        Rule(f"{_LAYER}.attention.wo.weight", "blk.{i}.attn_output.weight"),
        Rule(f"{_LAYER}.ffn_norm.weight", "blk.{i}.ffn_norm.weight"),
        Rule(f"{_LAYER}.feed_forward.w1.weight", "blk.{i}.ffn_gate.weight"),
        Rule(f"{_LAYER}.feed_forward.w3.weight", "blk.{i}.ffn_up.weight"),
        Rule(f"{_LAYER}.feed_forward.w2.weight", "blk.{i}.ffn_down.weight"),
    ),
    head="output.weight",
)
