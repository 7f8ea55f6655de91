"""What an op must move and compute in a step: the measure of how well its kernels do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyllama.graph import ops
from pyllama.graph.graph import Node
from pyllama.graph.mode import CacheLayout, Mode
from pyllama.graph.ops import Weight
from pyllama.kernels.cache_types import CACHE_TYPES


@dataclass(frozen=True)
class Work:
    """Bytes that must be read from memory, and floating-point operations.

    Bytes are those of weights, each read once, and of cached keys and values. Activations do not
    count: they stay in the processor's caches. A multiplication and an addition are two operations.
    """

    n_bytes: int = 0
    flops: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.n_bytes + other.n_bytes, self.flops + other.flops)


@dataclass(frozen=True)
class StepSize:
    """A step of as many tokens as its mode allows, ``depth`` tokens being cached before it."""

    mode: Mode
    depth: int
    cache: CacheLayout


def work_of(node: Node, size: StepSize) -> Work:
    """The work of a node; none for ops that neither read weights nor the cache to speak of."""
    measure = _WORK.get(type(node.op))
    return measure(node.op, node, size) if measure else Work()


def weight_bytes(weight: Weight) -> int:
    """Bytes of a tensor."""
    n_bytes = weight.type.block_bytes
    for n in weight.shape:
        n_bytes *= n
    return n_bytes // weight.type.block_size


def _embedding(op: ops.Embedding, node: Node, size: StepSize) -> Work:
    n_rows = size.mode.rows(node.output.rows)
    return Work(n_bytes=n_rows * weight_bytes(op.weight) // op.weight.shape[0])


def _linear(op: ops.Linear, node: Node, size: StepSize) -> Work:
    n_out, n_in = op.weight.shape
    n_rows = size.mode.rows(node.output.rows)
    return Work(weight_bytes(op.weight), 2 * n_rows * n_out * n_in)


def _gated_linear(op: ops.GatedLinear, node: Node, size: StepSize) -> Work:
    gate, up = (_linear(ops.Linear(weight), node, size) for weight in (op.gate, op.up))
    return gate + up


def _attention(op: ops.Attention, node: Node, size: StepSize) -> Work:
    """Two products, of queries with keys and of weights with values, over what each token sees."""
    end = size.depth + size.mode.tokens
    window = op.window or end
    seen = sum(min(position + 1, window) for position in range(size.depth, end))
    read = end - max(0, size.depth + 1 - window)
    types = size.cache.types_of(op.latent)
    read_types = types[:1] if op.latent else types
    head_bytes = sum(CACHE_TYPES[type].head_bytes(op.head_dim) for type in read_types)
    elements = op.heads * (op.head_dim + op.value_dim)
    return Work(read * op.kv_heads * head_bytes, 2 * elements * seen)


def _experts(*matrices: Weight, node: Node, size: StepSize) -> Work:
    """Of the experts that are chosen: each one's weights are read once, whoever chose it.

    What a batch chooses is not known; it is taken to choose all experts equally often.
    """
    experts = matrices[0].shape[0]
    n_rows, used = size.mode.rows(node.output.rows), node.inputs[1].width // 2
    chosen = experts * (1 - (1 - used / experts) ** n_rows)
    n_bytes = sum(weight_bytes(weight) for weight in matrices)
    elements = sum(weight.shape[1] * weight.shape[2] for weight in matrices)
    return Work(round(n_bytes * chosen / experts), 2 * n_rows * used * elements)


def _gated_experts(op: ops.GatedExperts, node: Node, size: StepSize) -> Work:
    return _experts(op.gate, op.up, node=node, size=size)


def _sum_experts(op: ops.SumExperts, node: Node, size: StepSize) -> Work:
    return _experts(op.down, node=node, size=size)


def _head_linear(op: ops.HeadLinear, node: Node, size: StepSize) -> Work:
    heads, n_out, n_in = op.weight.shape
    n_rows = size.mode.rows(node.output.rows)
    return Work(weight_bytes(op.weight), 2 * n_rows * heads * n_out * n_in)


_WORK: dict[type[ops.Op], Callable[[Any, Node, StepSize], Work]] = {
    ops.Embedding: _embedding,
    ops.Linear: _linear,
    ops.GatedLinear: _gated_linear,
    ops.GatedExperts: _gated_experts,
    ops.SumExperts: _sum_experts,
    ops.HeadLinear: _head_linear,
    ops.Attention: _attention,
}
