"""Attention with an online softmax: scores never leave the cache of the core that made them.

A task is one head of keys and values for one tile of neighbouring tokens of a sequence. All query
heads that share it, of all tokens of the tile, are its rows: each key and value is read and
converted once for all of them. Cells are taken ``SPAN`` at a time (Dao et al. 2022)::

    scores  [rows][SPAN]        one vector holds the scores of neighbouring cells
    sums    [rows][value_dim]   values weighted so far; rescaled when a larger score turns up

So that many processors can share the few heads of one token, its cells may be split into ``parts``
of ``PART_CELLS`` or more, each a task of its own. What they found is then merged. How cells are
split depends on their number alone, so results do not depend on the number of threads::

    found   [token][head][part][value_dim sums, largest score, sum of weights]

With ``latent`` the values are the first so many elements of the keys (see ``cache_layout``).
"""

from __future__ import annotations

from math import gcd

from pyllama.kernels import score_changes
from pyllama.kernels.cache_layout import CELL_MULTIPLE, CELLS, Head, sides_of
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.kernels.functions import exp
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Pointer, Value
from pyllama.kernels.prefetch import LINE_BYTES, prefetch_ahead
from pyllama.kernels.score_changes import score_change
from pyllama.kernels.softmax import LOWEST, OnlineSoftmax, Scores
from pyllama.kernels.types import f32, i64, u8

ROW_TILE = 4
"""Rows that share each key or value in registers, at most."""

ACCUMULATORS = 8
"""Sums in registers, so many that multiply-adds do not wait for each other."""

SPAN = 256
"""Cells taken at a time."""

PART_CELLS = 512
"""Fewer cells are not worth a task of their own."""

PART_TASKS = 64
"""Tasks that one token's heads are split into where the cache is long enough."""


