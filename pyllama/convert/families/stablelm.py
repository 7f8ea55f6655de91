"""StableLM 2 and 3B: LayerNorm; the 12B model norms every head with weights of its own."""

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS
from pyllama.convert.family import Family, Rule, extended
from pyllama.convert.keys import SILU, Key, expects, flag, layer_norm_keys, rope_theta
from pyllama.convert.transforms import stack

_LAYER = "model.layers.{i}"


def _rotated(config: Config) -> int:
    share = config.rope.real("partial_rotary_factor", default=0.25)
    return int(config.head_dim * share)


STABLELM = Family(
    gguf="stablelm",
    architectures=("StableLmForCausalLM", "StableLMEpochForCausalLM"),
    keys=extended(
        layer_norm_keys("layer_norm_eps", "norm_eps", default=1e-5),
        rope_theta(),
        Key("rope.dimension_count", _rotated),
        flag("use_parallel_residual", "use_parallel_residual", default=False),
        expects(SILU, "hidden_act", default="silu"),
    ),
    tensors=(
        *extended(
            DECODER_TENSORS,
            Rule(
                f"{_LAYER}.post_attention_layernorm.weight",
                "blk.{i}.ffn_norm.weight",
                optional=True,
            ),
        ),
        Rule("model.norm.bias", "output_norm.bias"),
        Rule(f"{_LAYER}.input_layernorm.bias", "blk.{i}.attn_norm.bias"),
        Rule(f"{_LAYER}.post_attention_layernorm.bias", "blk.{i}.ffn_norm.bias", optional=True),
        *(
            Rule(
                f"{_LAYER}.self_attn.{letter}_layernorm.norms.{{{letter}}}.weight",
                f"blk.{{i}}.attn_{letter}_norm.weight",
                stack,
                optional=True,
            )
            for letter in "qk"
        ),
    ),
)
