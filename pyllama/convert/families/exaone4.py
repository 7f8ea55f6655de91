"""EXAONE 4: blocks are normed behind; the 32B model has windows."""

from pyllama.convert.config import Config
from pyllama.convert.decoder import DECODER_TENSORS, HEAD_NORMS, LLAMA3_FACTORS
from pyllama.convert.families.olmo2 import post_normed
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import DECODER_KEYS, SILU, Key, expects, windowed_layers

_PATTERN = windowed_layers(4)


def _window(config: Config) -> int | None:
    """Absent where no layer has one: then all layers rotate."""
    pattern = config.given("layer_types", "sliding_window_pattern")
    if config.given("sliding_window") is None or pattern is None:
        return None
    return config.whole("sliding_window")


def _windowed(config: Config) -> list[bool] | None:
    return None if _window(config) is None else _PATTERN.value(config)


EXAONE4 = Family(
    gguf="exaone4",
    architectures=("Exaone4ForCausalLM",),
    keys=(
        *DECODER_KEYS,
        Key("attention.sliding_window", _window),
        Key("attention.sliding_window_pattern", _windowed),
        expects(SILU, "hidden_act", default="silu"),
    ),
    tensors=extended(post_normed(DECODER_TENSORS), *HEAD_NORMS),
    extras=(LLAMA3_FACTORS,),
)
