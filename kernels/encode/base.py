"""What an encoder is: how ``LANES`` blocks of values become the bytes of blocks."""

from __future__ import annotations

from dataclasses import dataclass

from pyllama.gguf.types import TensorType
from pyllama.kernels.encode.lanes import BlockBytes, Column, Scratch
from pyllama.kernels.encode.rounding import Grid
from pyllama.kernels.language import Builder, Value
from pyllama.quants import GridName

GridKey = tuple[GridName, int]


@dataclass(frozen=True)
class Task:
    """Blocks that are encoded side by side.

    Attributes:
        values: (block size,) f32.
        weights: (block size,) f32: the importance of each value's column, which an encoder turns
            into weights; without importance memory for the weights that it makes up.
        row_square: the mean square of the row, where importance is given and it matters.
        out: the bytes to be.
        scratch: memory for more.
        grid: of encoders that have one.
    """

    k: Builder
    values: Column
    weights: Column
    row_square: Value | None
    out: BlockBytes
    scratch: Scratch
    grid: Grid | None


class Encoder:
    """Encodes a tensor type; one for each that ``pyllama.quants`` can encode in blocks."""

    type: TensorType
    takes_importance = True
    weighs_by_rows = False
    """Whether weights depend on the mean square of the whole row."""
    grid: GridKey | None = None
    """Name and distances of the grid that its kernel is given, see ``grid_tables``."""

    def encode(self, task: Task) -> None:
        """Without importance."""
        raise TypeError(f"{type(self).__name__} does not say how its blocks are encoded")

    def encode_weighted(self, task: Task) -> None:
        """With importance."""
        raise TypeError(f"{type(self).__name__} has no use for importance")


def pack(
    k: Builder,
    codes: Column,
    out: BlockBytes,
    field: str,
    count: int,
    *,
    bits: int,
    run: int,
    shift: int = 0,
    place: int = 0,
) -> None:
    """Pack bits ``shift`` to ``shift + bits`` of ``count`` codes into a field from ``place`` on.

    Meaning: ``pack_planes`` of ``pyllama.quants.bits``.
    """
    per_byte = 8 // bits
    mask = (1 << bits) - 1
    with k.loop(0, count // per_byte, run) as start, k.loop(run) as j:
        packed = None
        for plane in range(per_byte):
            code = (codes[start * per_byte + j + plane * run] >> shift & mask) << plane * bits
            packed = code if packed is None else packed | code
        assert packed is not None
        out[field, start + j + place] = packed
