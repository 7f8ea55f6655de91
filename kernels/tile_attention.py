"""Attention of a batch of prompt tokens on tiles of bfloat16 (AMX).

The same online softmax as ``attention``, for many tokens at a time: a task is one head of keys and
values for a tile of tokens, its rows are all query heads of these tokens. ``SPAN`` cells at a time
are rounded to bfloat16 and arranged as right operands, then scores, weights and sums are made for
32 rows after the other, so that scores do not leave the first cache::

    query   [tile of rows][head_dim / 32][16 rows][32]                 bf16  left operand
    keys    [tile of cells][head_dim / 32][16 pairs][16 cells][2]      bf16  right operand
    scores  [32 rows][SPAN]                                            f32
    weights [2 tiles of rows][SPAN / 32][16 rows][32 cells]            bf16  left operand
    values  [tile of elements][SPAN / 32][16 pairs of cells][16][2]    bf16  right operand
    sums    [rows][value_dim]                                          f32
"""

from __future__ import annotations

from pyllama.kernels import amx, score_changes
from pyllama.kernels.amx import BLOCK, DEPTH, EDGE
from pyllama.kernels.cache_layout import CELLS, Head, sides_of
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.score_changes import score_change
from pyllama.kernels.softmax import OnlineSoftmax, Scores
from pyllama.kernels.transpose import transpose
from pyllama.kernels.types import f32, i64, u8, u16, u32

SPAN = 128
"""Cells taken at a time."""

ROWS = 256
"""Rows of a task, at most: what it arranges is used by so many."""


def fits(head_dim: int) -> bool:
    """Whether heads of this size fill register blocks."""
    return head_dim % BLOCK == 0


