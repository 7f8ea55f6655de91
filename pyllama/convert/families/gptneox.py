"""GPT-NeoX and Pythia: queries, keys and values of a head stand side by side."""

from pyllama.convert.config import Config
from pyllama.convert.family import Family, Rule
from pyllama.convert.keys import GELU, Key, expects, flag, layer_norm_keys
from pyllama.convert.modules import both
from pyllama.convert.transforms import reordered_rows


def _by_head(config: Config) -> tuple[int, int, int]:
    return config.heads, 3, config.head_dim


def _rotated(config: Config) -> int:
    return int(config.head_dim * config.rope.real("partial_rotary_factor", default=0.25))


_LAYER = "gpt_neox.layers.{i}"

GPTNEOX = Family(
    gguf="gptneox",
    architectures=("GPTNeoXForCausalLM",),
    keys=(
        *(key for key in layer_norm_keys("layer_norm_eps") if key.name != "rope.dimension_count"),
        Key("rope.dimension_count", _rotated),
        flag("use_parallel_residual", "use_parallel_residual", default=True),
        expects(GELU, "hidden_act", default="gelu"),
    ),
    tensors=(
        Rule("gpt_neox.embed_in.weight", "token_embd.weight"),
        *both("gpt_neox.final_layer_norm", "output_norm"),
        Rule("embed_out.weight", "output.weight"),
        *both(f"{_LAYER}.input_layernorm", "blk.{i}.attn_norm"),
        *both(f"{_LAYER}.post_attention_layernorm", "blk.{i}.ffn_norm"),
        *both(
            f"{_LAYER}.attention.query_key_value",
            "blk.{i}.attn_qkv",
            reordered_rows(_by_head, 1, 0, 2),
        ),
        *both(f"{_LAYER}.attention.dense", "blk.{i}.attn_output"),
        *both(f"{_LAYER}.mlp.dense_h_to_4h", "blk.{i}.ffn_up"),
        *both(f"{_LAYER}.mlp.dense_4h_to_h", "blk.{i}.ffn_down"),
    ),
    head="embed_out.weight",
)
