"""What the files of a family leave unsaid, because it is the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Traits:
    """A family's constants. Those that a key of the file can state hold where it is absent."""

    required: tuple[str, ...] = ()
    """Keys without which a file's numbers would be wrong."""
    norm: str = "rms"
    """``rms``, or ``layer`` for LayerNorm."""
    window: int = 0
    """Positions that a token sees, 0 for all."""
    global_every: int = 0
    """Every so many-th layer has no window; 0: all layers have it."""
    local_rope_base: float = 0.0
    """Base of the rotation in layers with a window; 0: that of the other layers."""
    local_rope_scaled: bool = True
    """Whether the scaling of frequencies holds for layers with a window, too."""
    root_embeddings: bool = False
    """Embeddings are multiplied by the root of their width."""
    logits_divided: bool = False
    """Logits are divided by ``logit_scale`` instead of multiplied."""
    attention_softcap: float = 0.0
    logit_softcap: float = 0.0
    yarn_whole_pairs: bool = True
    """Whether YaRN's ramp begins and ends at whole numbers of pairs, as it does in most models."""
    has_latent: bool = False
    """Whether attention is to latents."""
    expert_score: str = "softmax"
    """What experts are chosen by, see ``ops.Route``."""
    experts_normalized: bool = False
    """Whether the weights of a token's experts add up to one."""
    wide_score_layers: int = 0
    """In a model of so many layers scores are divided by the root of width / heads, which is not
    the size of a head there."""
    alibi: float = 0.0
    alibi_layers: int = 0
    """Models of so many layers have this ALiBi."""
