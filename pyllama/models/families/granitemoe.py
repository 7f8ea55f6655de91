"""Granite 3 with experts, some of which may compute every token."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Residual, mixture
from pyllama.models.traits import Traits

GRANITEMOE = Architecture(
    name="granitemoe",
    blocks=(Residual("attn_norm", Attention(rope="interleaved")), mixture()),
    traits=Traits(logits_divided=True, experts_normalized=True),
)
