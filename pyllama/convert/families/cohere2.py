"""Command R7B and A: windows in all but every fourth layer."""

from pyllama.convert.families.command_r import COHERE_TENSORS
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import SILU, expects, layer_norm_keys, real, whole, windowed_layers

COHERE2 = Family(
    gguf="cohere2",
    architectures=("Cohere2ForCausalLM",),
    keys=extended(
        layer_norm_keys("layer_norm_eps", default=1e-5),
        real("logit_scale", "logit_scale", default=0.0625),
        whole("attention.sliding_window", "sliding_window", default=4096),
        windowed_layers(4),
        expects(SILU, "hidden_act", default="silu"),
    ),
    tensors=COHERE_TENSORS,
    tied=True,
)
