"""LFM2: short convolutions in most layers, attention in the others."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Chosen, Residual, ShortConv, has_short_conv, mixture

MIXERS = Chosen(
    has_short_conv,
    then=(Residual("attn_norm", ShortConv()),),
    otherwise=(Residual("attn_norm", Attention(rope="halves", head_norms="always")),),
)

LFM2 = Architecture(name="lfm2", blocks=(MIXERS, mixture()), output_norm="token_embd_norm")
