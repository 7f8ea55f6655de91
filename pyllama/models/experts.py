"""What a model's files say of its experts."""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.models.keys import Keys
from pyllama.models.traits import Traits

MAX_EXPERTS = 1024

SCORES = ("", "softmax", "sigmoid", "softmax of chosen")
"""By the number that files give them; 0 stands for none given."""


@dataclass(frozen=True)
class ExpertConfig:
    """A mixture of experts; ``count`` is 0 where there is none. Sizes are in elements.

    ``feed_forward``: of one expert; ``shared``: of the experts that compute every token. See
    ``ops.Route`` for the rest.
    """

    count: int
    used: int
    feed_forward: int
    shared: int
    score: str
    normalized: bool
    scale: float
    groups: int
    groups_used: int


def read_experts(keys: Keys, feed_forward: int, traits: Traits) -> ExpertConfig:
    """The experts of a model; ModelError names the key that is wrong."""
    count = keys.integer("expert_count", 0, low=0, high=MAX_EXPERTS)
    used = keys.integer("expert_used_count", 0, low=0) if count else 0
    if count and not 1 <= used <= count:
        raise keys.fail("expert_used_count", f"is {used} of {count} experts")
    groups = max(1, keys.integer("expert_group_count", 1, low=0, high=max(1, count)))
    groups_used = keys.integer("expert_group_used_count", groups, low=0, high=MAX_EXPERTS)
    if count % groups:
        raise keys.fail("expert_group_count", f"is {groups}, which does not divide {count} experts")
    if groups > 1 and not used <= groups_used * (count // groups) <= count:
        problem = f"is {groups_used} of {groups} groups, from which {used} experts are chosen"
        raise keys.fail("expert_group_used_count", problem)
    hidden = keys.integer("expert_feed_forward_length", feed_forward)
    shared_count = keys.integer("expert_shared_count", 0, low=0, high=MAX_EXPERTS)
    shared = keys.integer("expert_shared_feed_forward_length", shared_count * hidden, low=0)
    score = keys.integer("expert_gating_func", 0, low=0, high=len(SCORES) - 1)
    return ExpertConfig(
        count=count,
        used=used,
        feed_forward=hidden,
        shared=shared or feed_forward,
        score=SCORES[score] or traits.expert_score,
        normalized=keys.flag("expert_weights_norm", traits.experts_normalized),
        scale=keys.factor("expert_weights_scale", 1.0),
        groups=groups,
        groups_used=groups_used if groups > 1 else 1,
    )
