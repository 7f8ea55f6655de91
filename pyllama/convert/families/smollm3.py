"""SmolLM 3: every fourth layer does without positions."""

from pyllama.convert.config import Config
from pyllama.convert.families.llama import LLAMA_TENSORS
from pyllama.convert.family import Family, extended
from pyllama.convert.keys import DECODER_KEYS, Key, rope_theta

_PERIOD = 4


def _check_layers(config: Config) -> None:
    period = config.whole("no_rope_layer_interval", default=_PERIOD)
    expected = [int((i + 1) % _PERIOD != 0) for i in range(config.layers)]
    given = config.given("no_rope_layers") or [
        int((i + 1) % max(period, 1) != 0) for i in range(config.layers)
    ]
    if given != expected:
        problem = f"is not the pattern of every {_PERIOD}th layer that GGUF has a form for"
        raise config.error("no_rope_layers", problem)


SMOLLM3 = Family(
    gguf="smollm3",
    architectures=("SmolLM3ForCausalLM",),
    keys=extended(
        DECODER_KEYS, rope_theta(2000000.0), Key("expects no_rope_layers", _check_layers)
    ),
    tensors=LLAMA_TENSORS,
    tied=True,
)
