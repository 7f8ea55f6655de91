"""What files say of multi-head latent attention (DeepSeek-AI 2024)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyllama.models.keys import Keys


@dataclass(frozen=True)
class LatentConfig:
    """Keys and values of all heads are made of one vector a token, the latent. In elements.

    ``rank``: of the latent; ``query_rank``: of that of the queries, 0 where they have none;
    ``key_dim``, ``value_dim``: of a head's keys and values when they are made.
    """

    rank: int
    query_rank: int
    key_dim: int
    value_dim: int


NO_LATENT = LatentConfig(0, 0, 0, 0)


def read_latent(keys: Keys, rope_dims: int) -> LatentConfig:
    """The sizes of a model's latents; ModelError names the key that is wrong."""
    rank = keys.integer("attention.kv_lora_rank", high=1 << 12)
    if keys.integer("attention.key_length_mla", 0, low=0) == 0:
        problem = "is missing: the file was made by an old converter, convert the model again"
        raise keys.fail("attention.key_length_mla", problem)
    latent = LatentConfig(
        rank=rank,
        query_rank=keys.integer("attention.q_lora_rank", 0, low=0),
        key_dim=keys.integer("attention.key_length_mla", high=1 << 12),
        value_dim=keys.integer("attention.value_length_mla", high=1 << 12),
    )
    if latent.key_dim <= rope_dims:
        raise keys.fail("attention.key_length_mla", f"is {latent.key_dim}, all of it rotated")
    for key, wanted in (("key_length", rank + rope_dims), ("value_length", rank)):
        found = keys.integer(f"attention.{key}", wanted)
        if found != wanted:
            raise keys.fail(f"attention.{key}", f"is {found}, not {wanted}")
    if keys.integer("attention.head_count_kv", 1) != 1:
        raise keys.fail("attention.head_count_kv", "is not 1, as it is for a latent")
    return latent


def score_growth(keys: Keys, factor: float) -> float:
    """What scores are multiplied by besides: YaRN's magnitude, squared, of all elements."""
    multiplier = keys.number("rope.scaling.yarn_log_multiplier", 0.0, positive=False)
    return (1 + multiplier * math.log(max(factor, 1.0))) ** 2
