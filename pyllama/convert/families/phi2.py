"""Phi 1, 1.5 and 2."""

from pyllama.convert.family import Family, Rule
from pyllama.convert.keys import GELU, expects, layer_norm_keys
from pyllama.convert.modules import both

PHI2 = Family(
    gguf="phi2",
    architectures=("PhiForCausalLM",),
    keys=(
        *layer_norm_keys("layer_norm_eps", default=1e-5),
        expects(GELU, "hidden_act", default="gelu_new"),
        expects((False,), "qk_layernorm", default=False),
    ),
    tensors=(
        Rule("model.embed_tokens.weight", "token_embd.weight"),
        *both("model.final_layernorm", "output_norm"),
        *both("lm_head", "output"),
        *both("model.layers.{i}.input_layernorm", "blk.{i}.attn_norm"),
        *both("model.layers.{i}.self_attn.q_proj", "blk.{i}.attn_q"),
        *both("model.layers.{i}.self_attn.k_proj", "blk.{i}.attn_k"),
        *both("model.layers.{i}.self_attn.v_proj", "blk.{i}.attn_v"),
        *both("model.layers.{i}.self_attn.dense", "blk.{i}.attn_output"),
        *both("model.layers.{i}.mlp.fc1", "blk.{i}.ffn_up"),
        *both("model.layers.{i}.mlp.fc2", "blk.{i}.ffn_down"),
    ),
)
