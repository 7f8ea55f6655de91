"""Runs of the kernels that convert weights, against the formats of ``pyllama.quants``."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from kernel_cases.case import Case, Launch
from kernel_cases.memory import Memory
from kernel_cases.weights import Weights
from pyllama import quants
from pyllama.gguf.types import TensorType
from pyllama.kernels.decode import NOT_FINITE, decode
from pyllama.kernels.encode import ENCODERS
from pyllama.kernels.encode.encode import encode_blocks, encode_floats
from pyllama.kernels.encode.grid_tables import grid_tables
from pyllama.kernels.encode.lanes import LANES, SCRATCH_BYTES
from pyllama.kernels.encode.weighting import mean_squares
from pyllama.quants import Floats

ROWS, COLUMNS = 7, 768
"""21 blocks of 256: a whole vector of them and some more."""

TASK_BLOCKS = 2 * LANES + 1
"""Blocks of 32 are encoded in several tasks, whose ends are in the middle of vectors."""

FLOATS = (TensorType.F16, TensorType.BF16)


@cache
def sample_rows() -> Floats:
    """Rows: bell-shaped, with outliers, on a grid, constant, with zeros, of one sign, tiny."""
    rng = np.random.default_rng(8)
    values = rng.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    values[1] *= 1 + 30 * (rng.random(COLUMNS) > 0.97)
    values[2] = np.round(values[2] * 4) / 4
    values[3] = np.repeat(values[3, ::256], 256)
    values[4, :512] = 0
    values[4, 100] = -0.0
    values[4, 600:] *= rng.random(COLUMNS - 600) > 0.5
    values[5] = np.abs(values[5])
    values[5, 300:400] *= -1
    values[6] *= np.float32(2.0) ** rng.integers(-40, 0, COLUMNS).astype(np.float32)
    return values


@cache
def sample_importance() -> Floats:
    """Of the columns; some do not matter at all."""
    rng = np.random.default_rng(9)
    importance: Floats = rng.standard_normal(COLUMNS).astype(np.float32) ** 2
    importance[64:70] = 0
    return importance


@cache
def _expected(type: TensorType, weighted: bool) -> NDArray[np.uint8]:
    return quants.quantize(sample_rows(), type, sample_importance() if weighted else None)


def encode_case(type: TensorType, weighted: bool) -> Case:
    """Encode the sample rows."""
    memory = Memory()
    values, importance = memory.copy(sample_rows()), memory.copy(sample_importance())
    squares = memory.empty(ROWS, np.float32)
    n_blocks = values.size // type.block_size
    out = memory.empty(n_blocks * type.block_bytes, np.uint8)
    step = {"scratch": memory.empty(SCRATCH_BYTES, np.uint8), "scratch_stride": SCRATCH_BYTES}
    key = ENCODERS[type].grid
    tables = grid_tables(*key) if key else None
    arguments = {
        "values": values, "n_blocks": n_blocks, "task_blocks": TASK_BLOCKS, "out": out,
        "row_blocks": COLUMNS // type.block_size, "importance": importance,
        "row_squares": squares,
        **{
            f"grid_{name}": memory.copy(getattr(tables, name)) if tables else 0
            for name in ("indices", "entries", "neighbours")
        },
    }  # fmt: skip
    rows = {"values": values, "rows": ROWS, "columns": COLUMNS, "out": squares}
    kernel = encode_blocks(type=type, weighted=weighted)
    launches = [Launch(kernel, -(-n_blocks // TASK_BLOCKS), arguments, step)]
    if weighted:
        launches.insert(0, Launch(mean_squares(), 1, rows, step))

    def compare() -> None:
        size = type.block_bytes
        wanted, got = _expected(type, weighted).reshape(-1, size), out.reshape(-1, size)
        wrong = np.flatnonzero((wanted != got).any(axis=1))
        assert not wrong.size, f"blocks {wrong[:9]} of {len(got)}: {got[wrong[0]]}"

    return Case(memory, launches, compare)


def encode_floats_case(type: TensorType, n: int) -> Case:
    """Round numbers of every kind."""
    memory, rng = Memory(), np.random.default_rng(n)
    bits = rng.integers(0, 1 << 32, n, np.uint32)
    special = [0, 1 << 31, 1, 0x7F7FFFFF, 0x477FF000, 0x33000000, 0x33000001, 0x3F808000]
    bits[: len(special)] = special[:n]
    finite = np.where((bits & 0x7F800000) == 0x7F800000, np.uint32(0), bits)
    values = memory.copy(finite.view(np.float32))
    out = memory.empty(n, np.uint16)
    launch = Launch(encode_floats(type=type), 1, {"values": values, "n": n, "out": out})

    def compare() -> None:
        np.testing.assert_array_equal(out.view(np.uint8), quants.quantize(values, type))

    return Case(memory, (launch,), compare)


def decode_case(type: TensorType, n: int, poison: float | None = None) -> Case:
    """Unpack weights; ``poison``, the last one, is not finite."""
    memory, rng = Memory(), np.random.default_rng(n)
    data = Weights(memory, type, (1, n), rng).data
    if poison is not None:
        data.view(np.float16)[-1] = poison
    out, largest = memory.empty(n, np.float32), memory.empty(1, np.uint32)
    arguments = {"data": data, "n": n, "out": out, "largest": largest}

    def compare() -> None:
        expected = quants.dequantize(data, type, (n,))
        np.testing.assert_array_equal(out, expected)
        assert largest[0] == (np.abs(expected).view(np.uint32)).max()
        assert (largest[0] < NOT_FINITE) == (poison is None)

    return Case(memory, (Launch(decode(type=type), 1, arguments),), compare)
