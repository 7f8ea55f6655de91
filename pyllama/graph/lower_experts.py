"""Lowers mixtures of experts: tokens are sorted by expert, then every expert's are computed.

For a few tokens the weights of the chosen experts are read in place; for a batch the activations
are packed expert by expert and multiplied in panels.
"""

from __future__ import annotations

from typing import Any

from pyllama.graph import ops
from pyllama.graph.graph import Node
from pyllama.graph.lowering import TILE_TASK_ROWS, Lowering, row_bytes
from pyllama.graph.ops import Tensor, Weight
from pyllama.graph.plan import Argument, Buffer
from pyllama.kernels import routing
from pyllama.kernels.amx import DEPTH
from pyllama.kernels.expert_matmul import expert_matmul, gated_expert_matmul, pack_groups
from pyllama.kernels.expert_matvec import expert_matvec, gated_expert_matvec
from pyllama.kernels.panels import TILES
from pyllama.kernels.types import u32

GATHERED = "tiles by expert"
"""The form of activations that one side leaves for the other."""

FEW_COLUMNS = 2
"""Tokens that share each block of an expert's weights in a decode matmul of several tokens: few
meet at one expert."""


def lower_route(low: Lowering, op: ops.Route, node: Node) -> None:
    """The choice of every row."""
    kernel = routing.route(
        experts=op.experts,
        used=op.used,
        score=op.score,
        biased=op.bias is not None,
        normalized=op.normalized,
        groups=op.groups,
        groups_used=op.groups_used,
        group_best=op.group_best,
    )
    bias = low.vector(op.bias) if op.bias else 0
    low.by_row(node, kernel, logits=low.buffers[node.inputs[0]], bias=bias, scale=op.scale)


