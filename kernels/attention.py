"""Attention with an online softmax: scores never leave the cache of the core that made them.

A task is one head of keys and values for one tile of neighbouring tokens of a sequence. All query
heads that share it, of all tokens of the tile, are its rows: each key and value is read and
converted once for all of them. Cells are taken ``CELL_MULTIPLE`` at a time (Dao et al. 2022)::

    scores  [rows][cells]       one vector holds the scores of neighbouring cells
    sums    [rows][head_dim]    values weighted so far; rescaled when a larger score turns up
"""

from __future__ import annotations

from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.kv_cache import (
    CACHE_TYPES,
    CELL_MULTIPLE,
    CELLS,
    QUANTIZED_GROUP,
    CacheType,
    KeyBlock,
    ValueCell,
    head_place,
)
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.rope import largest_vector
from pyllama.kernels.softmax import OnlineSoftmax
from pyllama.kernels.types import f32, i64, u8

ROW_TILE = 4
"""Rows that share each key or value in registers."""


def tile_rows(tokens: int, heads_per_kv: int) -> int:
    """Rows of a tile, padded to whole register tiles."""
    return -(-tokens * heads_per_kv // ROW_TILE) * ROW_TILE


def scratch_bytes(tokens: int, heads_per_kv: int, head_dim: int) -> int:
    """Scratch memory of a worker."""
    rows = tile_rows(tokens, heads_per_kv)
    return rows * (2 * head_dim + CELL_MULTIPLE + OnlineSoftmax.FLOATS_PER_ROW) * f32.bytes


@kernel(
    query=Array(f32),  # (tokens, kv_heads * heads_per_kv, head_dim)
    keys=Array(u8),  # the cache
    values=Array(u8),
    out=Array(f32),  # as query
    kv_heads=i64,
    capacity=i64,
    scale=f32,
    window=i64,  # how many positions a token sees, itself included
)
def attend(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    head_dim: int,
    heads_per_kv: int,
    tokens: int,
    key_type: str,
    value_type: str,
) -> None:
    """Softmax(scale * query * keys) * values over the cells that each token may see."""
    tile, head = task // a.kv_heads, task % a.kv_heads
    first, count = (step.tiles[tile * 2 + i].to(i64) for i in range(2))
    slab = step.slabs[first].to(i64)
    work = _Work(k, a, step, thread, head_dim, heads_per_kv, tile_rows(tokens, heads_per_kv))
    work.load_queries(first, count, head)
    last = step.positions[first + count - 1].to(i64)
    oldest = k.max(step.positions[first].to(i64) - a.window + 1, 0)
    key_cache, value_cache = CACHE_TYPES[key_type], CACHE_TYPES[value_type]
    keys = head_place(a.keys, key_cache, a, slab, head, head_dim)
    values = head_place(a.values, value_cache, a, slab, head, head_dim)
    with k.loop(oldest // CELL_MULTIPLE * CELL_MULTIPLE, last + 1, CELL_MULTIPLE) as cell:
        cells = k.min(last + 1 - cell, k.const(i64, CELL_MULTIPLE))
        work.score(key_cache, keys, cell, cells)
        work.weigh(first, count, cell)
        work.add_values(value_cache, values, cell, cells)
    work.write(first, count, head)


class _Work:
    """The scratch memory of one task and the steps that work on it."""

    def __init__(
        self,
        k: Builder,
        a: Fields,
        step: Fields,
        thread: Value,
        head_dim: int,
        heads_per_kv: int,
        rows: int,
    ) -> None:
        self.k, self.a, self.step = k, a, step
        self.head_dim, self.heads_per_kv, self.rows = head_dim, heads_per_kv, rows
        self.lanes = largest_vector(k, head_dim)
        memory = step.scratch.at(thread * step.scratch_stride).of(f32)
        self.query = memory
        self.sums = memory.at(rows * head_dim)
        self.scores = self.sums.at(rows * head_dim)
        self.softmax = OnlineSoftmax(k, self.scores.at(rows * CELL_MULTIPLE), rows)

    def place(self, token: Value, head: Value, r: Value) -> Value:
        """Where a query head of a token stands in ``query`` and ``out``."""
        heads = self.a.kv_heads * self.heads_per_kv
        return (token * heads + head * self.heads_per_kv + r) * self.head_dim

    def load_queries(self, first: Value, count: Value, head: Value) -> None:
        """Scaled queries; rows beyond the tile's tokens keep what they hold, which is not read."""
        k = self.k
        with k.loop(count) as t, k.loop(self.heads_per_kv) as r:
            source = self.a.query.at(self.place(first + t, head, r))
            row = t * self.heads_per_kv + r
            with k.loop(0, self.head_dim, self.lanes) as i:
                x = source.load(i, self.lanes) * self.a.scale
                self.query.store(row * self.head_dim + i, x)
                self.sums.store(row * self.head_dim + i, k.zero(x.type))
            self.softmax.start(row)

    def score(self, type: CacheType, keys: Pointer, cell: Value, cells: Value) -> None:
        """Scores of every row with ``cells`` cells from ``cell`` on, 16 cells at a time."""
        k = self.k
        lanes = min(CELLS, k.f32_lanes)
        group = QUANTIZED_GROUP if type.is_quantized else self.head_dim
        with k.loop(0, cells, CELLS) as c, k.loop(0, self.rows, ROW_TILE) as row:
            block = KeyBlock(type, keys, cell + c, self.head_dim)
            zero = k.zero(f32 * lanes)
            for part in range(0, CELLS, lanes):
                scores = [zero] * ROW_TILE
                for g in range(self.head_dim // group):
                    sums = [k.variable(zero) for _ in range(ROW_TILE)]
                    with k.loop(g * group, (g + 1) * group) as i:
                        key = type.read(k, block.elements.load(i * CELLS + part, lanes))
                        for r, total in enumerate(sums):
                            q = self.query[(row + r) * self.head_dim + i]
                            total.value = k.fma(key, k.splat(q, lanes), total.value)
                    scale = None
                    if type.is_quantized:
                        scale = block.scales.load(g * CELLS + part, lanes).to(f32)
                    scores = [
                        score + (total.value * scale if scale is not None else total.value)
                        for score, total in zip(scores, sums, strict=True)
                    ]
                for r, score in enumerate(scores):
                    self.scores.store((row + r) * CELL_MULTIPLE + c + part, score)

    def weigh(self, first: Value, count: Value, cell: Value) -> None:
        """Scores become weights, in place."""
        k = self.k
        with k.loop(count) as t:
            position = self.step.positions[first + t].to(i64)
            with k.loop(self.heads_per_kv) as r:
                row = t * self.heads_per_kv + r
                scores = self.scores.at(row * CELL_MULTIPLE)
                weights = self.softmax.weigh(
                    row, scores, CELL_MULTIPLE, cell, position, self.a.window
                )
                for i, weight in enumerate(weights):
                    scores.store(i * k.f32_lanes, weight)

    def add_values(self, type: CacheType, values: Pointer, cell: Value, cells: Value) -> None:
        """Add the weighted values of the cells to the sums."""
        k, lanes, dim = self.k, self.lanes, self.head_dim
        vectors = 2 if dim % (2 * lanes) == 0 else 1
        span = vectors * lanes
        with k.loop(0, self.rows, ROW_TILE) as row, k.loop(0, dim, span) as start:
            places = [self.sums.at((row + r) * dim + start) for r in range(ROW_TILE)]
            sums = [
                [k.variable(p.load(v * lanes, lanes) * self.softmax.rescale[row + r])
                 for v in range(vectors)]
                for r, p in enumerate(places)
            ]  # fmt: skip
            with k.loop(cells) as c:
                value = ValueCell(type, values, cell + c, dim)
                for v in range(vectors):
                    at = start + v * lanes
                    x = type.read(k, value.elements.load(at, lanes))
                    if type.is_quantized:
                        x = x * value.scales[at // QUANTIZED_GROUP].to(f32)
                    for r, row_sums in enumerate(sums):
                        w = k.splat(self.scores[(row + r) * CELL_MULTIPLE + c], lanes)
                        row_sums[v].value = k.fma(w, x, row_sums[v].value)
            for place, row_sums in zip(places, sums, strict=True):
                for v, total in enumerate(row_sums):
                    place.store(v * lanes, total.value)

    def write(self, first: Value, count: Value, head: Value) -> None:
        """Divide by the sum of the weights."""
        k = self.k
        with k.loop(count) as t, k.loop(self.heads_per_kv) as r:
            row = t * self.heads_per_kv + r
            out = self.a.out.at(self.place(first + t, head, r))
            inverse = 1.0 / self.softmax.total[row]
            with k.loop(0, self.head_dim, self.lanes) as i:
                out.store(i, self.sums.load(row * self.head_dim + i, self.lanes) * inverse)