def _rows(tokens: int, heads_per_kv: int) -> int:
    return -(-tokens * heads_per_kv // BLOCK) * BLOCK


def scratch_bytes(tokens: int, heads_per_kv: int, head_dim: int, latent: int) -> int:
    """Scratch memory of a worker."""
    rows, value_dim = _rows(tokens, heads_per_kv), latent or head_dim
    halves = rows * head_dim + SPAN * (head_dim + value_dim + BLOCK)
    singles = BLOCK * SPAN + rows * (value_dim + OnlineSoftmax.FLOATS_PER_ROW)
    return halves * 2 + singles * f32.bytes


@kernel(
    query=Array(f32),  # (tokens, kv_heads * heads_per_kv, head_dim)
    keys=Array(u8),  # the cache
    values=Array(u8),
    out=Array(f32),  # (tokens, kv_heads * heads_per_kv, value_dim)
    kv_heads=i64,
    capacity=i64,
    scale=f32,
    window=i64,  # how many positions a token sees, itself included
    **score_changes.FIELDS,
    sinks=Array(f32),  # (heads,) scores that take weight from all cells
)
def tile_attend(
    k: Builder,
    a: Fields,
    step: Fields,
    *,
    task: Value,
    thread: Value,
    head_dim: int,
    latent: int,
    heads_per_kv: int,
    tokens: int,
    key_type: str,
    value_type: str,
    change: str,
    has_sinks: bool,
) -> None:
    """Softmax(scale * query * keys) * values over the cells that each token may see."""
    tile, head = task // a.kv_heads, task % a.kv_heads
    first, count = (step.tiles[tile * 2 + i].to(i64) for i in range(2))
    slab = step.slabs[first].to(i64)
    dims = (head_dim, latent or head_dim)
    work = _Work(k, a, step, thread, dims, heads_per_kv, tokens, first, count, head)
    work.load_queries(has_sinks)
    last = step.positions[first + count - 1].to(i64)
    oldest = k.max(step.positions[first].to(i64) - a.window + 1, 0)
    types = CACHE_TYPES[key_type], CACHE_TYPES[value_type]
    keys, values = (side.head(slab, head) for side in sides_of(a, *types, head_dim, latent))
    arrange_keys = work.arrange_latents if latent else work.arrange_keys
    amx.start(k)
    with k.loop(oldest // BLOCK * BLOCK, last + 1, SPAN) as cell:
        cells = k.min(last + 1 - cell, k.const(i64, SPAN))
        arrange_keys(keys, cell, cells)
        work.arrange_values(values, cell, cells)
        with k.loop(0, work.live_rows, BLOCK) as row:
            work.score(row, cells)
            work.weigh(row, cell, change)
            work.add_values(row, cells)
    amx.stop(k)
    work.write()


class _Work:
    """The scratch memory of one task and the steps that work on it."""

    def __init__(
        self,
        k: Builder,
        a: Fields,
        step: Fields,
        thread: Value,
        dims: tuple[int, int],
        heads_per_kv: int,
        tokens: int,
        first: Value,
        count: Value,
        head: Value,
    ) -> None:
        self.k, self.a, self.step = k, a, step
        self.first, self.count, self.head = first, count, head
        self.dim, self.value_dim = dims
        self.heads_per_kv = heads_per_kv
        rows = _rows(tokens, heads_per_kv)
        self.live_rows = count * heads_per_kv
        memory = step.scratch.at(thread * step.scratch_stride).of(u16)
        self.query = memory
        self.keys = self.query.at(rows * self.dim)
        self.values = self.keys.at(SPAN * self.dim)
        self.weights = self.values.at(SPAN * self.value_dim)
        self.scores = self.weights.at(BLOCK * SPAN).of(f32)
        self.sums = self.scores.at(BLOCK * SPAN)
        self.softmax = OnlineSoftmax(k, self.sums.at(rows * self.value_dim), rows)

    def place(self, t: Value, r: Value) -> Value:
        """Which query head of all tokens this one is."""
        heads = self.a.kv_heads * self.heads_per_kv
        return (self.first + t) * heads + self.head * self.heads_per_kv + r

    def left(self, matrix: Pointer, row: Value, depth: int) -> Pointer:
        """Where a row of a left operand of ``depth`` elements begins."""
        return matrix.at(row // EDGE * (EDGE * depth) + row % EDGE * DEPTH)

    def load_queries(self, has_sinks: bool) -> None:
        """Scaled queries; rows without a token keep what they hold, which nobody reads."""
        k = self.k
        with k.loop(self.count) as t, k.loop(self.heads_per_kv) as r:
            source = self.a.query.at(self.place(t, r) * self.dim)
            row = t * self.heads_per_kv + r
            target = self.left(self.query, row, self.dim)
            for i in range(0, self.dim, DEPTH):
                x = source.load(i, DEPTH) * self.a.scale
                target.store(i * EDGE, k.isa.f32_to_bf16(k, x))
            for i in range(0, self.value_dim, DEPTH):
                self.sums.store(row * self.value_dim + i, k.zero(f32 * DEPTH))
            sink = self.a.sinks[self.head * self.heads_per_kv + r] if has_sinks else None
            self.softmax.start(row, sink)

    def arrange_keys(self, keys: Head, cell: Value, cells: Value) -> None:
        """16 cells of keys at a time, pairs of elements side by side."""
        k, type, n = self.k, keys.type, keys.type.groups(self.dim)
        with k.loop(0, cells, CELLS) as c, k.loop(n) as g:
            group = type.keys(k, keys.at(cell + c), g, self.dim)
            tile = self.keys.at(c * self.dim + g * (self.dim // n * EDGE))
            with k.loop(0, group.rows, type.unroll) as row:
                loaded = [group.load(row, ahead) for ahead in range(type.unroll)]
                for ahead in range(0, type.unroll, 2):
                    for part, pair in enumerate(zip(*loaded[ahead : ahead + 2], strict=True)):
                        element = row + (ahead + part * group.rows)
                        amx.store_pairs(k, pair, tile.at(element * EDGE))

    def arrange_latents(self, keys: Head, cell: Value, cells: Value) -> None:
        """The same where every cell's elements stand together: pairs of them are transposed."""
        k, type = self.k, keys.type
        with k.loop(0, cells, CELLS) as c, k.loop(0, self.dim, DEPTH) as start:
            places = [keys.at(cell + c + i) for i in range(CELLS)]
            latents = [type.values(k, place, start, 0, DEPTH) for place in places]
            pairs = [k.isa.f32_to_bf16(k, x).bits_as(u32 * EDGE) for x in latents]
            tile = self.keys.at(c * self.dim + start * EDGE).of(u32)
            for i, pairs_of_cells in enumerate(transpose(k, pairs)):
                tile.store(i * EDGE, pairs_of_cells)

    def arrange_values(self, values: Head, cell: Value, cells: Value) -> None:
        """Two cells of values at a time, side by side; cells that nobody filled count as zero."""
        k, type = self.k, values.type
        with k.loop(0, (cells + (DEPTH - 1)) // DEPTH * DEPTH, 2) as c:
            for start in range(0, self.value_dim, EDGE):
                whole = start // type.group * type.group
                pair = []
                for side in range(2):
                    place = values.at(cell + c + side)
                    x = type.values(k, place, whole, start - whole, EDGE)
                    filled = k.splat(c + side < cells, EDGE)
                    pair.append(k.select(filled, x, k.zero(x.type)))
                tile = self.values.at(start * SPAN)
                amx.store_pairs(k, pair, tile.at(c * EDGE))

    def score(self, row: Value, cells: Value) -> None:
        """Scores of a block of rows with all cells."""
        k, dim, tile = self.k, self.dim, EDGE * self.dim
        query = self.query.at(row * dim)
        with k.loop(0, cells, BLOCK) as c:
            keys = self.keys.at(c * dim)
            amx.multiply_block(
                k,
                (query, query.at(tile)),
                (keys, keys.at(tile)),
                dim // DEPTH,
                self.scores.at(c),
                k.const(i64, SPAN),
                from_zero=True,
            )

    def weigh(self, first: Value, cell: Value, change: str) -> None:
        """Their scores become weights; what was summed so far is scaled down where it must be."""
        k = self.k
        end = k.min(first + BLOCK, self.live_rows)
        oldest, newest = (self.position_of(row) for row in (first, end - 1))
        sees_all = (cell + SPAN <= oldest + 1) & (cell > newest - self.a.window)
        # most blocks see all: to compare each cell's position would take a third of the time
        with k.either(sees_all) as (then, otherwise):
            for branch, all_seen in ((then, True), (otherwise, False)):
                with branch:
                    self._weigh(first, end, cell, change, all_seen)

    def _weigh(self, first: Value, end: Value, cell: Value, change: str, all_seen: bool) -> None:
        k = self.k
        with k.loop(first, end) as row:
            scores = self.scores_of(row, first, cell, all_seen)
            query_head = self.head * self.heads_per_kv + row % self.heads_per_kv
            changed = score_change(k, self.a, change, query_head, scores.position)
            if changed:
                scores.change(changed)
            self.softmax.find_largest(row, scores)
        self.softmax.rescale_rows(first, BLOCK)
        with k.loop(first, end) as row:
            target = self.left(self.weights, row - first, SPAN)

            def store(c: Value, weights: list[Value]) -> None:
                for i in range(0, len(weights), 2):
                    half = k.isa.f32_to_bf16(k, k.concat(weights[i : i + 2]))
                    target.store(c * EDGE + i // 2 * (EDGE * DEPTH), half)

            self.softmax.weigh(row, self.scores_of(row, first, cell, all_seen), store)
            self.rescale_sums(row)

    def position_of(self, row: Value) -> Value:
        """The position of a row's token."""
        return self.step.positions[self.first + row // self.heads_per_kv].to(i64)

    def scores_of(self, row: Value, first: Value, cell: Value, all_seen: bool) -> Scores:
        """Scores of a row, in a block that begins with row ``first``."""
        place = self.scores.at((row - first) * SPAN)
        return Scores(place, SPAN, cell, self.position_of(row), self.a.window, all_seen)

    def rescale_sums(self, row: Value) -> None:
        """Scale down what was summed so far of a row."""
        k, dim, rescale = self.k, self.value_dim, self.softmax.rescale[row]
        with k.when(rescale < 1):
            for i in range(0, dim, EDGE):
                place = row * dim + i
                self.sums.store(place, self.sums.load(place, EDGE) * rescale)

    def add_values(self, row: Value, cells: Value) -> None:
        """Add the values of the cells, weighted, to the sums of the rows."""
        k, dim, tile = self.k, self.value_dim, EDGE * SPAN
        with k.loop(0, dim, BLOCK) as start:
            values = self.values.at(start * SPAN)
            amx.multiply_block(
                k,
                (self.weights, self.weights.at(tile)),
                (values, values.at(tile)),
                (cells + (DEPTH - 1)) // DEPTH,
                self.sums.at(row * dim + start),
                k.const(i64, dim),
                from_zero=False,
            )

    def write(self) -> None:
        """Divide by the sum of the weights."""
        k = self.k
        with k.loop(self.count) as t, k.loop(self.heads_per_kv) as r:
            row = t * self.heads_per_kv + r
            out = self.a.out.at(self.place(t, r) * self.value_dim)
            inverse = 1.0 / self.softmax.total[row]
            for i in range(0, self.value_dim, EDGE):
                out.store(i, self.sums.load(row * self.value_dim + i, EDGE) * inverse)