def parts_of(capacity: int, kv_heads: int) -> int:
    """Tasks that share the cells of one token and head."""
    return max(1, min(-(-capacity // PART_CELLS), PART_TASKS // kv_heads))


def found_bytes(tokens: int, heads: int, value_dim: int, parts: int) -> int:
    """Memory for what the parts of all tokens' heads find."""
    return tokens * heads * parts * (value_dim + 2) * f32.bytes


def row_tile(rows: int) -> int:
    """Rows that share each key or value in registers."""
    return min(ROW_TILE, rows)


def tile_rows(tokens: int, heads_per_kv: int) -> int:
    """Rows of a tile, padded to whole register tiles."""
    rows = tokens * heads_per_kv
    return -(-rows // row_tile(rows)) * row_tile(rows)


def scratch_bytes(tokens: int, heads_per_kv: int, head_dim: int, latent: int) -> int:
    """Scratch memory of a worker."""
    floats = head_dim + (latent or head_dim) + SPAN + OnlineSoftmax.FLOATS_PER_ROW
    return tile_rows(tokens, heads_per_kv) * floats * f32.bytes


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
    found=Array(f32),  # what each part found, where there are several
)
def attend(
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
    parts: int,
    key_type: str,
    value_type: str,
    change: str,
    has_sinks: bool,
) -> None:
    """Softmax(scale * query * keys) * values over the cells that each token may see."""
    task, part = task // parts, task % parts
    tile, head = task // a.kv_heads, task % a.kv_heads
    first, count = (step.tiles[tile * 2 + i].to(i64) for i in range(2))
    slab = step.slabs[first].to(i64)
    last = step.positions[first + count - 1].to(i64)
    begin, share = _split(k, step.positions[first].to(i64), last, a.window, parts)
    start = begin + part * share
    stop = k.min(start + share, last + 1)
    types = CACHE_TYPES[key_type], CACHE_TYPES[value_type]
    keys, values = (side.head(slab, head) for side in sides_of(a, *types, head_dim, latent))
    with k.when(start < stop):
        rows = tile_rows(tokens, heads_per_kv)
        work = _Work(k, a, step, thread, head_dim, latent or head_dim, heads_per_kv, rows)
        score = work.score_latents if latent else work.score
        work.load_queries(first, count, head, part if has_sinks else None)
        with k.loop(start, stop, SPAN) as cell:
            cells = k.min(stop - cell, k.const(i64, SPAN))
            score(keys, cell, cells)
            work.weigh(first, count, cell, cells, change, head)
            work.add_values(values, cell, cells)
        if parts == 1:
            work.write(first, count, head)
        else:
            with k.either(share > last - begin) as (whole, partial):
                with whole:
                    work.write(first, count, head)
                with partial:
                    work.write_found(first, count, head, part, parts)


def _split(
    k: Builder, position: Value, last: Value, window: Value, parts: int
) -> tuple[Value, Value]:
    """Where the cells begin that a tile's tokens see, and how many of them make a part."""
    begin = k.max(position - window + 1, 0) // CELL_MULTIPLE * CELL_MULTIPLE
    if parts == 1:
        return begin, last + 1 - begin
    share = (last + parts - begin) // parts
    return begin, k.max((share + (SPAN - 1)) // SPAN * SPAN, PART_CELLS)


@kernel(
    found=Array(f32),
    out=Array(f32),  # (tokens, heads, value_dim)
    heads=i64,
    window=i64,
)
def merge_parts(
    k: Builder, a: Fields, step: Fields, *, task: Value, thread: Value, value_dim: int, parts: int
) -> None:
    """What the parts of one head of one token found becomes its output, if there are several."""
    lanes = k.lanes_that_divide(value_dim)
    position = step.positions[task // a.heads].to(i64)
    begin, share = _split(k, position, position, a.window, parts)
    used = (position - begin) // share + 1
    found = a.found.at(task * (parts * (value_dim + 2)))
    with k.when(used > 1):
        largest = k.variable(k.const(f32, LOWEST))
        with k.loop(used) as part:
            largest.value = k.max(largest.value, found[part * (value_dim + 2) + value_dim])
        total = k.variable(k.zero(f32))
        out = a.out.at(task * value_dim)
        with k.loop(used) as part:
            sums = found.at(part * (value_dim + 2))
            weight = exp(k, sums[value_dim] - largest.value)
            total.value = k.fma(sums[value_dim + 1], weight, total.value)
            with k.loop(0, value_dim, lanes) as i:
                before = k.select(part > 0, out.load(i, lanes), k.zero(f32 * lanes))
                out.store(i, k.fma(sums.load(i, lanes), k.splat(weight, lanes), before))
        inverse = 1.0 / total.value
        with k.loop(0, value_dim, lanes) as i:
            out.store(i, out.load(i, lanes) * inverse)


class _Work:
    """The scratch memory of one task and the steps that work on it."""

    def __init__(
        self,
        k: Builder,
        a: Fields,
        step: Fields,
        thread: Value,
        head_dim: int,
        value_dim: int,
        heads_per_kv: int,
        rows: int,
    ) -> None:
        self.k, self.a, self.step = k, a, step
        self.head_dim, self.value_dim = head_dim, value_dim
        self.heads_per_kv, self.rows, self.row_tile = heads_per_kv, rows, row_tile(rows)
        self.lanes, self.value_lanes = (k.lanes_that_divide(dim) for dim in (head_dim, value_dim))
        memory = step.scratch.at(thread * step.scratch_stride).of(f32)
        self.query = memory
        self.sums = memory.at(rows * head_dim)
        self.scores = self.sums.at(rows * value_dim)
        self.softmax = OnlineSoftmax(k, self.scores.at(rows * SPAN), rows)

    def place(self, token: Value, head: Value, r: Value) -> Value:
        """Which query head of all tokens this one is."""
        return token * (self.a.kv_heads * self.heads_per_kv) + head * self.heads_per_kv + r

    def load_queries(self, first: Value, count: Value, head: Value, part: Value | None) -> None:
        """Scaled queries; rows beyond the tile's tokens keep what they hold, which is not read.

        ``part``: which one this is, where there are sinks; the first one counts them.
        """
        k = self.k
        with k.loop(count) as t, k.loop(self.heads_per_kv) as r:
            source = self.a.query.at(self.place(first + t, head, r) * self.head_dim)
            row = t * self.heads_per_kv + r
            with k.loop(0, self.head_dim, self.lanes) as i:
                x = source.load(i, self.lanes) * self.a.scale
                self.query.store(row * self.head_dim + i, x)
            with k.loop(0, self.value_dim, self.value_lanes) as i:
                self.sums.store(row * self.value_dim + i, k.zero(f32 * self.value_lanes))
            sink = None
            if part is not None:
                sink = self.a.sinks[head * self.heads_per_kv + r]
                sink = k.select(part.equals(0), sink, k.const(f32, LOWEST))
            self.softmax.start(row, sink)

    def score(self, keys: Head, cell: Value, cells: Value) -> None:
        """Scores of every row with ``cells`` cells from ``cell`` on, some blocks at a time."""
        k, tile = self.k, self.row_tile
        vectors = CELLS // min(CELLS, k.f32_lanes)
        blocks = max(1, min(ACCUMULATORS // (tile * vectors), CELL_MULTIPLE // CELLS))
        with k.loop(0, cells, blocks * CELLS) as c, k.loop(0, self.rows, tile) as row:
            places = [keys.at(cell + c + b * CELLS) for b in range(blocks)]
            for b, column in enumerate(self._products(keys, places, row)):
                for r, score in enumerate(column):
                    self.scores.store((row + r) * SPAN + c + b * CELLS, score)

    def _products(self, keys: Head, places: list[Pointer], row: Value) -> list[list[Value]]:
        """Products of the rows of a tile with some blocks of keys: (CELLS,) of each."""
        k, type, tile = self.k, keys.type, range(self.row_tile)
        sums = [[k.variable(k.zero(f32 * CELLS)) for _ in tile] for _ in places]
        n = type.groups(self.head_dim)
        with k.loop(n) as g:
            groups = [type.keys(k, place, g, self.head_dim) for place in places]
            query = self.query.at(row * self.head_dim + g * (self.head_dim // n))
            rows = groups[0].rows
            unroll = gcd(type.unroll, rows)
            with k.loop(0, rows, unroll) as at:
                for group in groups:
                    prefetch_ahead(k, group.place(at), unroll * type.row_bytes)
                for ahead in range(unroll):
                    loaded = [group.load(at, ahead) for group in groups]
                    for part, elements in enumerate(zip(*loaded, strict=True)):
                        element = at + (ahead + part * rows)
                        for r in tile:
                            q = k.splat(query[element + r * self.head_dim], CELLS)
                            for key, column in zip(elements, sums, strict=True):
                                column[r].value = k.fma(key, q, column[r].value)
        return [[total.value for total in column] for column in sums]

    def score_latents(self, keys: Head, cell: Value, cells: Value) -> None:
        """The same where every cell's elements stand together, some cells at a time."""
        k, tile, type = self.k, self.row_tile, keys.type
        group = max(self.lanes, type.group)
        parts = range(0, group, self.lanes)
        n = ACCUMULATORS // tile
        with k.loop(0, cells, n) as c:
            places = [keys.at(cell + c + i) for i in range(n)]
            with k.loop(0, n * type.head_bytes(self.head_dim), LINE_BYTES) as byte:
                prefetch_ahead(k, places[0].at(byte), LINE_BYTES)
            with k.loop(0, self.rows, tile) as row:
                sums = [[k.variable(k.zero(f32 * self.lanes)) for _ in range(tile)] for _ in places]
                with k.loop(0, self.head_dim, group) as start:
                    for part in parts:
                        latents = [type.values(k, p, start, part, self.lanes) for p in places]
                        for r in range(tile):
                            at = (row + r) * self.head_dim + start + part
                            query = self.query.load(at, self.lanes)
                            for latent, of_cell in zip(latents, sums, strict=True):
                                of_cell[r].value = k.fma(latent, query, of_cell[r].value)
                for i, of_cell in enumerate(sums):
                    for r, total in enumerate(of_cell):
                        self.scores[(row + r) * SPAN + c + i] = total.value.sum()

    def weigh(
        self, first: Value, count: Value, cell: Value, cells: Value, change: str, head: Value
    ) -> None:
        """Scores become weights, in place."""
        k, live_rows = self.k, count * self.heads_per_kv

        def scores_of(row: Value) -> Scores:
            position = self.step.positions[first + row // self.heads_per_kv].to(i64)
            return Scores(self.scores.at(row * SPAN), cells, cell, position, self.a.window)

        with k.loop(live_rows) as row:
            scores = scores_of(row)
            query_head = head * self.heads_per_kv + row % self.heads_per_kv
            changed = score_change(k, self.a, change, query_head, scores.position)
            if changed:
                scores.change(changed)
            self.softmax.find_largest(row, scores)
        self.softmax.rescale_rows(0, self.rows)
        with k.loop(live_rows) as row:
            scores = scores_of(row)

            def store(c: Value, weights: list[Value], place: Pointer = scores.place) -> None:
                for i, weight in enumerate(weights):
                    place.store(c + i * k.f32_lanes, weight)

            self.softmax.weigh(row, scores, store)

    def add_values(self, values: Head, cell: Value, cells: Value) -> None:
        """Add the weighted values of the cells to the sums."""
        k, type, dim, tile = self.k, values.type, self.value_dim, self.row_tile
        span = max(
            n * self.value_lanes
            for n in (1, 2, 4, 8)
            if n * tile <= ACCUMULATORS and dim % (n * self.value_lanes) == 0
        )
        group = max(span, type.group)
        with k.loop(0, self.rows, tile) as row, k.loop(0, dim, group) as start:
            is_first_pass = row.equals(0) & start.equals(0)
            for part in range(0, group, span):
                places = [self.sums.at((row + r) * dim + start + part) for r in range(tile)]
                sums = [
                    k.variable(place.load(0, span) * self.softmax.rescale[row + r])
                    for r, place in enumerate(places)
                ]
                with k.loop(cells) as c:
                    place = values.at(cell + c)
                    with k.when(is_first_pass):  # the others find in cache what it asked for
                        prefetch_ahead(k, place, type.head_bytes(dim))
                    x = type.values(k, place, start, part, span)
                    for r, total in enumerate(sums):
                        total.value = k.fma(self.scores[(row + r) * SPAN + c], x, total.value)
                for place, total in zip(places, sums, strict=True):
                    place.store(0, total.value)

    def write_found(self, first: Value, count: Value, head: Value, part: Value, parts: int) -> None:
        """Keep the sums as they are, with the largest score and the sum of the weights."""
        k, dim, lanes = self.k, self.value_dim, self.value_lanes
        with k.loop(count) as t, k.loop(self.heads_per_kv) as r:
            row = t * self.heads_per_kv + r
            place = self.place(first + t, head, r)
            found = self.a.found.at((place * parts + part) * (dim + 2))
            with k.loop(0, dim, lanes) as i:
                found.store(i, self.sums.load(row * dim + i, lanes))
            found[dim], found[dim + 1] = self.softmax.largest[row], self.softmax.total[row]

    def write(self, first: Value, count: Value, head: Value) -> None:
        """Divide by the sum of the weights."""
        k, dim, lanes = self.k, self.value_dim, self.value_lanes
        with k.loop(count) as t, k.loop(self.heads_per_kv) as r:
            row = t * self.heads_per_kv + r
            out = self.a.out.at(self.place(first + t, head, r) * dim)
            inverse = 1.0 / self.softmax.total[row]
            with k.loop(0, dim, lanes) as i:
                out.store(i, self.sums.load(row * dim + i, lanes) * inverse)
