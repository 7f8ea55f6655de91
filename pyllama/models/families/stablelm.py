"""StableLM: LayerNorm; the 12B model has normed heads and one norm for both of its blocks."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Chosen, GatedFeedForward, ParallelResidual, Residual
from pyllama.models.build import GraphBuilder
from pyllama.models.traits import Traits

_ATTENTION = Attention(rope="halves", head_norms="files")
_FEED_FORWARD = GatedFeedForward()


def _has_two_norms(b: GraphBuilder, layer: int) -> bool:
    return b.has(f"blk.{layer}.ffn_norm.weight")


STABLELM = Architecture(
    name="stablelm",
    blocks=(
        Chosen(
            _has_two_norms,
            (Residual("attn_norm", _ATTENTION), Residual("ffn_norm", _FEED_FORWARD)),
            (ParallelResidual(("attn_norm",), _ATTENTION, ("attn_norm",), _FEED_FORWARD),),
        ),
    ),
    traits=Traits(norm="layer"),
)
