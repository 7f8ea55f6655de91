"""A session: one caller's sequences of tokens on a shared model, and the steps that extend them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pyllama.cache import KVCache, RopeTables, cache_layout, most_positions
from pyllama.errors import CapacityError, UsageError
from pyllama.graph.cpu import plan_for_cpu
from pyllama.graph.graph import Graph
from pyllama.graph.mode import MATVEC_TOKENS, CacheLayout, Mode
from pyllama.graph.plan import External, Plan
from pyllama.model import Model
from pyllama.placement import ANYWHERE, Placement
from pyllama.step import Batch, BoundProgram
from pyllama.threads import WorkerPool, default_threads

Tokens = Sequence[int] | NDArray[np.integer]

ALL_LOGITS_TOKENS = 64
"""Tokens a step when the logits of all are wanted: what they take is tokens * n_vocab * 4 bytes."""


class Session:
    """The state of one caller: cached keys and values, buffers, bound programs. Not thread-safe,
    but any number of sessions may run on one model at the same time.
    """

    def __init__(
        self,
        model: Model,
        context: int = 4096,
        batch: int = 2048,
        ubatch: int = 512,
        threads: int | None = None,
        cache_type: str = "f16",
        cache_type_v: str | None = None,
        sequences: int = 1,
        threads_batch: int | None = None,
        placements: tuple[Placement, Placement] = (ANYWHERE, ANYWHERE),
    ) -> None:
        """Allocate memory and compile what is not compiled yet.

        context: positions that each of ``sequences`` may have. batch, ubatch: tokens that are
        handed over and computed at a time. cache_type: one of ``CACHE_TYPES``, for keys, and for
        values unless ``cache_type_v`` differs. threads: by default as many as suit the machine; for
        steps of several tokens ``threads_batch``, by default the same. placements: which CPUs the
        threads of either kind of step run on.

        Raises UsageError for sizes out of range, CapacityError when there is not enough memory.
        """
        for name, value in (("context", context), ("batch", batch), ("ubatch", ubatch)):
            if value < 1:
                raise UsageError(f"{name} is {value}; it must be at least 1")
        limit = most_positions(model.graph)
        if limit is not None and context > limit:
            raise UsageError(f"the model has positions for {limit} tokens, not for {context} (-c)")
        self.model, self.context, self._n_vocab = model, context, model.n_vocab
        self.ubatch = min(ubatch, batch, context * sequences)
        self.lengths = [0] * sequences
        one, several = placements
        self._workers = model.workers(threads or default_threads()[0], one)
        self._batch_workers = model.workers(threads_batch or self._workers.threads, several)
        self._layout = cache_layout(context, sequences, cache_type, cache_type_v or cache_type)
        self._cache = KVCache(model.graph, self._layout)
        self._rope = RopeTables(model.graph, context, model.rope)
        self._programs: dict[Mode, BoundProgram] = {}
        for tokens in {1, min(MATVEC_TOKENS, self.ubatch), self.ubatch}:
            self._program(Mode(tokens, outputs=1))
        self._single = self._program(Mode(1, outputs=1))
        self._single_logits: NDArray[np.float32] = self._single.logits[0]

    @property
    def n_past(self) -> int:
        """Tokens that the first sequence holds."""
        return self.lengths[0]

    @property
    def cache_bytes(self) -> int:
        """Bytes of the cached keys and values when the context is full."""
        return self._cache.n_bytes

    def evaluate(
        self, tokens: Tokens, all_logits: bool = False, sequence: int = 0
    ) -> NDArray[np.float32]:
        """Append tokens to a sequence and compute the logits of what may follow.

        Returns (n_vocab,) float32 for the last token, or (tokens, n_vocab) for each of them. When
        the call is interrupted the sequence stays as it was.

        Raises CapacityError when the tokens do not fit into the context, UsageError for ids out of
        range, Interrupted after ``abort``.
        """
        ids = np.asarray(tokens, np.int64)
        start = self.lengths[sequence]
        self._check(ids, start)
        self._rope.prepare(start, start + len(ids))
        size = min(self.ubatch, ALL_LOGITS_TOKENS) if all_logits else self.ubatch
        rows = []
        for at in range(0, len(ids), size):
            part = ids[at : at + size]
            is_last = at + len(part) == len(ids)
            n_logits = len(part) if all_logits else int(is_last)
            mode = Mode(size, size) if all_logits else self._mode(len(part))
            batch = Batch.of_neighbours(part, start + at, sequence, n_logits)
            rows.append(self._step(batch, mode))
        self.lengths[sequence] = start + len(ids)
        return np.concatenate(rows) if all_logits else rows[-1][0]

    def advance(self, token: int, sequence: int = 0) -> NDArray[np.float32]:
        """Append one token to a sequence and compute the logits of what may follow.

        What ``evaluate`` does of it, with little Python: a small model's step takes less than
        NumPy's calls. Returns (n_vocab,) float32, the session's own memory: the next step of a
        single token overwrites it. Raises what ``evaluate`` raises.
        """
        position = self.lengths[sequence]
        if not 0 <= token < self._n_vocab or position >= self.context:
            self._check(np.array([token]), position)
        if position >= self._rope.ready:
            self._rope.prepare(position, position + 1)
        program = self._single
        step = program.prepare_single(token, position, sequence)
        self._workers.run(program.program, step, self)
        self.lengths[sequence] = position + 1
        return self._single_logits

    def truncate(self, length: int, sequence: int = 0) -> None:
        """Forget all but the first ``length`` tokens of a sequence."""
        if not 0 <= length <= self.lengths[sequence]:
            raise UsageError(f"cannot keep {length} of {self.lengths[sequence]} tokens")
        self.lengths[sequence] = length

    def reset(self) -> None:
        """Forget all tokens of all sequences."""
        self.lengths = [0] * len(self.lengths)

    def state(self, length: int) -> Iterator[NDArray[np.uint8]]:
        """Cached keys and values of the first sequence's first tokens, layer by layer.

        Views (kv_heads, groups, bytes) uint8 of the session's own memory, a group being CELLS
        tokens; of order and sizes that depend on model, cache types and ``length`` alone. Raises
        UsageError for more tokens than fit.
        """
        if not 0 <= length <= self.context:
            raise UsageError(f"{length} tokens do not fit into a context of {self.context}")
        return self._cache.cells(length)

    def restore(self, length: int, pieces: Iterable[NDArray[np.uint8]]) -> None:
        """Let the first sequence hold ``length`` tokens, whose ``state`` was the ``pieces``."""
        for own, saved in zip(self.state(length), pieces, strict=True):
            own[:] = saved
        self.lengths[0] = length

    def abort(self) -> None:
        """Make a running ``evaluate`` raise Interrupted soon; may be called from any thread."""
        for pool in (self._workers, self._batch_workers):
            pool.abort(self)

    def _check(self, ids: NDArray[np.int64], start: int) -> None:
        n_vocab = self._n_vocab
        if ids.ndim != 1 or not len(ids):
            raise UsageError("at least one token is needed")
        if ids.min() < 0 or ids.max() >= n_vocab:
            raise UsageError(f"token ids must lie between 0 and {n_vocab - 1}")
        if start + len(ids) > self.context:
            raise CapacityError(
                f"{len(ids)} tokens do not fit: the context of {self.context} tokens has "
                f"{self.context - start} left; ask for a larger one (-c)"
            )

    def _check_batch(self, batch: Batch, mode: Mode) -> None:
        n = len(batch.tokens)
        if not 0 < n <= mode.tokens or len(batch.outputs) > mode.outputs:
            raise UsageError(f"the batch has {n} tokens and {len(batch.outputs)} outputs")
        bounds = {
            "tokens": (batch.tokens, self._n_vocab),
            "positions": (batch.positions, self.context),
            "sequences": (batch.sequences, len(self.lengths)),
            "outputs": (batch.outputs, n),
        }
        for name, (values, end) in bounds.items():
            if len(values) and (values.min() < 0 or values.max() >= end):
                raise UsageError(f"the {name} of a batch must lie between 0 and {end - 1}")

    def _mode(self, count: int) -> Mode:
        few = min(MATVEC_TOKENS, self.ubatch)
        return Mode(1 if count == 1 else few if count <= few else self.ubatch, outputs=1)

    def _step(self, batch: Batch, mode: Mode) -> NDArray[np.float32]:
        """Logits (outputs, n_vocab) of one step."""
        program = self._program(mode)
        self._pool(mode).run(program.program, program.prepare(batch), owner=self)
        return program.logits[: len(batch.outputs)].copy()

    def _pool(self, mode: Mode) -> WorkerPool:
        return self._workers if mode.tokens == 1 else self._batch_workers

    def _program(self, mode: Mode) -> BoundProgram:
        if mode not in self._programs:
            self._programs[mode] = self.bind(self.plan(mode), mode)
        return self._programs[mode]

    def plan(self, mode: Mode, graph: Graph | None = None) -> Plan:
        """What a step of a mode launches, with memory assigned; by default of the model's graph."""
        isa = self.model.library.isa
        threads = self._pool(mode).threads
        return plan_for_cpu(graph or self.model.graph, mode, self._layout, isa, threads)

    def bind(
        self,
        plan: Plan,
        mode: Mode,
        external: Callable[[External], int] | None = None,
        result_width: int | None = None,
    ) -> BoundProgram:
        """A plan for the mode with memory of its own and addresses.

        ``external`` takes the place of the method, ``result_width`` that of the vocabulary's size.
        """
        model = self.model
        threads = self._pool(mode).threads
        width = result_width or model.n_vocab
        return BoundProgram(plan, mode, model.library, threads, width, external or self.external)

    def run(self, program: BoundProgram, batch: Batch) -> None:
        """Compute a step of any tokens of any sequences, whose lengths stay as they are.

        Raises UsageError for numbers out of range or too many of them, Interrupted after ``abort``.
        """
        self._check_batch(batch, program.mode)
        positions = batch.positions
        self._rope.prepare(int(positions.min()), int(positions.max()) + 1)
        self._pool(program.mode).run(program.program, program.prepare(batch), owner=self)

    def rehearse(self, program: BoundProgram, tokens: Tokens) -> None:
        """Compute a step of tokens that follow the first sequence, which does not keep them.

        Raises what ``evaluate`` raises.
        """
        ids, start = np.asarray(tokens, np.int64), self.lengths[0]
        self._check(ids, start)
        self._rope.prepare(start, start + len(ids))
        batch = Batch.of_neighbours(ids, start, sequence=0, n_logits=1)
        self._pool(program.mode).run(program.program, program.prepare(batch), owner=self)

    def external(self, memory: External) -> int:
        """Address of memory that a plan refers to by name."""
        match memory.kind:
            case "weight":
                return int(self.model.weight(memory.name).ctypes.data) + memory.offset
            case "vector":
                return int(self.model.vector(memory.name).ctypes.data) + memory.offset
            case "table":
                return self._rope.address(memory.name)
            case kind:
                return self._cache.address(kind, memory.name)

    @property
    def layout(self) -> CacheLayout:
        """The layout of the cache."""
        return self._layout

    @property
    def threads(self) -> int:
        """Number of threads of a step of one token."""
        return self._workers.threads
