"""The int8 records of decode matmuls."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_cases.case import Launch, run
from kernel_cases.memory import Memory
from numpy.typing import NDArray

from pyllama.kernels.activation import quantize, quantize_meaning, record_bytes
from pyllama.kernels.jit import Library
from pyllama.kernels.orders import DIGITS, EIGHTHS, GROUP, HALVES, PLAIN, QUARTERS, STRIPES, Order

WIDTHS = (32, 64, 96, 160, 256, 1056)

ORDERS = (STRIPES, QUARTERS, EIGHTHS, HALVES)


def activations(width: int) -> NDArray[np.float32]:
    """Rows of ordinary, huge, tiny and equal numbers, zeros, and one lonely spike."""
    rng = np.random.default_rng(width)
    x = rng.normal(0, 1, (8, width)).astype(np.float32)
    x[1] *= np.float32(1e30)
    x[2] *= np.float32(1e-30)
    x[3], x[4] = 0, -2.5
    x[5, 1:] = 0
    x[6] = rng.integers(-127, 128, width) / 2  # ties
    x[6, ::32] = 127
    return x


def quantized(
    library: Library, x: NDArray[np.float32], order: Order = PLAIN
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """What records hold: (tokens, groups * fields) floats and q as it is stored."""
    memory, (tokens, width) = Memory(), x.shape
    record, spans = record_bytes(width, order), order.padded(width) // order.span
    out = memory.empty((tokens, record), np.uint8)
    arguments = {"x": memory.copy(x), "out": out, "width": width, "record": record}
    run(library, Launch(quantize(order=order), tokens, arguments))
    memory.check()
    start, size = spans * order.bytes, spans * order.groups * order.fields * 4
    assert (out[:, start + size :] == 0xFF).all()
    return out[:, start:][:, :size].copy().view(np.float32), out[:, :start].view(np.int8)


@pytest.mark.parametrize("width", WIDTHS)
def test_records(width: int, library: Library) -> None:
    x = activations(width)
    floats, got = quantized(library, x)
    q, d = quantize_meaning(x)
    np.testing.assert_array_equal(got, q)
    halves = q.reshape(*d.shape, 2, 16).sum(axis=3) * d[..., None]
    whole = halves.sum(axis=2, dtype=np.float32)
    expected = np.concatenate([d, whole, halves.reshape(len(x), -1)], axis=1)
    np.testing.assert_array_equal(floats, expected.astype(np.float32))


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("width", [256, 1280])
def test_ordered_records_hold_the_same(width: int, order: Order, library: Library) -> None:
    x = activations(width)
    floats, got = quantized(library, x, order)
    expected, q = quantized(library, np.pad(x, ((0, 0), (0, order.padded(width) - width))))
    np.testing.assert_array_equal(got, order.arranged(q))
    groups = q.shape[1] // GROUP
    np.testing.assert_array_equal(floats[:, :groups], expected[:, :groups])
    if order.lift:
        np.testing.assert_array_equal(floats[:, groups:].view(np.int32), order.starts(q))
    else:
        np.testing.assert_array_equal(floats[:, groups:], expected[:, groups:])


@pytest.mark.parametrize("width", [256, 1280])
def test_columns_are_quantized_by_themselves(width: int, library: Library) -> None:
    x = activations(width)
    x[7, ::16] *= 100
    floats, got = quantized(library, x, DIGITS)
    q, d = quantize_meaning(x, DIGITS)
    np.testing.assert_array_equal(got, DIGITS.arranged(q))
    np.testing.assert_array_equal(floats[:, : d.shape[1]], d)
    np.testing.assert_array_equal(floats[:, d.shape[1] :].view(np.int32), DIGITS.starts(q))


@pytest.mark.parametrize("order", [*ORDERS, DIGITS], ids=str)
def test_an_order_loses_no_number(order: Order) -> None:
    numbers = np.arange(1, order.span + 1, dtype=np.int16)
    arranged = order.arranged(numbers)
    assert len(arranged) == order.bytes
    assert sorted(arranged[arranged > 0]) == [*numbers]


@pytest.mark.parametrize("order", [EIGHTHS, HALVES, DIGITS], ids=str)
def test_starts_take_back_the_lift(order: Order) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(-127, 128, 2 * order.span)
    starts = order.starts(x).reshape(2, order.parts, -1)
    lanes = order.arranged(x).reshape(2, order.parts, -1, 16, 4)
    np.testing.assert_array_equal(starts, -order.lift * lanes.sum(axis=(2, 4)))


def test_a_stripe_is_a_run_of_each_group() -> None:
    striped = STRIPES.arranged(np.arange(512, dtype=np.int16))
    assert [*striped[:17]] == [*range(8), *range(32, 40), 64]
    assert [striped[i] for i in (64, 192, 255, 256, 511)] == [8, 24, 255, 256, 511]


def test_a_quarter_is_every_fourth_number() -> None:
    quarters = QUARTERS.arranged(np.arange(256, dtype=np.int16))
    assert [*quarters] == [4 * i + part for part in range(4) for i in range(64)]


def test_a_lane_of_halves_is_of_one_half_group() -> None:
    lanes = HALVES.arranged(np.arange(512, dtype=np.int16)).reshape(2, 4, 16, 4)
    np.testing.assert_array_equal(lanes[0, 2, 0], [2, 8 + 2, 6, 8 + 6])
    np.testing.assert_array_equal(lanes[1, 2, 0], [16 + 6, 24 + 6, 16 + 2, 24 + 2])
    assert (lanes // 16 % 2 == np.arange(2)[:, None, None, None]).all()
    np.testing.assert_array_equal(lanes[0, 0, :, 0] // 32, np.arange(16))


def test_a_column_of_digits_is_of_the_same_bytes() -> None:
    column = DIGITS.arranged(np.arange(256, dtype=np.int16)).reshape(5, 16, 4)
    np.testing.assert_array_equal(column[:, 1, 2], [6, 32 + 6, 64 + 6, 96 + 6, 128 + 6])
    np.testing.assert_array_equal(column[:, 11, 1], [161, 177, 193, 209, 225])
    np.testing.assert_array_equal(column[:, 15, 3], [243, 247, 251, 255, 0])
    assert not column[:, 8:11].any()


def test_the_scale_of_a_column_is_that_of_its_largest_number() -> None:
    x = np.ones((1, 256), np.float32)
    x[0, 64 + 6] = -254
    q, d = quantize_meaning(x, DIGITS)
    np.testing.assert_array_equal(d[0] > 1, np.arange(16) == 1)
    small = [32 * n + i for n in range(5) for i in range(4, 8)]
    expected = np.where(np.isin(np.arange(256), small), 0, 127)
    expected[64 + 6] = -127
    np.testing.assert_array_equal(np.where(q[0] == 1, 0, q[0]), expected)


def test_records_reach_the_whole_range_and_no_further(library: Library) -> None:
    _, q = quantized(library, activations(1056))
    assert (q.min(), q.max()) == (-127, 127)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_group_that_is_no_numbers_spoils_no_other(value: float, library: Library) -> None:
    x = activations(96)
    _, sound = quantized(library, x)
    x[:, 40] = value
    _, spoiled = quantized(library, x)
    others = [*range(32), *range(64, 96)]
    np.testing.assert_array_equal(spoiled[:, others], sound[:, others])


def test_numpy_meaning_is_within_half_a_step() -> None:
    x = activations(256)[[0, 1, 3, 4, 5]]
    q, d = quantize_meaning(x)
    steps = d.repeat(32, axis=1)
    assert (np.abs(q * steps - x) <= steps * 0.5001).all()
