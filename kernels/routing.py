"""Mixture of experts: which experts a token goes to, and which tokens an expert gets.

A route is a row of numbers for each token: the chosen experts, then their weights::

    route    [token][used experts, used weights]        f32

Pairs of a token and one of its experts are numbered ``token * used + slot``. Sorted by expert they
make groups; every group begins at a multiple of ``block`` positions, so that it fills whole tiles::

    starts   [experts + 1]   first position of each group, and the end of the last
    counts   [experts]       tokens of each group
    pairs    [positions]     which pair stands where; behind its tokens a group repeats its first
"""

from __future__ import annotations

from pyllama.kernels.functions import exp, sigmoid
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.types import f32, i32, i64

SCORES = ("softmax", "sigmoid", "softmax of chosen")
"""Scores of all experts, or of those alone that the largest logits chose."""

_NO_NUMBER = -1e30
"""Stands for scores that are no numbers: the expert is chosen when no other is left."""

_OTHER_GROUP = -2e30
_TAKEN = -3e30

SMALLEST_SUM = 2.0**-14
"""Weights are divided by their sum, or by this where the sum is smaller (as ggml does)."""


def positions(pairs: int, experts: int, block: int) -> int:
    """Positions that so many pairs need at most, whatever they choose."""
    return pairs + min(pairs, experts) * (block - 1)


def groups_bytes(pairs: int, experts: int, block: int) -> int:
    """Memory of the groups."""
    return (2 * experts + 1 + positions(pairs, experts, block)) * i32.bytes


class Groups:
    """The arrays of the groups."""

    def __init__(self, place: Pointer, experts: int) -> None:
        self.starts = place
        self.counts = place.at(experts + 1)
        self.pairs = place.at(2 * experts + 1)
        self._experts = experts

    def start(self, expert: Value) -> Value:
        """First position of an expert's tokens."""
        return self.starts[expert].to(i64)

    def count(self, expert: Value) -> Value:
        """How many tokens an expert gets."""
        return self.counts[expert].to(i64)

    def pair(self, position: Value) -> Value:
        """Which pair stands at a position."""
        return self.pairs[position].to(i64)

    @property
    def end(self) -> Value:
        """Positions that are in use."""
        return self.starts[self._experts].to(i64)


@kernel(
    logits=Array(f32),  # (tokens, experts)
    bias=Array(f32),  # (experts,) added to the scores where experts are chosen
    out=Array(f32),  # (tokens, 2 * used)
    scale=f32,
)
def route(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    experts: int,
    used: int,
    score: str,
    biased: bool,
    normalized: bool,
    groups: int,
    groups_used: int,
    group_best: int,
) -> None:
    """Choose the experts of a token: those of the best scores, the lower number among equals.

    Where experts stand in several groups, only the best groups' experts are chosen from: those with
    the largest sum of their ``group_best`` best scores (DeepSeek-AI 2024). Whatever the logits are,
    the chosen experts are different ones and exist. One task a token.
    """
    logits, out = a.logits.at(task * experts), a.out.at(task * (2 * used))
    scores, choice = k.scratch(f32, experts), k.scratch(f32, experts)
    _score(k, logits, scores, experts, score)
    with k.loop(experts) as e:
        value = scores[e] + a.bias[e] if biased else scores[e]
        is_number = value > _NO_NUMBER
        choice[e] = k.select(is_number, value, k.const(f32, _NO_NUMBER))
    if groups > 1:
        _mask_groups(k, choice, experts, groups, groups_used, group_best)
    with k.loop(used) as s:
        expert = _take_best(k, choice, k.const(i64, 0), experts)
        out[s], out[s + used] = expert.to(f32), scores[expert]
    weights = out.at(used)
    if score == "softmax of chosen":
        _softmax(k, weights, weights, used)
    factor = k.variable(a.scale)
    if normalized:
        total = k.variable(k.zero(f32))
        with k.loop(used) as s:
            total.value = total.value + weights[s]
        factor.value = a.scale / k.max(total.value, SMALLEST_SUM)
    with k.loop(used) as s:
        weights[s] = weights[s] * factor.value


