"""Drawing a token: the largest logits in order, filters over them, and the random choice.

What NumPy needs dozens of calls for, on memory that a step of the model has driven out of the
caches, is a few microseconds here. The meaning of each part is a filter of ``pyllama.sampling``.

Floats are ordered as integers: the pattern of a positive one grows with it, that of a negative one
shrinks, so the lower 31 bits of the negative ones are flipped. A candidate is one i64, and the
larger is the better one::

    key of the logit << 32 | ~id        of equal logits the one with the lower id leads
"""

from __future__ import annotations

from collections.abc import Callable

from pyllama.kernels.functions import exp
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value
from pyllama.kernels.types import f32, f64, i32, i64, pointer, u32

MOST_KEPT = 256
"""Logits that can be kept at most: they are sorted by insertion, on the stack."""

_SPARE = 32
"""Candidates more than are kept that may be sorted, instead of looking for a higher limit."""

INVALID = -1
"""Instead of a token: a logit is no number or infinite, or none is possible."""

_MAGNITUDE = 0x7FFF_FFFF
_KEY_OF_INFINITY = 0x7F80_0000
_KEY_OF_MINUS_INFINITY = -_KEY_OF_INFINITY - 1
_LOW_HALF = 0xFFFF_FFFF


@kernel(
    logits=Array(f32),  # (count,)
    count=i64,  # at least 1
    keep=i64,  # from 1 to MOST_KEPT
    numbers=Array(f64),  # (steps,) what each step goes by
    next_word=pointer,  # u32 next_word(generator): a random number
    generator=pointer,
    token=Array(i64),  # (1,)
)
def draw(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, steps: str) -> None:
    """``token[0]`` = one of the ``keep`` best, after the ``steps``, by their probabilities.

    steps: of ``STEPS``, joined by ``+``, or empty. A single candidate takes no random number.
    """
    a.token[0] = k.const(i64, INVALID)
    largest, floor, lowest = _survey(k, a)
    is_possible = (largest < _KEY_OF_INFINITY) & (largest > _KEY_OF_MINUS_INFINITY)
    with k.when(is_possible & (lowest >= _KEY_OF_MINUS_INFINITY)):
        keep = k.min(a.keep, a.count)
        limit, equals = _threshold(k, a, keep, floor.to(i64), largest.to(i64))
        candidates = _Candidates(k, a, keep, limit, equals)
        for number, name in enumerate(filter(None, steps.split("+"))):
            STEPS[name](candidates, a.numbers[number])
        with k.when(_key(candidates.logits[0]) < _KEY_OF_INFINITY):
            a.token[0] = candidates.draw(a.next_word, a.generator)


def _key(x: Value) -> Value:
    """The integer that stands for a float, lane by lane."""
    return _flipped(x.bits_as(i32 * x.type.lanes))


def _flipped(bits: Value) -> Value:
    """From the pattern of a float to its key, or back."""
    return bits ^ (bits >> 31 & _MAGNITUDE)


def _survey(k: Builder, a: Fields) -> tuple[Value, Value, Value]:
    """The largest key, one that ``MOST_KEPT`` logits reach if there are so many, and the lowest.

    Each of so many groups of logits reaches the least of the groups' largest keys. Keys of what is
    no number are beyond those of the infinities.
    """
    groups, least = k.scratch(i32, MOST_KEPT), k.const(i32, -_MAGNITUDE - 1)
    with k.loop(MOST_KEPT) as i:
        groups[i] = least
    lowest = k.variable(least ^ -1)
    for first, stop, lanes in k.spans(a.count):
        low = k.variable(k.splat(least ^ -1, lanes))
        with k.loop(first, stop, lanes) as i:
            keys, group = _key(a.logits.load(i, lanes)), i & MOST_KEPT - 1
            groups.store(group, k.max(groups.load(group, lanes), keys))
            low.value = k.min(low.value, keys)
        lowest.value = k.min(lowest.value, low.value.min())
    largest, floor = k.variable(least), k.variable(least ^ -1)
    with k.loop(MOST_KEPT) as i:
        largest.value, floor.value = k.max(largest.value, groups[i]), k.min(floor.value, groups[i])
    return largest.value, k.max(floor.value, _KEY_OF_MINUS_INFINITY), lowest.value


def _count(k: Builder, a: Fields, limit: Value) -> Value:
    """How many logits are not below a limit."""
    total = k.variable(k.zero(i64))
    for first, stop, lanes in k.spans(a.count):
        one, none = (k.const(i32 * lanes, number) for number in (1, 0))
        counts = k.variable(none)
        with k.loop(first, stop, lanes) as i:
            is_counted = a.logits.load(i, lanes) >= limit
            counts.value = counts.value + k.select(is_counted, one, none)
        total.value = total.value + counts.value.sum().to(i64)
    return total.value


