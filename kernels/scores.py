"""How likely given tokens are: a matmul with the vocabulary that keeps no logits.

A task computes the logits of some tokens of the vocabulary for every output of the step, in the
worker's scratch memory, and keeps of them what the logarithm of the softmax needs::

    partials   [task][largest, total][outputs]     f32
    scores     [outputs][largest, total, logit]    f32

``largest`` is the largest logit, ``total`` the sum of exp(logit - largest), both first of the
task's own logits and at last of all; ``logit`` is that of the output's target, which one task
meets. Tasks are of the same size whatever the number of threads, and are combined in their order:
so is the result. A product that is no finite number makes the total NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyllama.gguf.types import TensorType
from pyllama.kernels.elementwise import FUNCTIONS
from pyllama.kernels.functions import exp
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.panels import PANELS
from pyllama.kernels.softmax import LOWEST
from pyllama.kernels.types import f32, f64, i32, i64, u8, u32

TASK_ROWS = 256
"""Tokens of the vocabulary that a task computes, where the way of the matmul knows no other
number: all outputs stream past them, and panel and sums fit the second cache."""

WIDTH = 3
"""Numbers of a score."""

Changes = Sequence[tuple[str, float]]
"""Functions of every logit, with their parameters."""


@kernel(
    weights=Array(u8),  # (n_rows, row_bytes), a row for each token of the vocabulary
    row_bytes=i64,
    n_rows=i64,
    task_rows=i64,
    x=Array(u32),  # packed activations
    words=i64,  # of a packed output
    width=i64,  # weights in a row
    bias=Array(f32),  # (n_rows,)
    targets=Array(i32),  # (outputs,)
    partials=Array(f32),
    stride=i64,  # outputs that partials have room for
    scores=Array(f32),
)
def partial_scores(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    type: TensorType,
    panels: str,
    biased: bool,
    changes: Changes,
) -> None:
    """Partials of ``task_rows`` tokens of the vocabulary, and the logits of targets among them.

    logit = changes(weights * x + bias).
    """
    way, outputs = PANELS[panels], step.n_outputs
    padded = way.padded(k, outputs)
    first = task * a.task_rows
    count = k.min(a.n_rows - first, a.task_rows)
    memory = step.scratch.at(thread * step.scratch_stride)
    weights = a.weights.at(first * a.row_bytes)
    (sums,) = way.multiply(k, a, type, [weights], count, memory, padded)

    def changed(product: Value, row: Value) -> Value:
        logit = product + a.bias[first + row] if biased else product
        for function, parameter in changes:
            logit = FUNCTIONS[function](k, logit, k.const(f32, parameter))
        return logit

    with k.loop(0, padded, k.f32_lanes) as output:
        logits = _Logits(k, sums.at(output), count, padded)
        spoiled, largest = logits.change(changed)
        partial = a.partials.at(task * 2 * a.stride + output)
        partial.store(0, largest)
        partial.store(a.stride, (logits.total(largest) + spoiled).to(f32))
    with k.loop(outputs) as output:
        row = a.targets[output].to(i64) - first
        with k.when((row >= 0) & (row < count)):
            a.scores[output * WIDTH + 2] = sums[row * padded + output]


class _Logits:
    """Those of a vector of neighbouring outputs: ``count`` rows, ``stride`` elements apart."""

    def __init__(self, k: Builder, sums: Pointer, count: Value, stride: Value) -> None:
        self.k, self.sums, self.count, self.stride = k, sums, count, stride

    def change(self, changed: Callable[[Value, Value], Value]) -> tuple[Value, Value]:
        """Make logits of the products, in place.

        Returns 0, or NaN for an output with a product that is no finite number, and the largest.
        """
        k, lanes = self.k, self.k.f32_lanes
        spoiled = k.variable(k.zero(f32 * lanes))
        largest = k.variable(k.const(f32 * lanes, LOWEST))
        with k.loop(self.count) as row:
            product = self.sums.load(row * self.stride, lanes)
            logit = changed(product, row)
            self.sums.store(row * self.stride, logit)
            spoiled.value = spoiled.value + (product - product)
            largest.value = k.max(logit, largest.value)
        return spoiled.value.to(f64), largest.value

    def total(self, largest: Value) -> Value:
        """The sum of exp(logit - largest), in float64."""
        k, lanes = self.k, self.k.f32_lanes
        total = k.variable(k.zero(f64 * lanes))
        with k.loop(self.count) as row:
            weight = exp(k, self.sums.load(row * self.stride, lanes) - largest)
            total.value = total.value + weight.to(f64)
        return total.value


@kernel(partials=Array(f32), tasks=i64, stride=i64, scores=Array(f32))
def combine_scores(k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value) -> None:
    """The scores of neighbouring outputs, one vector of them, from the partials of all tasks."""
    lanes = k.f32_lanes
    output = task * lanes
    largest = k.variable(k.const(f32 * lanes, LOWEST))
    with k.loop(a.tasks) as i:
        largest.value = k.max(a.partials.load(i * 2 * a.stride + output, lanes), largest.value)
    total = k.variable(k.zero(f64 * lanes))
    with k.loop(a.tasks) as i:
        partial = a.partials.at(i * 2 * a.stride + output)
        weight = exp(k, partial.load(0, lanes) - largest.value)
        total.value = total.value + (partial.load(a.stride, lanes) * weight).to(f64)
    sums = total.value.to(f32)
    for lane in range(lanes):
        place = (output + lane) * WIDTH
        a.scores[place], a.scores[place + 1] = largest.value[lane], sums[lane]
