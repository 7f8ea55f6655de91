"""Runs of the kernels of a mixture of experts, from the route to the sum of the experts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.matmuls import as_quantized, is_quantized, order_for
from kernel_cases.memory import Memory
from kernel_cases.weights import Weights
from pyllama.gguf.types import TensorType
from pyllama.graph.ops.elements import GATES
from pyllama.kernels.activation import quantize, record_bytes
from pyllama.kernels.expert_matmul import expert_matmul, gated_expert_matmul, pack_groups
from pyllama.kernels.expert_matvec import expert_matvec, gated_expert_matvec
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.isa.meaning import bf16_to_f32, f32_to_bf16
from pyllama.kernels.orders import PLAIN, Order
from pyllama.kernels.panels import PANELS
from pyllama.kernels.routing import group, groups_bytes, positions

Array = NDArray[Any]


@dataclass(frozen=True)
class Mixture:
    """Sizes: experts, those used for a token, tokens, width, hidden width; and variants."""

    experts: int
    used: int
    tokens: int
    width: int
    hidden: int
    type: TensorType
    activation: str = "silu"
    biased: bool = False
    has_residual: bool = False
    task_rows: int = 32


class _Run:
    """Random experts and tokens, the launches so far, and what should come out."""

    def __init__(self, mix: Mixture, block: int) -> None:
        self.mix, self.block = mix, block
        rng = np.random.default_rng([mix.experts, mix.tokens, mix.type])
        self.memory = Memory()
        self.gate, self.up = (
            Weights(Memory(), mix.type, (mix.experts * mix.hidden, mix.width), rng)
            for _ in range(2)
        )
        self.down = Weights(Memory(), mix.type, (mix.experts * mix.width, mix.hidden), rng)
        self.biases = {
            name: self.memory.copy(rng.normal(0, 0.5, (mix.experts, n)), np.float32)
            for name, n in (("gate", mix.hidden), ("up", mix.hidden), ("down", mix.width))
        }
        self.x = self.memory.copy(rng.normal(0, 0.3, (mix.tokens, mix.width)), np.float32)
        self.residual = self.memory.copy(rng.normal(0, 1, (mix.tokens, mix.width)), np.float32)
        self.chosen = np.stack(
            [rng.permutation(mix.experts)[: mix.used] for _ in range(mix.tokens)]
        )
        self.route = self.memory.copy(
            np.concatenate([self.chosen, rng.uniform(0, 1, self.chosen.shape)], axis=1), np.float32
        )
        self.pairs = mix.tokens * mix.used
        self.positions = positions(self.pairs, mix.experts, block)
        self.groups = self.memory.empty(groups_bytes(self.pairs, mix.experts, block) // 4, np.int32)
        self.hidden = self.memory.empty((self.pairs, mix.hidden), np.float32)
        self.out = self.memory.empty((mix.tokens, mix.width), np.float32)
        self.launches: list[Launch] = []
        static = {"rows": "n_tokens", "experts": mix.experts, "used": mix.used, "block": block}
        self.add(group(**static), 1, route=self.route, out=self.groups)

    def add(self, kernel: Any, tasks: int, scratch: int = 0, **arguments: Any) -> None:
        """Append a launch."""
        step: dict[str, Any] = {"n_tokens": self.mix.tokens}
        if scratch:
            memory = self.memory.empty(scratch, np.uint8)
            step |= {"scratch": memory, "scratch_stride": scratch}
        self.launches.append(Launch(kernel, tasks, arguments, step))

    def records(self, x: Array, rows: int, width: int, order: Order) -> tuple[Array, int]:
        """Activations as a decode matmul reads them, and the bytes of a row."""
        if not is_quantized(self.mix.type):
            return x, width * 4
        record = record_bytes(width, order)
        out = self.memory.empty((rows, record), np.uint8)
        self.add(quantize(order=order), rows, x=x, out=out, width=width, record=record)
        return out, record

    def matrix(self, weights: Weights, n_rows: int, width: int) -> dict[str, Any]:
        """Arguments that describe the experts' matrices."""
        shape = {"row_bytes": weights.row_bytes, "n_rows": n_rows, "width": width}
        return shape | {"groups": self.groups, "task_rows": self.mix.task_rows}

    def gated_arguments(self) -> dict[str, Any]:
        """Arguments of the first matmul, whatever its way."""
        return self.matrix(self.gate, self.mix.hidden, self.mix.width) | {
            "gate": self.memory.copy(self.gate.data),
            "up": self.memory.copy(self.up.data),
            "gate_bias": self.biases["gate"],
            "up_bias": self.biases["up"],
        }

    def down_arguments(self) -> dict[str, Any]:
        """Arguments of the second one."""
        return self.matrix(self.down, self.mix.width, self.mix.hidden) | {
            "weights": self.memory.copy(self.down.data),
            "bias": self.biases["down"],
            "route": self.route,
            "residual": self.residual,
            "out": self.out,
        }

    @property
    def down_static(self) -> dict[str, Any]:
        """Static parameters of the second one."""
        mix = self.mix
        return {
            "type": mix.type, "rows": "n_tokens", "experts": mix.experts, "used": mix.used,
            "biased": mix.biased, "has_residual": mix.has_residual,
        }  # fmt: skip

    def case(self, rounded: Callable[[Array], Array], tolerance: float) -> Case:
        """The case; ``rounded`` makes of activations what is multiplied."""

        def compare() -> None:
            seen = rounded(self.x)
            hidden = self._hidden(seen)
            expected, size = self._summed(rounded(hidden.astype(np.float32)))
            assert_close(self.out, expected, tolerance * size)

        return Case(self.memory, self.launches, compare)

    def _hidden(self, x: Array) -> Array:
        """(pairs, hidden)"""
        rows = []
        for pair in range(self.pairs):
            token, slot = divmod(pair, self.mix.used)
            e = self.chosen[token, slot]
            here = slice(e * self.mix.hidden, (e + 1) * self.mix.hidden)
            halves = [
                weights.values[here] @ x[token].astype(np.float64)
                + (self.biases[name][e] if self.mix.biased else 0)
                for name, weights in (("gate", self.gate), ("up", self.up))
            ]
            rows.append(GATES[self.mix.activation](*halves))
        return np.stack(rows)

    def _summed(self, hidden: Array) -> tuple[Array, Array]:
        """(tokens, width) sums, and the sums of the sizes of all that was added up."""
        start = self.residual if self.mix.has_residual else np.zeros_like(self.residual)
        total, size = start.astype(np.float64), np.abs(start) + 1e-3
        for pair in range(self.pairs):
            token, slot = divmod(pair, self.mix.used)
            e, weight = self.chosen[token, slot], self.route[token, self.mix.used + slot]
            matrix = self.down.values[e * self.mix.width : (e + 1) * self.mix.width]
            bias = self.biases["down"][e] if self.mix.biased else np.zeros(self.mix.width)
            h = hidden[pair].astype(np.float64)
            total[token] += weight * (matrix @ h + bias)
            size[token] += weight * (np.abs(matrix) @ (np.abs(h) + 0.01) + np.abs(bias))
        return total, size


