"""Baichuan 1 and 2: rotary positions in the 7B models, ALiBi in those of 13B."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, GatedFeedForward, Residual
from pyllama.models.config import ModelConfig
from pyllama.models.traits import Traits


def _rotates(config: ModelConfig, _layer: int) -> bool:
    return not config.alibi


BAICHUAN = Architecture(
    name="baichuan",
    blocks=(
        Residual("attn_norm", Attention(rope="interleaved", rotates=_rotates)),
        Residual("ffn_norm", GatedFeedForward()),
    ),
    traits=Traits(alibi_layers=40, alibi=8.0),
)