def lower_gated_experts(low: Lowering, op: ops.GatedExperts, node: Node) -> None:
    """The first matmuls of the experts; on tiles the result is packed for the second."""
    x, route = node.inputs
    side = _Side(low, op.gate, x, route, parts=1)
    arguments: dict[str, Argument] = {
        "gate": low.matrix(op.gate),
        "up": low.matrix(op.up),
        "gate_bias": low.vector(op.gate_bias) if op.gate_bias else 0,
        "up_bias": low.vector(op.up_bias) if op.up_bias else 0,
        "out": low.buffers[node.output],
    }
    static: dict[str, Any] = {
        "type": op.gate.type,
        "experts": side.experts,
        "activation": op.activation,
        "biased": op.gate_bias is not None,
    }
    label = node.output.name
    if side.is_few:
        arguments |= side.few_tokens()
        kernel = gated_expert_matvec(**static, used=side.used, columns=side.columns)
        low.launch(kernel, arguments, chunks=side.chunks(arguments), label=label)
        return
    way, task_rows = side.way, min(TILE_TASK_ROWS // 2, low.tile_rows(side.n_rows))
    arguments |= side.batch(task_rows, matrices=2)
    packed = way is TILES and _feeds_tiles(low, node.output, side.n_rows)
    if packed:
        out = side.packed(f"{label}.tiles", way.words(side.n_rows))
        arguments["out"] = low.prepared[node.output, GATHERED] = out
    kernel = gated_expert_matmul(**static, panels=way.name, packed=packed)
    low.launch(kernel, arguments, chunks=side.experts * side.chunks(arguments), label=label)


def lower_sum_experts(low: Lowering, op: ops.SumExperts, node: Node) -> None:
    """The second matmul of the experts, whose results are weighed and added up."""
    x, route, *residual = node.inputs
    side = _Side(low, op.down, x, route, parts=route.width // 2)
    arguments: dict[str, Argument] = {
        "weights": low.matrix(op.down),
        "bias": low.vector(op.bias) if op.bias else 0,
        "route": low.buffers[route],
        "out": low.buffers[node.output],
        "residual": low.buffers[residual[0]] if residual else 0,
    }
    static: dict[str, Any] = {
        "type": op.down.type,
        "rows": x.rows.value,
        "experts": side.experts,
        "used": side.used,
        "biased": op.bias is not None,
        "has_residual": bool(residual),
    }
    if side.is_few:
        arguments |= side.few_tokens()
        kernel = expert_matvec(**static, columns=side.columns)
    else:
        arguments |= side.batch(low.tile_rows(side.n_rows), matrices=1)
        kernel = expert_matmul(**static, panels=side.way.name)
    low.launch(kernel, arguments, chunks=side.chunks(arguments), label=node.output.name)


class _Side:
    """One of the two sides of a mixture: its weights, and what they are multiplied with.

    A row of x has ``parts``: one for each expert of the row, or one for all of them.
    """

    def __init__(self, low: Lowering, weight: Weight, x: Tensor, route: Tensor, parts: int) -> None:
        self.low, self.weight, self.x, self.route, self.parts = low, weight, x, route, parts
        self.experts, self.n_rows, self.width = weight.shape
        self.used = route.width // 2
        self.pairs = low.mode.rows(x.rows) * self.used
        self.is_few = low.mode.uses_matvec(x.rows)
        self.columns = 1 if low.mode.rows(x.rows) == 1 else FEW_COLUMNS
        self.way = low.panels(weight, x)

    def few_tokens(self) -> dict[str, Argument]:
        """What a decode matmul needs to know besides its weights."""
        n_bytes = row_bytes(self.weight) * min(self.experts, self.pairs)
        task_rows = self.low.task_rows(self.n_rows, n_bytes)
        return {
            **self._shape(task_rows, block=1),
            **self.low.few_parts(self.weight, self.x, self.parts),
        }

    def batch(self, task_rows: int, matrices: int) -> dict[str, Argument]:
        """The same for a batch."""
        way, low = self.way, self.low
        task_rows = way.task_rows or task_rows
        block = way.block(low.isa)
        tokens = -(-low.mode.rows(self.x.rows) // block) * block
        low.needs_scratch(way.scratch_bytes(task_rows, tokens, matrices))
        return {
            **self._shape(task_rows, block),
            "x": low.prepared.get((self.x, GATHERED)) or self._gathered(),
            "words": way.words(self.width),
        }

    def chunks(self, arguments: dict[str, Argument]) -> int:
        """Tasks that all rows make."""
        task_rows = arguments["task_rows"]
        assert isinstance(task_rows, int)
        return -(-self.n_rows // task_rows)

    def packed(self, name: str, words: int) -> Buffer:
        """Memory for packed activations at the positions of the groups."""
        positions = routing.positions(self.pairs, self.experts, self.way.block(self.low.isa))
        return Buffer(name, positions * words * u32.bytes)

    def _shape(self, task_rows: int, block: int) -> dict[str, Argument]:
        return {
            "row_bytes": row_bytes(self.weight),
            "n_rows": self.n_rows,
            "width": self.width,
            "task_rows": task_rows,
            "groups": self._groups(block),
        }

    def _groups(self, block: int) -> Buffer:
        return pairs_by_expert(self.low, self.route, self.experts, block)

    def _gathered(self) -> Buffer:
        """Activations packed expert by expert."""
        low, way = self.low, self.way
        words = way.words(self.width)
        out = self.packed(f"{self.x.name}.gathered", words)
        block = way.block(low.isa)
        is_int8 = way.form == "int8"
        rows = low.records(self.x, self.parts) if is_int8 else None
        arguments: dict[str, Argument] = {
            "x": rows or low.buffers[self.x],
            "stride": words if is_int8 else self.width,
            "width": self.width,
            "groups": self._groups(block),
            "out": out,
            "words": words,
        }
        kernel = pack_groups(panels=way.name, experts=self.experts, share=self.used // self.parts)
        chunks = out.n_bytes // (words * u32.bytes * block)
        low.launch(kernel, arguments, chunks=chunks, label=out.name)
        return out


def pairs_by_expert(low: Lowering, route: Tensor, experts: int, block: int) -> Buffer:
    """The pairs of a route sorted by expert (see ``routing``); made once for all ops."""
    key, used = (route, f"groups of {block}"), route.width // 2
    if key not in low.prepared:
        pairs = low.mode.rows(route.rows) * used
        out = Buffer(f"{route.name}.groups", routing.groups_bytes(pairs, experts, block))
        low.prepared[key] = out
        kernel = routing.group(rows=route.rows.value, experts=experts, used=used, block=block)
        low.launch(kernel, {"route": low.buffers[route], "out": out}, label=out.name)
    return low.prepared[key]


def _feeds_tiles(low: Lowering, hidden: Tensor, width: int) -> bool:
    """Whether nothing but the other side reads it, on tiles, in whole tiles."""
    return width % DEPTH == 0 and all(
        isinstance(node.op, ops.SumExperts) and low.by_tiles(node.op.down, hidden)
        for node in low.graph.users(hidden)
    )
