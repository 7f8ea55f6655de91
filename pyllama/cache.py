"""The memory of a session: keys and values of every layer, and the rotary table."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from pyllama.errors import CapacityError, UsageError
from pyllama.graph import ops
from pyllama.graph.graph import Graph
from pyllama.graph.mode import CacheLayout
from pyllama.kernels.cache_layout import CELL_MULTIPLE, CELLS
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.models.config import RopeConfig
from pyllama.models.rope_table import depends_on_length, rope_table

_FILL = 512

Factors = NDArray[np.float32] | None


def zeros(n_bytes: int, what: str, sparse: bool = False) -> NDArray[np.uint8]:
    """Zeroed memory that starts on a page; the system provides it page by page when used.

    sparse: much of it may never be used, so pages shall be small. With large ones the first token
    alone would take several megabytes for each head of each layer. Raises CapacityError when there
    is not so much memory.
    """
    private = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    try:
        memory = mmap.mmap(-1, max(n_bytes, 1), **private)
    except (OSError, OverflowError, ValueError):
        raise CapacityError(
            f"no memory for {what} of {n_bytes / 2**20:.0f} MiB; ask for a smaller context (-c)"
        ) from None
    advice = getattr(mmap, "MADV_NOHUGEPAGE" if sparse else "MADV_HUGEPAGE", None)
    if advice is not None:
        with suppress(OSError):  # a system may know the advice and not take it
            memory.madvise(advice)
    return np.frombuffer(memory, np.uint8, n_bytes)


def cache_layout(context: int, sequences: int, key_type: str, value_type: str) -> CacheLayout:
    """The layout for ``context`` positions; UsageError for an unknown type."""
    for type in (key_type, value_type):
        if type not in CACHE_TYPES:
            known = ", ".join(CACHE_TYPES)
            raise UsageError(f"cache type {type!r} is not supported (-ctk, -ctv); give {known}")
    capacity = -(-context // CELL_MULTIPLE) * CELL_MULTIPLE
    return CacheLayout(capacity, sequences, key_type, value_type)


class KVCache:
    """Keys and values of all layers, or what they convolve; a cell for each position.

    Which positions hold what is the session's knowledge.
    """

    def __init__(self, graph: Graph, layout: CacheLayout) -> None:
        self._memory: dict[tuple[str, str], NDArray[np.uint8]] = {}
        self._heads: dict[tuple[str, str], int] = {}
        self._layout = layout
        for op in (node.op for node in graph.nodes):
            if isinstance(op, ops.Attention):
                self._check(layout.key_type, op.value_dim)
                self._add("keys", op.layer, layout.key_type, op.kv_heads, op.head_dim)
                if not op.latent:
                    self._add("values", op.layer, layout.value_type, op.kv_heads, op.head_dim)
            elif isinstance(op, ops.ShortConv):
                self._add("conv", op.layer, layout.conv_type, 1, op.weight.shape[0])

    def _add(self, kind: str, layer: int, type: str, heads: int, head_dim: int) -> None:
        self._check(type, head_dim)
        n_bytes = self._layout.layer_bytes(type, heads, head_dim)
        self._memory[kind, str(layer)] = zeros(n_bytes, f"a cache of {kind}", sparse=True)
        self._heads[kind, str(layer)] = heads

    @staticmethod
    def _check(type: str, elements: int) -> None:
        group = CACHE_TYPES[type].group
        if elements % group:
            raise UsageError(
                f"a {type} cache needs heads of a multiple of {group} elements, "
                f"this model's have {elements}; use f16"
            )

    def address(self, kind: str, layer: str) -> int:
        """Where the ``keys`` or ``values`` of a layer begin, or what it convolves, ``conv``."""
        return int(self._memory[kind, layer].ctypes.data)

    def cells(self, count: int) -> Iterator[NDArray[np.uint8]]:
        """The memory of the first sequence's first cells, of all layers in turn.

        Views (kv_heads, groups, bytes) uint8, a group being CELLS cells; the last one may hold
        cells beyond ``count``.
        """
        groups = -(-count // CELLS)
        for place, memory in self._memory.items():
            slab = memory.reshape(self._layout.sequences, self._heads[place], -1)[0]
            yield slab.reshape(len(slab), self._layout.capacity // CELLS, -1)[:, :groups]

    @property
    def n_bytes(self) -> int:
        """Bytes of all of it."""
        return sum(memory.nbytes for memory in self._memory.values())


class RopeTable:
    """(context, 2, pairs) cosines and sines, computed as positions are first reached."""

    def __init__(self, rope: RopeConfig, context: int, factors: Factors) -> None:
        self._rope, self._factors = rope, factors
        self.ready = 0
        """Rows that are right for good."""
        shape = (context, 2, rope.dims // 2)
        memory = zeros(int(np.prod(shape)) * 4, "the rotary table", sparse=True)
        self._table = memory.view(np.float32).reshape(shape)

    def address(self) -> int:
        """Where the table begins."""
        return int(self._table.ctypes.data)

    def prepare(self, start: int, stop: int) -> None:
        """Make the rows of these positions right; the sequence then has ``stop`` tokens."""
        if depends_on_length(self._rope):
            self._table[start:stop] = rope_table(
                self._rope, range(start, stop), self._factors, length=stop
            )
        elif stop > self.ready:
            end = min(len(self._table), max(stop, self.ready + _FILL))
            positions = range(self.ready, end)
            self._table[self.ready : end] = rope_table(self._rope, positions, self._factors)
            self.ready = end


class RopeTables:
    """The tables that a graph's rotations read, by name."""

    def __init__(
        self, graph: Graph, context: int, rope: Callable[[str, int], tuple[RopeConfig, Factors]]
    ) -> None:
        """``rope(name, context)``: the rotation of a table, and divisors of its frequencies."""
        names = {node.op.table for node in graph.nodes if isinstance(node.op, ops.Rope)}
        self._tables: dict[str, RopeTable] = {}
        for name in sorted(names):
            config, factors = rope(name, context)
            self._tables[name] = RopeTable(config, context, factors)
        self.ready = 0
        """Rows that are right whatever a sequence's length: these need not be prepared."""

    def address(self, name: str) -> int:
        """Where a table begins."""
        return self._tables[name].address()

    def prepare(self, start: int, stop: int) -> None:
        """Make the rows of these positions right; the sequence then has ``stop`` tokens."""
        for table in self._tables.values():
            table.prepare(start, stop)
        self.ready = min((table.ready for table in self._tables.values()), default=stop)


def most_positions(graph: Graph) -> int | None:
    """How many positions have embeddings; None where positions have none."""
    tables = (node.op for node in graph.nodes if isinstance(node.op, ops.Embedding))
    return min((op.weight.shape[0] for op in tables if op.of == "positions"), default=None)
