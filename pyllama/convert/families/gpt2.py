"""GPT-2: matrices are stored (in, out), with or without a prefix to their names."""

from pyllama.convert.config import Config
from pyllama.convert.family import Family, Rule
from pyllama.convert.keys import GELU, SIZE_KEYS, Key, expects, real, whole
from pyllama.convert.modules import both
from pyllama.convert.transforms import transposed

_MATRICES = {
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


def _rules(prefix: str) -> tuple[Rule, ...]:
    layer = f"{prefix}h.{{i}}"
    matrices = (
        (f"{layer}.{source}", f"blk.{{i}}.{target}") for source, target in _MATRICES.items()
    )
    return (
        Rule(f"{prefix}wte.weight", "token_embd.weight"),
        Rule(f"{prefix}wpe.weight", "position_embd.weight"),
        *both(f"{prefix}ln_f", "output_norm"),
        *both(f"{layer}.ln_1", "blk.{i}.attn_norm"),
        *both(f"{layer}.ln_2", "blk.{i}.ffn_norm"),
        *(Rule(f"{s}.weight", f"{t}.weight", transposed) for s, t in matrices),
        *(
            Rule(f"{layer}.{source}.bias", f"blk.{{i}}.{target}.bias")
            for source, target in _MATRICES.items()
        ),
    )


def _hidden(config: Config) -> int:
    return config.whole("n_inner", default=4 * config.width)


GPT2 = Family(
    gguf="gpt2",
    architectures=("GPT2LMHeadModel",),
    keys=(
        *(key for key in SIZE_KEYS if key.name != "feed_forward_length"),
        Key("feed_forward_length", _hidden),
        real("attention.layer_norm_epsilon", "layer_norm_epsilon", default=1e-5),
        whole("vocab_size", "vocab_size"),
        expects(GELU, "activation_function", default="gelu_new"),
        expects((True,), "scale_attn_weights", default=True),
        expects((False,), "scale_attn_by_inverse_layer_idx", default=False),
    ),
    tensors=(
        *_rules("transformer."),
        *_rules(""),
        Rule("lm_head.weight", "output.weight"),
    ),
    ignored=("*.attn.bias",),
    tied=True,
)