def _threshold(
    k: Builder, a: Fields, keep: Value, floor: Value, largest: Value
) -> tuple[Value, Value]:
    """A logit that at least ``keep`` reach, and how many that equal it are to be taken.

    Halves the range of keys until not too many reach the limit, or it is the ``keep``-th largest
    itself. The first guess is the largest: it settles the matter where one is kept.
    """
    enough, too_high = k.variable(floor), k.variable(largest + 1)
    reaching, above = k.variable(a.count), k.variable(k.zero(i64))
    guess = k.variable(largest)
    with k.repeat() as leave_if:
        leave_if((reaching.value <= keep + _SPARE) | (too_high.value - enough.value <= 1))
        count = _count(k, a, _flipped(guess.value.to(i32)).bits_as(f32))
        with k.either(count >= keep) as (then, otherwise):
            with then:
                enough.value, reaching.value = guess.value, count
            with otherwise:
                too_high.value, above.value = guess.value, count
        guess.value = enough.value + (too_high.value - enough.value >> 1)
    limit = _flipped(enough.value.to(i32)).bits_as(f32)
    return limit, k.select(reaching.value <= keep + _SPARE, reaching.value, keep - above.value)


class _Candidates:
    """The best logits, ranked: the first ``count`` are still in the running."""

    def __init__(self, k: Builder, a: Fields, keep: Value, limit: Value, equals: Value) -> None:
        self.k = k
        self.logits, self._sums = k.scratch(f32, MOST_KEPT), k.scratch(f64, MOST_KEPT)
        self._ranked = k.scratch(i64, MOST_KEPT + _SPARE)
        self._are_summed = False
        found = self._rank(a, limit, equals)
        self._count = k.variable(k.min(found, keep))
        with k.loop(self.count) as i:
            self.logits[i] = a.logits[self.token(i)]

    def _rank(self, a: Fields, limit: Value, equals: Value) -> Value:
        """Sort what is above the limit, and so many of those that equal it; how many it is."""
        k, found, left = self.k, self.k.variable(self.k.zero(i64)), self.k.variable(equals)
        for first, stop, lanes in k.spans(a.count):
            with (
                k.loop(first, stop, lanes) as start,
                k.when(a.logits.load(start, lanes).max() >= limit),
                k.loop(start, start + lanes) as i,
            ):
                logit = a.logits[i]
                is_equal = logit.equals(limit) & (left.value > 0)
                with k.when((logit > limit) | is_equal):
                    left.value = left.value - k.select(is_equal, k.const(i64, 1), k.zero(i64))
                    key = _key(logit + 0.0).to(i64)  # + 0 makes -0.0 and 0.0 equal
                    self._insert(found.value, key << 32 | (i ^ -1) & _LOW_HALF)
                    found.value = found.value + 1
        return found.value

    def _insert(self, count: Value, candidate: Value) -> None:
        place = self.k.variable(count)
        with self.k.repeat() as leave_if:
            leave_if(place.value.equals(0))
            before = self._ranked[place.value - 1]
            leave_if(before > candidate)
            self._ranked[place.value] = before
            place.value = place.value - 1
        self._ranked[place.value] = candidate

    @property
    def count(self) -> Value:
        """How many there are."""
        return self._count.value

    def token(self, position: Value) -> Value:
        """The id of the one at a position."""
        return (self._ranked[position] ^ -1) & _LOW_HALF

    def reach(self, share: Value) -> Value:
        """The position at which the weights, exp(logit), add up to a share of their sum."""
        k, last = self.k, self.count - 1
        self._sum()
        target, position = share * self._sums[last], k.variable(k.zero(i64))
        with k.repeat() as leave_if:
            leave_if((position.value >= last) | (self._sums[position.value] >= target))
            position.value = position.value + 1
        return position.value

    def _sum(self) -> None:
        """Running sums of the weights; fewer candidates do not change them, other logits do."""
        if self._are_summed:
            return
        k, total = self.k, self.k.variable(self.k.zero(f64))
        with k.loop(self.count) as i:
            total.value = total.value + exp(k, self.logits[i] - self.logits[0]).to(f64)
            self._sums[i] = total.value
        self._are_summed = True

    def top_p(self, share: Value) -> None:
        """Keep the likeliest whose probabilities reach a share."""
        self._count.value = self.reach(share) + 1

    def min_p(self, log: Value) -> None:
        """Keep those whose probability, divided by that of the likeliest, has at least this log."""
        limit, count = self.logits[0] + log.to(f32), self._count
        with self.k.repeat() as leave_if:
            leave_if((count.value <= 1) | (self.logits[count.value - 1] >= limit))
            count.value = count.value - 1

    def temperature(self, value: Value) -> None:
        """Divide the logits."""
        with self.k.loop(self.count) as i:
            self.logits[i] = self.logits[i] / value.to(f32)
        self._are_summed = False

    def draw(self, next_word: Value, generator: Value) -> Value:
        """The token at which the running sum reaches a random number."""
        position = self.k.variable(self.k.zero(i64))
        with self.k.when(self.count > 1):
            position.value = self.reach(_uniform(self.k, next_word, generator))
        return self.token(position.value)


STEPS: dict[str, Callable[[_Candidates, Value], None]] = {
    "top_p": _Candidates.top_p,
    "min_p": _Candidates.min_p,
    "temperature": _Candidates.temperature,
}
"""What a step does with the number that it goes by."""


def _uniform(k: Builder, next_word: Value, generator: Value) -> Value:
    """A double in [0, 1) from two random words, as ``Mt19937.uniform`` makes it."""
    low = k.call_pointer(next_word, u32, generator).to(f64)
    high = k.call_pointer(next_word, u32, generator).to(f64)
    return k.min((low + high * 2.0**32) * 2.0**-64, 1 - 2.0**-53)
