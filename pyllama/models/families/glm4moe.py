"""GLM 4.5 and later: biased attention, some dense layers, then experts chosen by sigmoids."""

from pyllama.models.architecture import Architecture
from pyllama.models.blocks import Attention, Residual, mixture
from pyllama.models.traits import Traits

GLM4MOE = Architecture(
    name="glm4moe",
    blocks=(
        Residual("attn_norm", Attention(rope="halves", head_norms="files")),
        mixture("post_attention_norm"),
    ),
    traits=Traits(expert_score="sigmoid"),
)
