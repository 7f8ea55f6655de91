"""Lowers a graph to the CPU's kernels: one small function for each op.

A linear op becomes two launches: the activations are brought into the form that the matmul reads
(int8 records for a few tokens, packed float32 tiles for a batch), once for all ops that read them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyllama.gguf.types import TensorType
from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node
from pyllama.graph.ops import Rows, Tensor, Weight
from pyllama.graph.plan import Argument, Buffer, External, Launch, Plan, make_plan
from pyllama.kernels import (
    activation,
    attention,
    elementwise,
    kv_cache,
    matmul,
    matvec,
    rope,
    tile_attention,
    tiles,
)
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.kernel import Kernel

ROW_PADDING = 64
"""Buffers of a batch have this many rows more: kernels work on whole tiles of tokens."""

TASK_BYTES = 1 << 19
"""Weights that one task of a decode matmul reads at most. Starting a task costs about a
microsecond, in which memory stands still, so tasks are as large as an even share allows."""

TASKS_PER_THREAD = 4
"""Tasks of a matmul for each thread, so that a slow core does not hold up the others."""

MATVEC_TOKENS = 8
"""Up to so many tokens weights are read for each group of tokens, beyond it they are unpacked."""

MATVEC_COLUMNS = 4

TILE_TASK_ROWS = 256
"""Rows of weights that one task of a tile matmul unpacks at most. All tokens stream past them, so
there must be many; panel and sums must fit the second cache."""

ATTENTION_ROWS = 16
"""Query heads of a tile of tokens that share the keys and values of a head."""


@dataclass(frozen=True)
class CacheLayout:
    """The memory of attention: positions a sequence may have, sequences, and element types."""

    capacity: int
    sequences: int
    key_type: str
    value_type: str

    def layer_bytes(self, type: str, kv_heads: int, head_dim: int) -> int:
        """Bytes of the keys, or of the values, of one layer."""
        head = kv_cache.CACHE_TYPES[type].head_bytes(head_dim)
        return self.sequences * self.capacity * kv_heads * head


@dataclass(frozen=True)
class Mode:
    """What a plan is made for: at most so many tokens and outputs a step."""

    tokens: int
    outputs: int

    def rows(self, rows: Rows) -> int:
        """Most rows that an activation can have."""
        return self.tokens if rows is Rows.TOKENS else self.outputs

    def padded(self, rows: Rows) -> int:
        """Rows that its buffer has, so that whole tiles stay inside."""
        n = self.rows(rows)
        return n if n == 1 else n + (MATVEC_TOKENS if n <= MATVEC_TOKENS else ROW_PADDING)

    def uses_matvec(self, rows: Rows) -> bool:
        """Whether so few rows come that weights are best read for them directly."""
        return self.rows(rows) <= MATVEC_TOKENS


def _attends_by_tiles(isa: ISA, op: ops.Attention, cache: CacheLayout) -> bool:
    """A float32 cache asks for float32 attention."""
    is_float32 = "f32" in (cache.key_type, cache.value_type)
    return isa.has_tiles and tile_attention.fits(op.head_dim) and not is_float32


def _tile_tokens(graph: Graph, mode: Mode, cache: CacheLayout, isa: ISA) -> int:
    """Neighbouring tokens of a sequence that attend together, the same for all layers."""
    if mode.tokens <= MATVEC_TOKENS:
        return 1
    wanted = [mode.tokens]
    for op in (node.op for node in graph.nodes):
        if isinstance(op, ops.Attention):
            rows = tile_attention.ROWS if _attends_by_tiles(isa, op, cache) else ATTENTION_ROWS
            wanted.append(max(1, rows // (op.heads // op.kv_heads)))
    return min(wanted)


def plan_for_cpu(graph: Graph, mode: Mode, cache: CacheLayout, isa: ISA, threads: int) -> Plan:
    """The launches that compute a graph for steps of a mode, planned for a number of threads."""
    tile_tokens = _tile_tokens(graph, mode, cache, isa)
    lowering = _Lowering(graph, mode, cache, isa, threads, tile_tokens)
    for node in graph.nodes:
        lowering.add(node)
    result = lowering.buffers[graph.result]
    return make_plan(lowering.launches, result, lowering.scratch_bytes, tile_tokens)


class _Lowering:
    def __init__(
        self,
        graph: Graph,
        mode: Mode,
        cache: CacheLayout,
        isa: ISA,
        threads: int,
        tile_tokens: int,
    ) -> None:
        self.graph, self.mode, self.cache, self.isa, self.threads = graph, mode, cache, isa, threads
        self.tile_tokens = tile_tokens
        self.launches: list[Launch] = []
        self.buffers: dict[Tensor, Buffer] = {}
        self.prepared: dict[tuple[Tensor, str], Buffer] = {}
        self.scratch_bytes = 0

    def add(self, node: Node) -> None:
        """Append the launches of a node."""
        out = node.output
        n_bytes = self.mode.padded(out.rows) * out.width * 4
        self.buffers[out] = Buffer(out.name, n_bytes)
        _LOWER[type(node.op)](self, node.op, node)

    def by_tiles(self, weight: Weight, x: Tensor) -> bool:
        """Whether a matmul runs on tiles: batches do, but float32 weights ask for float32."""
        is_batch = not self.mode.uses_matvec(x.rows)
        return is_batch and self.isa.has_tiles and weight.type is not TensorType.F32

    def needs_scratch(self, n_bytes: int) -> None:
        """Make sure that every worker has so much scratch memory."""
        self.scratch_bytes = max(self.scratch_bytes, n_bytes)

    def share(self, n_rows: int) -> int:
        """Rows of weights that make one of a few tasks for each thread."""
        return -(-n_rows // (self.threads * TASKS_PER_THREAD))

    def tile_rows(self, n_rows: int) -> int:
        """Rows of weights that one task of a tile matmul computes."""
        return min(TILE_TASK_ROWS, _rounded(self.share(n_rows), 2 * tiles.BLOCK))

    def columns(self, x: Tensor) -> int:
        """Tokens that share each block of weights in a decode matmul."""
        return 1 if self.mode.rows(x.rows) == 1 else MATVEC_COLUMNS

    def few_tokens(self, weight: Weight, x: Tensor) -> dict[str, Argument]:
        """What a decode matmul needs to know of its activations and tasks."""
        is_quantized = isinstance(FORMATS[weight.type], QuantizedFormat)
        rows = min(self.share(weight.shape[0]), TASK_BYTES // _row_bytes(weight))
        return {
            "x": self.activations(x, "int8" if is_quantized else "float"),
            "record": activation.record_bytes(x.width) if is_quantized else x.width * 4,
            "task_rows": max(4, rows),
        }

    def feeds_tiles(self, tensor: Tensor) -> bool:
        """Whether nothing but tile matmuls read an activation, in whole tiles."""
        if tensor.width % tiles.DEPTH:
            return False
        users = self.graph.users(tensor)
        return all(
            isinstance(node.op, ops.Linear)
            and node.inputs[0] is tensor
            and tensor not in node.inputs[1:]
            and self.by_tiles(node.op.weight, tensor)
            for node in users
        )

    def launch(
        self,
        kernel: Kernel,
        arguments: dict[str, Argument],
        writes: tuple[str, ...] = ("out",),
        **tasks: Any,
    ) -> None:
        """Append a launch; memory among the arguments that is not written is read."""
        memory = {k: v for k, v in arguments.items() if isinstance(v, (Buffer, External))}
        written = tuple(memory[name] for name in writes)
        reads = tuple(v for k, v in memory.items() if k not in writes)
        label = tasks.pop("label", kernel.symbol)
        self.launches.append(Launch(kernel, arguments, reads, written, label, **tasks))

    def by_row(self, node: Node, kernel: Kernel, **arguments: Argument) -> None:
        """Append a launch with one task a row of the node's output."""
        arguments["out"] = self.buffers[node.output]
        self.launch(kernel, arguments, count=node.output.rows.value, label=node.output.name)

    def activations(self, x: Tensor, form: str) -> Buffer:
        """An activation in the form that a matmul reads; made once."""
        key = (x, form)
        if key not in self.prepared:
            self.prepared[key] = _PREPARE[form](self, x)
        return self.prepared[key]