def _as_bf16(x: Array) -> Array:
    return bf16_to_f32(f32_to_bf16(x))


def _as_it_is(x: Array) -> Array:
    return x


_ROUNDED = {"int8": as_quantized, "float": _as_it_is, "tiles": _as_bf16}


def few_tokens_case(isa: ISA, mix: Mixture, columns: int) -> Case:
    """Decode matmuls."""
    run, order = _Run(mix, block=1), order_for(isa, mix.type)
    static = {"type": mix.type, "columns": columns, "experts": mix.experts, "used": mix.used}
    x, record = run.records(run.x, mix.tokens, mix.width, order)
    kernel = gated_expert_matvec(**static, activation=mix.activation, biased=mix.biased)
    tasks = -(-mix.hidden // mix.task_rows)
    run.add(kernel, tasks, **run.gated_arguments(), x=x, record=record, out=run.hidden)
    x, record = run.records(run.hidden, run.pairs, mix.hidden, order)
    kernel = expert_matvec(**run.down_static, columns=columns)
    run.add(kernel, -(-mix.width // mix.task_rows), **run.down_arguments(), x=x, record=record)
    rounded = partial(as_quantized, order=order) if is_quantized(mix.type) else _as_it_is
    return run.case(rounded, 2e-3)


def batch_case(isa: ISA, mix: Mixture, panels: str, packed: bool = False) -> Case:
    """Batch matmuls; ``packed``: the first one leaves tiles for the second."""
    way = PANELS[panels]
    block = way.block(isa)
    run = _Run(mix, block)
    padded = -(-mix.tokens // block) * block
    scratch = way.scratch_bytes(mix.task_rows, padded, matrices=2)

    def pack(x: Array, rows: int, width: int, share: int) -> dict[str, Any]:
        words, stride = way.words(width), width
        if way.form == "int8":
            x, record = run.records(x, rows, width, PLAIN)
            stride = record // 4
        out = run.memory.empty((run.positions, words), np.uint32)
        kernel = pack_groups(panels=panels, experts=mix.experts, share=share)
        arguments = {"x": x, "stride": stride, "width": width, "out": out, "words": words}
        run.add(kernel, run.positions // block, groups=run.groups, **arguments)
        return {"x": out, "words": words}

    kernel = gated_expert_matmul(
        type=mix.type, panels=panels, experts=mix.experts, activation=mix.activation,
        biased=mix.biased, packed=packed,
    )  # fmt: skip
    x = pack(run.x, mix.tokens, mix.width, mix.used)
    out = run.hidden
    if packed:
        out = run.memory.empty((run.positions, way.words(mix.hidden)), np.uint32)
    tasks = mix.experts * -(-mix.hidden // mix.task_rows)
    run.add(kernel, tasks, scratch, **run.gated_arguments(), **x, out=out)
    if packed:
        x = {"x": out, "words": way.words(mix.hidden)}
    else:
        x = pack(run.hidden, run.pairs, mix.hidden, 1)
    kernel = expert_matmul(**run.down_static, panels=panels)
    run.add(kernel, -(-mix.width // mix.task_rows), scratch, **run.down_arguments(), **x)
    rounded = _ROUNDED["tiles" if panels == "tiles" else way.form]
    return run.case(rounded, 2e-2 if panels == "tiles" else 2e-3)
