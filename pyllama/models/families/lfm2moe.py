"""LFM2 with experts, chosen by sigmoids."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import mixture
from pyllama.models.families.lfm2 import MIXERS
from pyllama.models.traits import Traits

LFM2MOE = Architecture(
    name="lfm2moe",
    blocks=(MIXERS, mixture()),
    traits=Traits(expert_score="sigmoid", experts_normalized=True),
    output_norm="token_embd_norm",
)