def _quantized(low: _Lowering, x: Tensor) -> Buffer:
    record = activation.record_bytes(x.width)
    out = Buffer(f"{x.name}.int8", low.mode.padded(x.rows) * record)
    arguments: dict[str, Argument] = {
        "x": low.buffers[x], "out": out, "width": x.width, "record": record,
    }  # fmt: skip
    low.launch(activation.quantize(), arguments, count=x.rows.value, label=out.name)
    return out


def _packed(low: _Lowering, x: Tensor) -> Buffer:
    out = Buffer(f"{x.name}.packed", low.mode.padded(x.rows) * x.width * 4)
    tile = matmul.tile_tokens(low.isa)
    arguments: dict[str, Argument] = {"x": low.buffers[x], "out": out, "width": x.width}
    low.launch(matmul.pack(), arguments, count=x.rows.value, group=tile, label=out.name)
    return out


def _tiled(low: _Lowering, x: Tensor) -> Buffer:
    out = Buffer(f"{x.name}.tiles", tiles.packed_bytes(low.mode.padded(x.rows), x.width))
    arguments: dict[str, Argument] = {"x": low.buffers[x], "out": out, "width": x.width}
    kernel = tiles.pack_tiles()
    low.launch(kernel, arguments, count=x.rows.value, group=tiles.EDGE, label=out.name)
    return out


