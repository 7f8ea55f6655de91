"""Runs of the kernels that score given tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch, assert_close
from kernel_cases.matmuls import Size, as_quantized, make_weights
from kernel_cases.memory import Memory
from pyllama.gguf.types import TensorType
from pyllama.graph.ops.elements import FUNCTIONS
from pyllama.kernels.activation import quantize, record_bytes
from pyllama.kernels.amx import EDGE
from pyllama.kernels.int8_panels import pack_records
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.isa.meaning import bf16_to_f32, f32_to_bf16
from pyllama.kernels.orders import PLAIN
from pyllama.kernels.panels import INTEGERS, TILES, Panels
from pyllama.kernels.scores import TASK_ROWS, WIDTH, Changes, combine_scores, partial_scores
from pyllama.kernels.tile_panels import pack_tiles
from pyllama.kernels.transpose import pack

ROUNDING = 2e-6
PADDING = 64
"""Rows that buffers of outputs have more than there are outputs, as plans give them."""


def scores_case(
    isa: ISA,
    type: TensorType,
    size: Size,
    way: Panels,
    changes: Changes = (),
    spoil: float | None = None,
) -> Case:
    """Pack the outputs, score their targets by every task, combine; with a bias.

    ``spoil`` stands among the last output's activations, whose total must be NaN then.
    """
    block = way.block(isa)
    padded, room = -(-size.tokens // block) * block, size.tokens + PADDING
    rng = np.random.default_rng(size.n_rows)
    weights, memory = make_weights(type, size), Memory()
    x = memory.empty((padded, size.width), np.float32)
    x[: size.tokens] = rng.normal(0, 0.3, (size.tokens, size.width))
    if spoil is not None:
        x[size.tokens - 1, 0] = spoil
    bias = memory.copy(rng.normal(0, 1, size.n_rows), np.float32)
    targets = memory.copy(rng.integers(0, size.n_rows, size.tokens), np.int32)
    targets[-1] = size.n_rows - 1
    task_rows = way.task_rows or TASK_ROWS
    tasks = -(-size.n_rows // task_rows)
    partials = memory.empty((tasks, 2, room), np.float32)
    scores = memory.empty((room, WIDTH), np.float32)
    scratch = memory.empty(way.scratch_bytes(task_rows, padded), np.uint8)
    combining = {"partials": partials, "stride": room, "scores": scores}
    packed, packing = _packed(memory, way, block, x)
    launches = [
        *packing,
        Launch(
            partial_scores(type=type, panels=way.name, biased=True, changes=tuple(changes)),
            tasks,
            {
                "weights": memory.copy(weights.data),
                "row_bytes": weights.row_bytes,
                "n_rows": size.n_rows,
                "task_rows": task_rows,
                "x": packed,
                "words": way.words(size.width),
                "width": size.width,
                "bias": bias,
                "targets": targets,
                **combining,
            },
            {"n_outputs": size.tokens, "scratch": scratch, "scratch_stride": scratch.size},
        ),
        Launch(
            combine_scores(), -(-size.tokens // (isa.vector_bytes // 4)), _with(combining, tasks)
        ),
    ]

    def compare() -> None:
        judged = size.tokens - (spoil is not None)
        seen, slack = x[: size.tokens], ROUNDING
        if way is INTEGERS:
            seen = as_quantized(seen)
        if way is TILES:  # weights may be rounded the other way
            seen, slack = bf16_to_f32(f32_to_bf16(seen.copy())), 2**-8
        seen = seen[:judged].astype(np.float64)
        logits = seen @ weights.values.T + bias
        bound = slack * (np.abs(seen) @ np.abs(weights.values).T + np.abs(bias)).max(axis=1)
        for function, parameter in changes:
            logits = FUNCTIONS[function](logits, parameter)
        largest, total, logit = scores[:judged].T.astype(np.float64)
        expected = np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1))
        chosen = logits[np.arange(judged), targets[:judged]]
        assert_close(largest, logits.max(axis=1), bound)
        assert_close(logit, chosen, bound)
        assert_close(largest + np.log(total), logits.max(axis=1) + expected, bound)
        assert spoil is None or np.isnan(scores[judged, 1])

    return Case(memory, launches, compare)


def _with(arguments: dict[str, Any], tasks: int) -> dict[str, Any]:
    return {**arguments, "tasks": tasks}


def _packed(
    memory: Memory, way: Panels, block: int, x: NDArray[np.float32]
) -> tuple[NDArray[Any], list[Launch]]:
    """Packed activations, and what packs them."""
    padded, width = x.shape
    packed = memory.empty(padded * way.words(width), np.uint32)
    if way is TILES:
        arguments = {"x": x, "out": packed, "width": width}
        return packed, [Launch(pack_tiles(), padded // EDGE, arguments)]
    tasks, arguments = padded // block, {"x": x, "out": packed, "width": width}
    if way is not INTEGERS:
        return packed, [Launch(pack(tokens=block), tasks, arguments)]
    record = record_bytes(width)
    records = memory.empty((padded, record), np.uint8)
    numbers = {"x": x, "out": records, "width": width, "record": record}
    return packed, [
        Launch(quantize(order=PLAIN), padded, numbers),
        Launch(pack_records(), tasks, arguments | {"x": records, "words": way.words(width)}),
    ]
