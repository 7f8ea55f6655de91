"""The keys that every tiny model's file has, without the family's prefix."""

from __future__ import annotations

from typing import Any

SIZES: dict[str, Any] = {
    "block_count": 6,
    "context_length": 64,
    "embedding_length": 64,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "attention.layer_norm_epsilon": 1e-5,
}