_PREPARE: dict[str, Callable[[_Lowering, Tensor], Buffer]] = {
    "int8": _quantized,
    "packed": _packed,
    "tiles": _tiled,
    "float": lambda low, x: low.buffers[x],
}


def _row_bytes(weight: Weight) -> int:
    return weight.shape[-1] // weight.type.block_size * weight.type.block_bytes


def _linear(low: _Lowering, op: ops.Linear, node: Node) -> None:
    x, *residual = node.inputs
    n_rows, width = op.weight.shape
    arguments: dict[str, Argument] = {
        "weights": External("weight", op.weight.name),
        "row_bytes": _row_bytes(op.weight),
        "n_rows": n_rows,
        "width": width,
        "out": low.buffers[node.output],
        "stride": n_rows,
        "extra": 0,
    }
    epilogue = "none"
    if op.bias is not None:
        epilogue, arguments["extra"] = "bias", External("vector", op.bias.name)
    elif residual:
        epilogue, arguments["extra"] = "residual", low.buffers[residual[0]]
    static = {"type": op.weight.type, "rows": x.rows.value, "epilogue": epilogue}
    if low.mode.uses_matvec(x.rows):
        arguments |= low.few_tokens(op.weight, x)
        chunks = -(-n_rows // int(arguments["task_rows"]))
        kernel = matvec.matvec(**static, columns=low.columns(x))
    elif low.by_tiles(op.weight, x):
        task_rows = low.tile_rows(n_rows)
        arguments |= {"x": low.activations(x, "tiles"), "task_rows": task_rows}
        low.needs_scratch(tiles.scratch_bytes(task_rows, low.mode.padded(x.rows)))
        chunks = -(-n_rows // task_rows)
        kernel = tiles.tile_matmul(**static)
    else:
        arguments["x"] = low.activations(x, "packed")
        low.needs_scratch(matmul.scratch_bytes(low.mode.padded(x.rows)))
        chunks = -(-n_rows // matmul.PANEL_ROWS)
        kernel = matmul.matmul(**static)
    low.launch(kernel, arguments, chunks=chunks, label=node.output.name)


def _gated_linear(low: _Lowering, op: ops.GatedLinear, node: Node) -> None:
    (x,) = node.inputs
    n_rows, width = op.gate.shape
    arguments: dict[str, Argument] = {
        "gate": External("weight", op.gate.name),
        "up": External("weight", op.up.name),
        "row_bytes": _row_bytes(op.gate),
        "n_rows": n_rows,
        "width": width,
        "out": low.buffers[node.output],
    }
    static: dict[str, Any] = {"type": op.gate.type, "rows": x.rows.value}
    label = node.output.name
    if low.mode.uses_matvec(x.rows):
        arguments |= low.few_tokens(op.gate, x)
        chunks = -(-n_rows // int(arguments["task_rows"]))
        kernel = matvec.gated_matvec(**static, columns=low.columns(x))
    elif low.by_tiles(op.gate, x) and low.feeds_tiles(node.output):
        task_rows = low.tile_rows(n_rows) // 2
        out = Buffer(f"{label}.tiles", tiles.packed_bytes(low.mode.padded(x.rows), n_rows))
        low.prepared[node.output, "tiles"] = out
        arguments |= {"x": low.activations(x, "tiles"), "task_rows": task_rows, "out": out}
        low.needs_scratch(tiles.scratch_bytes(task_rows, low.mode.padded(x.rows), matrices=2))
        chunks = -(-n_rows // task_rows)
        kernel = tiles.gated_tile_matmul(**static)
    else:
        arguments |= {"x": low.activations(x, "packed"), "stride": n_rows}
        low.needs_scratch(matmul.scratch_bytes(low.mode.padded(x.rows), matrices=2))
        chunks = -(-n_rows // matmul.PANEL_ROWS)
        kernel = matmul.gated_matmul(**static)
    low.launch(kernel, arguments, chunks=chunks, label=label)


def _rounded(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _attention(low: _Lowering, op: ops.Attention, node: Node) -> None:
    query, key, value = (low.buffers[t] for t in node.inputs)
    types = {"key_type": low.cache.key_type, "value_type": low.cache.value_type}
    shape: dict[str, Argument] = {
        "keys": External("keys", str(op.layer)),
        "values": External("values", str(op.layer)),
        "kv_heads": op.kv_heads,
        "capacity": low.cache.capacity,
    }
    low.launch(
        kv_cache.kv_store(head_dim=op.head_dim, **types),
        {"key": key, "value": value, **shape},
        writes=("keys", "values"),
        count=Rows.TOKENS.value,
        label=f"{node.output.name}.store",
    )
    heads_per_kv = op.heads // op.kv_heads
    tokens = low.tile_tokens
    by_tiles = tokens > 1 and _attends_by_tiles(low.isa, op, low.cache)
    scratch_bytes = (tile_attention if by_tiles else attention).scratch_bytes
    low.needs_scratch(scratch_bytes(tokens, heads_per_kv, op.head_dim))
    make = tile_attention.tile_attend if by_tiles else attention.attend
    kernel = make(head_dim=op.head_dim, heads_per_kv=heads_per_kv, tokens=tokens, **types)
    arguments: dict[str, Argument] = {
        "query": query,
        "out": low.buffers[node.output],
        "scale": op.scale,
        "window": op.window or low.cache.capacity,
        **shape,
    }
    low.launch(kernel, arguments, chunks=op.kv_heads, count="n_tiles", label=node.output.name)


def _embedding(low: _Lowering, op: ops.Embedding, node: Node) -> None:
    low.by_row(
        node,
        elementwise.embedding(type=op.weight.type),
        weights=External("weight", op.weight.name),
        row_bytes=_row_bytes(op.weight),
        width=op.weight.shape[1],
    )


def _rms_norm(low: _Lowering, op: ops.RMSNorm, node: Node) -> None:
    low.by_row(
        node,
        elementwise.rms_norm(),
        x=low.buffers[node.inputs[0]],
        weight=External("vector", op.weight.name),
        width=op.weight.shape[0],
        groups=op.groups,
        eps=op.eps,
    )


def _rope(low: _Lowering, op: ops.Rope, node: Node) -> None:
    low.by_row(
        node,
        rope.rope(style=op.style, pairs=op.pairs),
        x=low.buffers[node.inputs[0]],
        table=External("table", op.table),
        heads=op.heads,
        head_dim=op.head_dim,
    )


def _swiglu(low: _Lowering, op: ops.SwiGLU, node: Node) -> None:
    gate, up = (low.buffers[t] for t in node.inputs)
    low.by_row(node, elementwise.swiglu(), gate=gate, up=up, width=node.output.width)


def _add(low: _Lowering, op: ops.Add, node: Node) -> None:
    x, y = (low.buffers[t] for t in node.inputs)
    low.by_row(node, elementwise.add(), x=x, y=y, width=node.output.width)


def _select_rows(low: _Lowering, op: ops.SelectRows, node: Node) -> None:
    x = low.buffers[node.inputs[0]]
    low.by_row(node, elementwise.select_rows(), x=x, width=node.output.width)


_LOWER: dict[type[ops.Op], Callable[[_Lowering, Any, Node], None]] = {
    ops.Embedding: _embedding,
    ops.RMSNorm: _rms_norm,
    ops.Linear: _linear,
    ops.GatedLinear: _gated_linear,
    ops.Rope: _rope,
    ops.Attention: _attention,
    ops.SwiGLU: _swiglu,
    ops.Add: _add,
    ops.SelectRows: _select_rows,
}
