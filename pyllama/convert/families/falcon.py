"""Falcon: 7B with one key head and one norm, 40B and 180B with groups of heads and two norms."""

from pyllama.convert.config import Config
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import GELU, Key, expects, layer_norm_keys, whole
from pyllama.convert.modules import both
from pyllama.convert.transforms import query_heads, ungrouped

_LAYER = "transformer.h.{i}"


def _key_heads(config: Config) -> int:
    if config.flag("new_decoder_architecture", default=False):
        return config.kv_heads
    return 1 if config.flag("multi_query", default=True) else config.heads


def _hidden(config: Config) -> int:
    return config.whole("ffn_hidden_size", default=4 * config.width)


FALCON = Family(
    gguf="falcon",
    architectures=("FalconForCausalLM", "RWForCausalLM"),
    keys=extended(
        layer_norm_keys("layer_norm_epsilon", default=1e-5),
        Key("attention.head_count_kv", _key_heads),
        Key("feed_forward_length", _hidden),
        whole("context_length", "max_position_embeddings", default=2048),
        expects((False,), "alibi", default=False),
        expects((True,), "parallel_attn", default=True),
        expects(GELU, "activation", default="gelu"),
    ),
    tensors=(
        Rule("transformer.word_embeddings.weight", "token_embd.weight"),
        *both("transformer.ln_f", "output_norm"),
        Rule("lm_head.weight", "output.weight"),
        *both(f"{_LAYER}.ln_mlp", "blk.{i}.attn_norm"),
        *both(f"{_LAYER}.input_layernorm", "blk.{i}.attn_norm"),
        *(
            Rule(f"{_LAYER}.ln_attn.{kind}", f"blk.{{i}}.attn_norm_2.{kind}", optional=True)
            for kind in ("weight", "bias")
        ),
        *both(
            f"{_LAYER}.self_attention.query_key_value",
            "blk.{i}.attn_qkv",
            ungrouped(query_heads, _key_heads),
            optional_bias=True,
        ),
        *both(f"{_LAYER}.self_attention.dense", "blk.{i}.attn_output", optional_bias=True),
        *both(f"{_LAYER}.mlp.dense_h_to_4h", "blk.{i}.ffn_up", optional_bias=True),
        *both(f"{_LAYER}.mlp.dense_4h_to_h", "blk.{i}.ffn_down", optional_bias=True),
    ),
    tied=True,
)
