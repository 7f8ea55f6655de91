"""One step of a model: which tokens it computes, and the memory and code that compute it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pyllama.cache import zeros
from pyllama.graph.mode import Mode
from pyllama.graph.plan import Buffer, External, Plan, Program
from pyllama.kernels.jit import Library
from pyllama.kernels.kernel import STEP

_PAGE = 4096

_SINGLE = np.array([0, 0, 0, 0, 0, 1], np.int32)
"""Token, position, sequence, output, and the tile of a step of one token."""


@dataclass(frozen=True)
class Batch:
    """The tokens of a step: (n,) ids, positions and sequences, and the (m,) rows to have logits.

    Tokens of one sequence that are neighbours in it stand next to each other.
    """

    tokens: NDArray[np.integer]
    positions: NDArray[np.integer]
    sequences: NDArray[np.integer]
    outputs: NDArray[np.integer]

    @classmethod
    def of_neighbours(
        cls, tokens: NDArray[np.integer], first: int, sequence: int, n_logits: int
    ) -> Batch:
        """Tokens of one sequence from position ``first`` on; logits of the last ``n_logits``."""
        n = len(tokens)
        outputs = np.arange(n - n_logits, n)
        return cls(tokens, np.arange(first, first + n), np.full(n, sequence), outputs)

    def tiles(self, most: int) -> list[tuple[int, int]]:
        """First token and number of tokens of runs of at most ``most`` neighbours."""
        starts: list[int] = []
        after: tuple[int, int] | None = None  # what the next token must be to belong to the run
        for i, (sequence, position) in enumerate(
            zip(self.sequences.tolist(), self.positions.tolist(), strict=True)
        ):
            if (sequence, position) != after or i - starts[-1] == most:
                starts.append(i)
            after = sequence, position + 1
        return [(a, b - a) for a, b in pairwise([*starts, len(self.tokens)])]


class BoundProgram:
    """A plan for one mode with its memory and the arrays that describe a step."""

    def __init__(
        self,
        plan: Plan,
        mode: Mode,
        library: Library,
        threads: int,
        n_vocab: int,
        external: Callable[[External], int],
    ) -> None:
        """``external``: addresses of the memory that outlives a step."""
        self.mode = mode
        self.arena = zeros(plan.arena_bytes, "buffers")
        self.program = Program(plan, library, self.arena, external)
        stride = -(-max(plan.scratch_bytes, 1) // _PAGE) * _PAGE
        self.scratch = zeros(stride * threads, "scratch buffers")
        logits = self.memory(plan.result)[: mode.outputs * n_vocab * 4]
        self.logits = logits.view(np.float32).reshape(mode.outputs, n_vocab)
        self._tokens, self._positions, self._slabs, self._outputs = (
            np.zeros(mode.tokens, np.int32) for _ in range(4)
        )
        self._tiles = np.zeros((mode.tokens, 2), np.int32)
        arrays = (self._tokens, self._positions, self._slabs, self._outputs, self._tiles)
        self._step = self._describe(0, arrays, stride)
        token, position, slab, output, tile = np.split(_SINGLE.copy(), range(1, 5))
        self._single_step = self._describe(1, (token, position, slab, output, tile), stride)
        self._single = token.data, position.data, slab.data

    def _describe(
        self, count: int, arrays: Sequence[NDArray[np.int32]], stride: int
    ) -> NDArray[np.int64]:
        """A ``STEP`` of so many tokens, outputs and tiles, which the arrays tell about."""
        names = ("tokens", "positions", "slabs", "outputs", "tiles")
        places = {name: array.ctypes.data for name, array in zip(names, arrays, strict=True)}
        counts = dict.fromkeys(("n_tokens", "n_outputs", "n_tiles"), count)
        memory = {"scratch": self.scratch.ctypes.data, "scratch_stride": stride}
        return STEP.pack({**counts, **places, **memory})

    def memory(self, buffer: Buffer) -> NDArray[np.uint8]:
        """The bytes of a buffer of the plan."""
        place = self.program.plan.offsets[buffer]
        return self.arena[place : place + buffer.n_bytes]

    def prepare(self, batch: Batch) -> NDArray[np.int64]:
        """Describe a step: the ``STEP`` that native code reads, valid until the next call."""
        n, m = len(batch.tokens), len(batch.outputs)
        self._tokens[:n] = batch.tokens
        self._positions[:n] = batch.positions
        self._slabs[:n] = batch.sequences
        self._outputs[:m] = batch.outputs
        tiles = batch.tiles(self.program.plan.tile_tokens)
        self._tiles[: len(tiles)] = tiles
        self._step[:3] = n, m, len(tiles)
        return self._step

    def prepare_single(self, token: int, position: int, sequence: int) -> NDArray[np.int64]:
        """The same for one token whose logits are wanted, without a call of NumPy."""
        tokens, positions, slabs = self._single
        tokens[0], positions[0], slabs[0] = token, position, sequence
        return self._single_step
