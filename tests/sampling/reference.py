"""The sampling chain once more, one token at a time in plain Python floats: slow and obvious."""

from __future__ import annotations

import math

from pyllama.sampling import SamplingParams

Pairs = list[tuple[int, float]]
"""(token, logit)"""


def chain(logits: list[float], history: list[int], params: SamplingParams) -> Pairs:
    """What the default chain leaves, in its order."""
    pairs = list(enumerate(logits))
    pairs = penalize(pairs, history, params)
    pairs = top_k(pairs, params.top_k)
    pairs = top_p(pairs, params.top_p)
    pairs = min_p(pairs, params.min_p)
    return temperature(pairs, params.temperature)


def penalize(pairs: Pairs, history: list[int], params: SamplingParams) -> Pairs:
    recent = history[-params.repeat_last_n :] if params.repeat_last_n else []
    result = []
    for token, logit in pairs:
        count = recent.count(token)
        if count:
            factor = params.repeat_penalty if logit <= 0 else 1 / params.repeat_penalty
            logit = logit * factor - count * params.frequency_penalty - params.presence_penalty
        result.append((token, logit))
    return result


def ranked(pairs: Pairs) -> Pairs:
    return sorted(pairs, key=lambda pair: -pair[1])


def top_k(pairs: Pairs, k: int) -> Pairs:
    return ranked(pairs)[:k] if k > 0 else pairs


def top_p(pairs: Pairs, p: float) -> Pairs:
    if p >= 1:
        return pairs
    pairs = ranked(pairs)
    total = sum(math.exp(logit - pairs[0][1]) for _, logit in pairs)
    mass = 0.0
    for kept, (_, logit) in enumerate(pairs, 1):
        mass += math.exp(logit - pairs[0][1]) / total
        if mass >= p:
            return pairs[:kept]
    return pairs


def min_p(pairs: Pairs, p: float) -> Pairs:
    if p <= 0:
        return pairs
    largest = max(logit for _, logit in pairs)
    return [pair for pair in pairs if pair[1] >= largest + math.log(p)]


def temperature(pairs: Pairs, value: float) -> Pairs:
    if value <= 0:
        return ranked(pairs)[:1]
    return [(token, logit / value) for token, logit in pairs]
