"""EXAONE 3 and 3.5."""

from pyllama.convert.decoder import LLAMA3_FACTORS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import DECODER_KEYS, SILU, expects, real

_LAYER = "transformer.h.{i}"

EXAONE = Family(
    gguf="exaone",
    architectures=("ExaoneForCausalLM",),
    keys=extended(
        DECODER_KEYS,
        real("attention.layer_norm_rms_epsilon", "layer_norm_epsilon", default=1e-5),
        expects(SILU, "activation_function", default="silu"),
    ),
    tensors=(
        Rule("transformer.wte.weight", "token_embd.weight"),
        Rule("transformer.ln_f.weight", "output_norm.weight"),
        Rule("lm_head.weight", "output.weight"),
        Rule(f"{_LAYER}.ln_1.weight", "blk.{i}.attn_norm.weight"),
        Rule(f"{_LAYER}.ln_2.weight", "blk.{i}.ffn_norm.weight"),
        *(
            Rule(f"{_LAYER}.attn.attention.{source}.weight", f"blk.{{i}}.attn_{target}.weight")
            for source, target in (
                ("q_proj", "q"),
                ("k_proj", "k"),
                ("v_proj", "v"),
                ("out_proj", "output"),
            )
        ),
        Rule(f"{_LAYER}.mlp.c_fc_0.weight", "blk.{i}.ffn_gate.weight"),
        Rule(f"{_LAYER}.mlp.c_fc_1.weight", "blk.{i}.ffn_up.weight"),
        Rule(f"{_LAYER}.mlp.c_proj.weight", "blk.{i}.ffn_down.weight"),
    ),
    extras=(LLAMA3_FACTORS,),
    ignored=("*.rotary.inv_freq",),
)
