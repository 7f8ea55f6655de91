"""StarCoder 2."""

from pyllama.convert.family import Family, Rule
from pyllama.convert.keys import GELU, expects, layer_norm_keys, whole
from pyllama.convert.modules import both

_LAYER = "model.layers.{i}"

STARCODER2 = Family(
    gguf="starcoder2",
    architectures=("Starcoder2ForCausalLM",),
    keys=(
        *layer_norm_keys("norm_epsilon", "layer_norm_epsilon", default=1e-5),
        whole("attention.sliding_window", "sliding_window", default=None),
        expects(GELU, "hidden_act", default="gelu_pytorch_tanh"),
    ),
    tensors=(
        Rule("model.embed_tokens.weight", "token_embd.weight"),
        *both("model.norm", "output_norm"),
        Rule("lm_head.weight", "output.weight"),
        *both(f"{_LAYER}.input_layernorm", "blk.{i}.attn_norm"),
        *both(f"{_LAYER}.post_attention_layernorm", "blk.{i}.ffn_norm"),
        *both(f"{_LAYER}.self_attn.q_proj", "blk.{i}.attn_q", optional_bias=True),
        *both(f"{_LAYER}.self_attn.k_proj", "blk.{i}.attn_k", optional_bias=True),
        *both(f"{_LAYER}.self_attn.v_proj", "blk.{i}.attn_v", optional_bias=True),
        *both(f"{_LAYER}.self_attn.o_proj", "blk.{i}.attn_output", optional_bias=True),
        *both(f"{_LAYER}.mlp.c_fc", "blk.{i}.ffn_up", optional_bias=True),
        *both(f"{_LAYER}.mlp.c_proj", "blk.{i}.ffn_down", optional_bias=True),
    ),
    tied=True,
)
