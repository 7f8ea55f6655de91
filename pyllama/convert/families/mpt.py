"""MPT."""

from pyllama.convert.config import Config
from pyllama.convert.family import Family, Rule
from pyllama.convert.keys import SIZE_KEYS, Key, real, whole
from pyllama.convert.modules import both

_LAYER = "transformer.blocks.{i}"


def _alibi(config: Config) -> float:
    attention = config.section("attn_config")
    if not attention.flag("alibi", default=True):
        raise config.error("attn_config.alibi", "is false: MPT without ALiBi has no form in GGUF")
    return attention.real("alibi_bias_max", default=8.0)


def _clamp(config: Config) -> float | None:
    attention = config.section("attn_config")
    return None if attention.given("clip_qkv") is None else attention.real("clip_qkv")


def _hidden(config: Config) -> int:
    return config.whole("expansion_ratio", default=4) * config.width


MPT = Family(
    gguf="mpt",
    architectures=("MPTForCausalLM", "MptForCausalLM"),
    keys=(
        *(key for key in SIZE_KEYS if key.name != "feed_forward_length"),
        Key("feed_forward_length", _hidden),
        real("attention.layer_norm_epsilon", "layer_norm_epsilon", default=1e-5),
        Key("attention.max_alibi_bias", _alibi),
        Key("attention.clamp_kqv", _clamp),
        whole("vocab_size", "vocab_size"),
    ),
    tensors=(
        Rule("transformer.wte.weight", "token_embd.weight"),
        Rule("lm_head.weight", "output.weight"),
        *both("transformer.norm_f", "output_norm", optional_bias=True),
        *both(f"{_LAYER}.norm_1", "blk.{i}.attn_norm", optional_bias=True),
        *both(f"{_LAYER}.norm_2", "blk.{i}.ffn_norm", optional_bias=True),
        *both(f"{_LAYER}.attn.Wqkv", "blk.{i}.attn_qkv", optional_bias=True),
        *both(f"{_LAYER}.attn.out_proj", "blk.{i}.attn_output", optional_bias=True),
        *both(f"{_LAYER}.ffn.up_proj", "blk.{i}.ffn_up", optional_bias=True),
        *both(f"{_LAYER}.ffn.down_proj", "blk.{i}.ffn_down", optional_bias=True),
    ),
    tied=True,
)