def _score(k: Builder, logits: Pointer, scores: Pointer, experts: int, score: str) -> None:
    if score == "softmax":
        _softmax(k, logits, scores, experts)
        return
    with k.loop(experts) as e:
        scores[e] = sigmoid(k, logits[e]) if score == "sigmoid" else logits[e]


def _softmax(k: Builder, x: Pointer, out: Pointer, count: int) -> None:
    """Softmax of some numbers, which may take their place."""
    largest = k.variable(k.const(f32, _NO_NUMBER))
    with k.loop(count) as i:
        largest.value = k.max(largest.value, x[i])
    total = k.variable(k.zero(f32))
    with k.loop(count) as i:
        weight = exp(k, x[i] - largest.value)
        out[i] = weight
        total.value = total.value + weight
    with k.loop(count) as i:
        out[i] = out[i] / total.value


def _take_best(k: Builder, choice: Pointer, first: Value, count: int) -> Value:
    """Which of ``count`` numbers from ``first`` on is the largest; it is marked as taken."""
    best, largest = k.variable(first), k.variable(choice[first])
    with k.loop(first + 1, first + count) as i:
        value = choice[i]
        is_better = value > largest.value
        best.value = k.select(is_better, i, best.value)
        largest.value = k.select(is_better, value, largest.value)
    choice[best.value] = k.const(f32, _TAKEN)
    return best.value


def _mask_groups(
    k: Builder, choice: Pointer, experts: int, groups: int, groups_used: int, group_best: int
) -> None:
    """Experts outside the best groups are chosen last of all."""
    size = experts // groups
    best, copy = k.scratch(f32, groups), k.scratch(f32, experts)
    with k.loop(experts) as e:
        copy[e] = choice[e]
    with k.loop(groups) as g:
        total = k.zero(f32)
        for _ in range(group_best):
            total = total + choice[_take_best(k, copy, g * size, size)]
        best[g] = total
    kept = k.scratch(i32, groups)
    with k.loop(groups) as g:
        kept[g] = k.zero(i32)
    with k.loop(groups_used):
        kept[_take_best(k, best, k.const(i64, 0), groups)] = k.const(i32, 1)
    with k.loop(experts) as e:
        stays = kept[e // size].differs(0)
        choice[e] = k.select(stays, choice[e], k.const(f32, _OTHER_GROUP))


@kernel(route=Array(f32), out=Array(i32))
def group(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    rows: str,
    experts: int,
    used: int,
    block: int,
) -> None:
    """Sort the pairs of all tokens by expert, tokens in their order. One task."""
    tokens, groups = getattr(step, rows), Groups(a.out, experts)

    def expert_of(token: Value, slot: Value) -> Value:
        return a.route[token * (2 * used) + slot].to(i64)

    with k.loop(experts) as e:
        groups.counts[e] = k.zero(i32)
    with k.loop(tokens) as t, k.loop(used) as s:
        e = expert_of(t, s)
        groups.counts[e] = groups.counts[e] + 1
    place = k.variable(k.zero(i32))
    with k.loop(experts) as e:
        groups.starts[e] = place.value
        place.value = place.value + (groups.counts[e] + (block - 1)) // block * block
        groups.counts[e] = k.zero(i32)
    groups.starts[experts] = place.value
    with k.loop(tokens) as t, k.loop(used) as s:
        e = expert_of(t, s)
        groups.pairs[groups.start(e) + groups.count(e)] = (t * used + s).to(i32)
        groups.counts[e] = groups.counts[e] + 1
    with k.loop(experts) as e:
        start = groups.start(e)
        with k.loop(start + groups.count(e), groups.starts[e + 1].to(i64)) as p:
            groups.pairs[p] = groups.pairs[start]
