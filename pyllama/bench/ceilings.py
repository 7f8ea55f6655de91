"""What memory and processor can do at most, measured with our own kernels.

A ceiling is the best of many steps of a graph that is nothing but matmuls: of one token through
more weights than caches hold, and of many tokens through weights that the caches do hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from pyllama.cache import cache_layout, zeros
from pyllama.gguf import tensor_bytes
from pyllama.gguf.types import TensorType
from pyllama.graph import ops
from pyllama.graph.cpu import plan_for_cpu
from pyllama.graph.graph import Graph, Node, make_node
from pyllama.graph.mode import Mode
from pyllama.graph.plan import External
from pyllama.kernels.jit import Library
from pyllama.step import Batch, BoundProgram
from pyllama.threads import WorkerPool

STREAMED_BYTES = 1 << 29
"""More than most caches hold. Where one holds it all the same, so it does a model of that size."""

STREAMED_WIDTH = 8192
STREAMED_TYPE = TensorType.F16
TOKENS = 512
WIDTH = 2048
LAYERS = 8

COMPUTED_TYPES = (TensorType.F16, TensorType.Q4_1)
"""One that is multiplied in floating point or on tiles, one that is in integers where possible."""

SECONDS = 0.3
"""How long each kind of step is repeated, at least."""


@dataclass(frozen=True)
class Ceilings:
    """Bytes read from memory, and floating-point operations of matmuls, a second at most."""

    bytes_per_second: float
    flops_per_second: float


def measure_ceilings(
    library: Library,
    workers: WorkerPool,
    seconds: float = SECONDS,
    streamed_bytes: int = STREAMED_BYTES,
) -> Ceilings:
    """Both ceilings for the instruction set of a library and the threads of a pool.

    Takes three times ``seconds`` and a little more, and ``streamed_bytes`` of memory. Raises
    CapacityError where there is not so much, Interrupted after ``workers.abort(workers)``.
    """
    row = tensor_bytes((1, STREAMED_WIDTH), STREAMED_TYPE)
    shape = (streamed_bytes // row, STREAMED_WIDTH)
    read = _Chain(library, workers, STREAMED_TYPE, shape, layers=1, tokens=1)
    bytes_per_second = shape[0] * row / read.best(seconds)
    del read
    flops = 2 * LAYERS * TOKENS * WIDTH * WIDTH
    chains = (
        _Chain(library, workers, type, (WIDTH, WIDTH), LAYERS, TOKENS) for type in COMPUTED_TYPES
    )
    return Ceilings(bytes_per_second, max(flops / chain.best(seconds) for chain in chains))


class _Chain:
    """A step of equal tokens through the same matrix (outputs, inputs), so many times."""

    def __init__(
        self,
        library: Library,
        workers: WorkerPool,
        type: TensorType,
        shape: tuple[int, int],
        layers: int,
        tokens: int,
    ) -> None:
        self._workers = workers
        self._memory = {"input": _ones(shape[1]), "matrix": _small(tensor_bytes(shape, type))}
        graph = _graph(ops.Weight("matrix", shape, type), layers)
        mode = Mode(tokens, outputs=1)
        layout = cache_layout(1, 1, "f16", "f16")
        plan = plan_for_cpu(graph, mode, layout, library.isa, workers.threads)
        address = self._address
        self._bound = BoundProgram(plan, mode, library, workers.threads, shape[0], address)
        batch = Batch.of_neighbours(np.zeros(tokens, np.int64), 0, 0, n_logits=1)
        self._step = self._bound.prepare(batch)

    def best(self, seconds: float) -> float:
        """Seconds of the fastest step of those that fit into a time, at least two."""
        self._run()  # the first step meets cold caches and pages
        fastest = timed(self._run)
        end = perf_counter() + seconds
        while perf_counter() < end:
            fastest = min(fastest, timed(self._run))
        return fastest

    def _run(self) -> None:
        self._workers.run(self._bound.program, self._step, owner=self._workers)

    def _address(self, memory: External) -> int:
        return int(self._memory[memory.name].ctypes.data)


def timed(action: Callable[[], None]) -> float:
    """Seconds that an action takes."""
    started = perf_counter()
    action()
    return perf_counter() - started


def _graph(matrix: ops.Weight, layers: int) -> Graph:
    n_inputs = matrix.shape[1]
    source = make_node(ops.Embedding(ops.Weight("input", (1, n_inputs), TensorType.F32)), (), "x")
    nodes: list[Node] = [source]
    for i in range(layers):
        nodes.append(make_node(ops.Linear(matrix), (nodes[-1].output,), f"y{i}"))
    return Graph(tuple(nodes), nodes[-1].output)


def _ones(width: int) -> NDArray[np.uint8]:
    memory = zeros(4 * width, "ceilings")
    memory.view(np.float32)[:] = 1
    return memory


def _small(n_bytes: int) -> NDArray[np.uint8]:
    """Weights whose every byte is 1: small numbers in any format, in pages of their own."""
    memory = zeros(n_bytes, "ceilings")
    memory[:] = 1
    return memory
