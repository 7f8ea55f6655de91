"""GPT-NeoX and Pythia: attention and feed-forward side by side, or one after the other."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Chosen, FeedForward, ParallelResidual, Residual
from pyllama.models.build import GraphBuilder
from pyllama.models.traits import Traits

_ATTENTION = Attention(rope="halves")
_FEED_FORWARD = FeedForward("gelu_erf")


def _is_parallel(b: GraphBuilder, _layer: int) -> bool:
    return b.config.parallel_residual


GPTNEOX = Architecture(
    name="gptneox",
    blocks=(
        Chosen(
            _is_parallel,
            (ParallelResidual(("attn_norm",), _ATTENTION, ("ffn_norm",), _FEED_FORWARD),),
            (Residual("attn_norm", _ATTENTION), Residual("ffn_norm", _FEED_FORWARD)),
        ),
    ),
    traits=Traits(norm="layer"),
)
