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


def softmax(pairs: Pairs) -> list[float]:
    largest = max(logit for _, logit in pairs)
    weights = [math.exp(logit - largest) for _, logit in pairs]
    total = sum(weights)
    return [weight / total for weight in weights]


def entropy(pairs: Pairs) -> float:
    return -sum(p * math.log(p) for p in softmax(pairs) if p > 0)


def top_n_sigma(pairs: Pairs, n: float) -> Pairs:
    finite = [logit for _, logit in pairs if logit > -math.inf]
    mean = sum(finite) / len(finite)
    deviation = math.sqrt(sum((logit - mean) ** 2 for logit in finite) / len(finite))
    limit = max(finite) - n * deviation
    return ranked([(token, logit if logit >= limit else -math.inf) for token, logit in pairs])


def typical(pairs: Pairs, p: float) -> Pairs:
    if p >= 1:
        return pairs
    expected = entropy(pairs)
    by_distance = sorted(
        (abs(-math.log(probability) - expected), pair, probability)
        for pair, probability in zip(pairs, softmax(pairs), strict=True)
        if probability > 0
    )
    kept: Pairs = []
    mass = 0.0
    for _, pair, probability in by_distance:
        kept.append(pair)
        mass += probability
        if mass > p:
            break
    return kept


def xtc(pairs: Pairs, threshold: float) -> Pairs:
    """When the chance is drawn."""
    pairs = ranked(pairs)
    likely = sum(probability >= threshold for probability in softmax(pairs))
    return pairs[max(likely - 1, 0) :]


def dynamic_temperature(pairs: Pairs, value: float, reach: float, exponent: float) -> Pairs:
    if len(pairs) < 2:
        return pairs
    share = entropy(pairs) / math.log(len(pairs))
    low, high = max(0.0, value - reach), value + reach
    return temperature(ranked(pairs), low + (high - low) * share**exponent)


def mirostat_1(pairs: Pairs, mu: float, m: int = 100) -> Pairs:
    pairs = ranked(pairs)
    probabilities = softmax(pairs)
    t_b = t_t = 0.0
    for i in range(min(m, len(pairs)) - 1):
        t = math.log((i + 2) / (i + 1))
        t_b += t * math.log(probabilities[i] / probabilities[i + 1])
        t_t += t * t
    s = t_b / t_t
    epsilon = s - 1
    k = (epsilon * 2**mu / (1 - len(pairs) ** -epsilon)) ** (1 / s)
    return pairs[: max(int(k), 1)]


def mirostat_2(pairs: Pairs, mu: float) -> Pairs:
    pairs = ranked(pairs)
    surprises = [-math.log2(p) if p else math.inf for p in softmax(pairs)]
    return [pair for pair, surprise in zip(pairs, surprises, strict=True) if surprise <= mu] or [
        pairs[0]
    ]


def adaptive_p(pairs: Pairs, target: float) -> Pairs:
    result = []
    for (token, _), p in zip(pairs, softmax(pairs), strict=True):
        distance = abs(p - target) / 0.3
        result.append((token, 5 - 10 * distance**2 / (1 + distance)))
    return result


def dry(
    history: list[int],
    multiplier: float,
    base: float,
    allowed: int,
    window: int,
    breakers: list[list[int]],
) -> dict[int, float]:
    """The penalties, by trying every earlier position and every length."""
    text = history[-window:] if window else []
    if len(text) <= allowed:
        return {}
    limit = len(text)
    for begin in range(len(text) - 1, -1, -1):
        fits = [b for b in breakers if text[begin : begin + len(b)] == b]
        if fits:
            limit = len(text) - begin - max(len(b) for b in fits)
            break
    if limit < allowed:
        return {}
    longest: dict[int, int] = {}
    for end in range(1, len(text)):  # text[:end] ends with what the text ends with
        length = 0
        while length < min(end, limit) and text[end - 1 - length] == text[-1 - length]:
            length += 1
        if length >= allowed:
            longest[text[end]] = max(longest.get(text[end], 0), length)
    return {
        token: multiplier * base ** (length - allowed)
        for token, length in longest.items()
        if [token] not in breakers
    }
