"""The state of lowering a graph to kernels, and the forms of activations that matmuls read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyllama.gguf.types import TensorType
from pyllama.graph import ops
from pyllama.graph.graph import Graph, Node
from pyllama.graph.mode import CacheLayout, Mode
from pyllama.graph.ops import Tensor, Weight
from pyllama.graph.plan import Argument, Buffer, External, Launch
from pyllama.kernels import activation, amx, float_panels, int8_panels, tile_panels
from pyllama.kernels.formats import FORMATS, QuantizedFormat
from pyllama.kernels.isa.base import ISA
from pyllama.kernels.kernel import Kernel
from pyllama.kernels.orders import PLAIN, Order
from pyllama.kernels.panels import FLOATS, INTEGERS, TILES, Panels
from pyllama.kernels.transpose import pack
from pyllama.kernels.types import f32

TASK_BYTES = 1 << 15, 1 << 17
"""Weights that one task of a decode matmul reads at least and at most: some microseconds, the time
that a thread may wait for another at the end of an op."""

TASKS_PER_THREAD = 16
"""Tasks of a decode matmul for each thread at most, where they are large enough."""

TILE_TASKS_PER_THREAD = 4
"""The same of a tile matmul."""

MATVEC_COLUMNS = 4

TILE_TASK_ROWS = 256
"""Rows of weights that one task of a tile matmul unpacks at most. All tokens stream past them, so
there must be many; panel and sums must fit the second cache."""


class Lowering:
    """The launches made so far, and what those to come need to know."""

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

    def make_buffer(self, node: Node) -> None:
        """Memory for the output of a node."""
        out = node.output
        self.buffers[out] = Buffer(out.name, self.mode.padded(out.rows) * out.width * 4)

    def by_tiles(self, weight: Weight, x: Tensor) -> bool:
        """Whether a matmul runs on tiles: batches do, but exact float32 weights ask for float32."""
        is_batch = not self.mode.uses_matvec(x.rows)
        is_float = weight.type is TensorType.F32 and weight.is_exact
        return is_batch and self.isa.has_tiles and not is_float

    def matrix(self, weight: Weight) -> External:
        """A tensor in place, or from a row of it on."""
        return External("weight", weight.name, weight.first_row * row_bytes(weight))

    def vector(self, weight: Weight) -> External:
        """A small tensor as float32, or from an element of it on."""
        return External("vector", weight.name, weight.first_row * f32.bytes)

    def needs_scratch(self, n_bytes: int) -> None:
        """Make sure that every worker has so much scratch memory."""
        self.scratch_bytes = max(self.scratch_bytes, n_bytes)

    def share(self, n_rows: int, tasks: int) -> int:
        """Rows of weights that make one of so many tasks for each thread."""
        return -(-n_rows // (self.threads * tasks))

    def tile_rows(self, n_rows: int) -> int:
        """Rows of weights that one task of a tile matmul computes."""
        return min(
            TILE_TASK_ROWS, _rounded(self.share(n_rows, TILE_TASKS_PER_THREAD), 2 * amx.BLOCK)
        )

    def columns(self, x: Tensor) -> int:
        """Tokens that share each block of weights in a decode matmul."""
        return 1 if self.mode.rows(x.rows) == 1 else MATVEC_COLUMNS

    def decode_rows(self, weight: Weight) -> int:
        """Rows of weights that one task of a decode matmul computes."""
        return self.task_rows(weight.shape[0], row_bytes(weight))

    def task_rows(self, n_rows: int, n_bytes: int) -> int:
        """How many of so many rows, each of so many bytes, are one task."""
        least, most = (-(-task // n_bytes) for task in TASK_BYTES)
        return max(least, min(self.share(n_rows, TASKS_PER_THREAD), most))

    def few_tokens(self, weight: Weight, x: Tensor) -> dict[str, Argument]:
        """What a decode matmul needs to know of its activations and tasks."""
        return self.few_parts(weight, x, 1) | {"task_rows": self.decode_rows(weight)}

    def few_parts(self, weight: Weight, x: Tensor, parts: int) -> dict[str, Argument]:
        """The same where every row is made of equal parts, each an input of its own."""
        width, fmt = x.width // parts, FORMATS[weight.type]
        if not isinstance(fmt, QuantizedFormat):
            return {"x": self.buffers[x], "record": width * f32.bytes}
        order = fmt.order(self.isa)
        records = self.records(x, parts, order)
        return {"x": records, "record": activation.record_bytes(width, order)}

    def records(self, x: Tensor, parts: int = 1, order: Order = PLAIN) -> Buffer:
        """An activation as int8 records, so many of each row; made once."""
        key = (x, f"{order} int8 in {parts}")
        if key not in self.prepared:
            self.prepared[key] = _quantized(self, x, parts, order)
        return self.prepared[key]

    def panels(self, weight: Weight, x: Tensor) -> Panels:
        """How a batch is multiplied with weights."""
        if self.by_tiles(weight, x):
            return TILES
        return INTEGERS if int8_panels.fits(self.isa, weight.type) else FLOATS

    def batch(
        self, way: Panels, x: Tensor, task_rows: int, matrices: int = 1
    ) -> dict[str, Argument]:
        """What a batch matmul needs to know of its activations and tasks; reserves its scratch."""
        self.needs_scratch(way.scratch_bytes(task_rows, self.mode.padded(x.rows), matrices))
        return {
            "x": self.activations(x, _FORMS[way]),
            "words": way.words(x.width),
            "task_rows": task_rows,
        }

    def feeds_tiles(self, tensor: Tensor) -> bool:
        """Whether nothing but tile matmuls read an activation, in whole tiles."""
        if tensor.width % amx.DEPTH:
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


def _quantized(low: Lowering, x: Tensor, parts: int, order: Order) -> Buffer:
    width = x.width // parts
    record = activation.record_bytes(width, order)
    name = "int8" if order == PLAIN else order.name
    out = Buffer(f"{x.name}.{name}", low.mode.padded(x.rows) * parts * record)
    arguments: dict[str, Argument] = {
        "x": low.buffers[x], "out": out, "width": width, "record": record,
    }  # fmt: skip
    kernel = activation.quantize(order=order)
    low.launch(kernel, arguments, chunks=parts, count=x.rows.value, label=out.name)
    return out


def _packed(low: Lowering, x: Tensor) -> Buffer:
    out = Buffer(f"{x.name}.packed", low.mode.padded(x.rows) * x.width * 4)
    tile = float_panels.tile_tokens(low.isa)
    arguments: dict[str, Argument] = {"x": low.buffers[x], "out": out, "width": x.width}
    low.launch(pack(tokens=tile), arguments, count=x.rows.value, group=tile, label=out.name)
    return out


def _packed_records(low: Lowering, x: Tensor) -> Buffer:
    record = activation.record_bytes(x.width)
    out = Buffer(f"{x.name}.packed8", low.mode.padded(x.rows) * record)
    tile = int8_panels.tile_tokens(low.isa)
    arguments: dict[str, Argument] = {
        "x": low.records(x), "out": out, "width": x.width, "words": record // f32.bytes,
    }  # fmt: skip
    kernel = int8_panels.pack_records()
    low.launch(kernel, arguments, count=x.rows.value, group=tile, label=out.name)
    return out


def _tiled(low: Lowering, x: Tensor) -> Buffer:
    out = Buffer(f"{x.name}.tiles", tile_panels.packed_bytes(low.mode.padded(x.rows), x.width))
    arguments: dict[str, Argument] = {"x": low.buffers[x], "out": out, "width": x.width}
    kernel = tile_panels.pack_tiles()
    low.launch(kernel, arguments, count=x.rows.value, group=amx.EDGE, label=out.name)
    return out


_FORMS = {TILES: "tiles", INTEGERS: "packed int8", FLOATS: "packed"}

_PREPARE: dict[str, Callable[[Lowering, Tensor], Buffer]] = {
    "packed": _packed,
    "packed int8": _packed_records,
    "tiles": _tiled,
}


def row_bytes(weight: Weight) -> int:
    """Bytes of a row of weights."""
    return weight.shape[-1] // weight.type.block_size * weight.type.block_bytes


def _rounded(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple
