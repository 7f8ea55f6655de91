"""Cosines and sines of the rotary embedding for every position, with every scaling of frequencies.

Sources: Su et al. 2021 (RoPE), Chen et al. 2023 (linear), Peng et al. 2023 (YaRN), the dynamic NTK
rule as transformers computes it, and per-frequency factors as Llama 3.1 files carry them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pyllama.models.config import RopeConfig

Array = NDArray[np.float32]


def inverse_frequencies(rope: RopeConfig, base: float) -> NDArray[np.float64]:
    """(pairs,) angle of each pair for one position, before any scaling."""
    exponents = np.arange(0, rope.dims, 2, dtype=np.float64) / rope.dims
    return 1.0 / base**exponents


def _yarn_ramp(rope: RopeConfig) -> NDArray[np.float64]:
    """(pairs,) 0 where a frequency stays as it is, 1 where it is divided by the factor."""

    def pair_that_turns(turns: float) -> float:
        period = rope.original_context / (turns * 2 * math.pi)
        return rope.dims * math.log(period) / (2 * math.log(rope.base))

    low, high = pair_that_turns(rope.beta_fast), pair_that_turns(rope.beta_slow)
    if rope.whole_pairs:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, rope.dims - 1)
    pairs = np.arange(rope.dims // 2)
    return np.clip((pairs - low) / max(high - low, 0.001), 0, 1)


def _yarn_magnitude(rope: RopeConfig) -> float:
    """Factor of all cosines and sines."""
    if rope.scaling != "yarn":
        return rope.extra_attention_factor
    if rope.attention_factor is not None:
        return rope.attention_factor * rope.extra_attention_factor
    grown = 0.1 * math.log(rope.factor) + 1.0 if rope.factor > 1 else 1.0
    return grown * rope.extra_attention_factor


def dynamic_base(rope: RopeConfig, length: int) -> float:
    """The base that dynamic NTK uses for a sequence of ``length`` tokens."""
    longest = max(length, rope.original_context)
    growth = rope.factor * longest / rope.original_context - (rope.factor - 1)
    return float(rope.base * growth ** (rope.dims / (rope.dims - 2)))


def depends_on_length(rope: RopeConfig) -> bool:
    """Whether angles change while a sequence grows."""
    return rope.scaling == "dynamic" and rope.dims > 2


def rope_table(
    rope: RopeConfig, positions: range, factors: Array | None = None, length: int = 0
) -> Array:
    """(positions, 2, pairs) float32 cosines and sines.

    ``factors``: (pairs,) divisors of the frequencies, where the file has them; ``length``: tokens
    in the sequence, which only dynamic scaling asks for.
    """
    base = dynamic_base(rope, length) if depends_on_length(rope) else rope.base
    frequencies = inverse_frequencies(rope, base)
    if factors is not None:
        frequencies = frequencies / factors.astype(np.float64)
    if rope.scaling == "linear":
        frequencies = frequencies / rope.factor
    elif rope.scaling == "yarn":
        share = 1 - (1 - _yarn_ramp(rope)) * rope.extrapolation
        frequencies = frequencies * (1 - share) + frequencies / rope.factor * share
    angles = np.outer(np.arange(positions.start, positions.stop), frequencies)
    magnitude = _yarn_magnitude(rope)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32) * np.float32(
        magnitude
    )
