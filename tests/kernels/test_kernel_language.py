"""The kernel language: operators, conversions, vectors and control flow against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kernel_cases.case import Launch, run
from kernel_cases.functions import call
from kernel_cases.memory import Memory
from numpy.typing import NDArray

from pyllama.kernels.functions import exp, sigmoid
from pyllama.kernels.jit import Library
from pyllama.kernels.kernel import Array, Fields, kernel
from pyllama.kernels.language import Builder, Value, function_ir
from pyllama.kernels.target import select
from pyllama.kernels.types import f32, i8, i16, i32, i64, u8, u16, u32

Operands = tuple[NDArray[Any], ...]

RNG = np.random.default_rng(5)
BYTES = np.array([0, 1, 127, 128, 129, 255, 3, 200], np.uint8)
SHIFTS = np.array([0, 1, 2, 3, 4, 5, 6, 7], np.uint8)
WORDS = np.array([0, 1, -1, 2**31 - 1, -(2**31), 7, -7, 1000], np.int32)
OTHERS = np.array([3, -2, 5, 7, 9, -7, -7, 33], np.int32)
FLOATS = np.array([0.0, -0.0, 1.5, 2.5, -2.5, 1e30, -3.7, np.nan], np.float32)
MORE = np.array([0.0, 0.0, 1.0, 2.5, 2.0, -1e30, np.nan, 1.0], np.float32)


@pytest.mark.parametrize(
    "operator",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a * b,
        lambda a, b: a & b,
        lambda a, b: a | b,
        lambda a, b: a ^ b,
        lambda a, b: a < b,
        lambda a, b: a <= b,
        lambda a, b: a > b,
        lambda a, b: a >= b,
        lambda a, _b: -a,
        lambda a, _b: a + 3,
        lambda a, _b: 3 - a,
        lambda a, _b: a * 3 + 1,
    ],
)
@pytest.mark.parametrize(
    "operands",
    [
        pytest.param((BYTES, BYTES[::-1]), id="u8"),
        pytest.param((BYTES.view("i1"), BYTES[::-1].copy().view("i1")), id="i8"),
        pytest.param((WORDS, OTHERS), id="i32"),
        pytest.param((WORDS.view("u4"), OTHERS.view("u4")), id="u32"),
    ],
)
def test_operators_keep_the_sign_of_the_type(
    operator: Callable[[Any, Any], Any], operands: Operands, library: Library
) -> None:
    with np.errstate(over="ignore"):
        expected = operator(*operands)
    result = expected.view(np.uint8) if expected.dtype == bool else expected
    got = call(library, lambda _, a, b: operator(a, b), operands, result)
    np.testing.assert_array_equal(got, result)


@pytest.mark.parametrize("kind", ["u1", "i1"])
def test_shift_right(kind: str, library: Library) -> None:
    values = BYTES.view(kind)
    expected = values >> SHIFTS.view(kind)
    got = call(library, lambda _, a, b: a >> b, (values, SHIFTS.view(kind)), expected)
    np.testing.assert_array_equal(got, expected)


def test_division_truncates(library: Library) -> None:
    quotient = np.trunc(WORDS / OTHERS).astype(np.int32)
    got = call(library, lambda _, a, b: a // b, (WORDS, OTHERS), quotient)
    np.testing.assert_array_equal(got, quotient)
    got = call(library, lambda _, a, b: a % b, (WORDS, OTHERS), quotient)
    np.testing.assert_array_equal(got, np.fmod(WORDS, OTHERS))


@pytest.mark.parametrize(
    "body",
    [
        lambda _k, a, b: a + b,
        lambda _k, a, b: a / b,
        lambda _k, a, _b: 2 / a,
        lambda k, a, b: k.fma(a, b, a),
        lambda k, a, _b: k.abs(a),
        lambda k, a, _b: k.sqrt(k.abs(a)),
        lambda k, a, _b: k.round(a),
    ],
    ids=["add", "divide", "reciprocal", "fma", "abs", "sqrt", "round"],
)
def test_floats(body: Callable[..., Any], library: Library) -> None:
    class Numpy:
        fma = staticmethod(lambda a, b, c: np.float32(np.float64(a) * b + c))
        abs, sqrt, round = np.abs, np.sqrt, np.rint

    with np.errstate(all="ignore"):
        expected = body(Numpy, FLOATS, MORE).astype(np.float32)
    np.testing.assert_array_equal(call(library, body, (FLOATS, MORE), expected), expected)


def test_comparisons_with_nan_are_false(library: Library) -> None:
    expected = (FLOATS < MORE).view(np.uint8)
    got = call(library, lambda _, a, b: a < b, (FLOATS, MORE), expected)
    np.testing.assert_array_equal(got, expected)


def test_extremes_take_the_second_of_unordered(library: Library) -> None:
    for name, sign in (("max", np.greater), ("min", np.less)):
        expected = np.where(sign(FLOATS, MORE), FLOATS, MORE)
        got = call(library, lambda k, a, b, n=name: getattr(k, n)(a, b), (FLOATS, MORE), expected)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("source", "scalar", "expected"),
    [
        (BYTES, i32, BYTES.astype("i4")),
        (BYTES.view("i1"), i32, BYTES.view("i1").astype("i4")),
        (BYTES.view("i1"), u16, BYTES.view("i1").astype("u2")),
        (WORDS, i8, WORDS.astype("i1")),
        (BYTES, f32, BYTES.astype("f4")),
        (BYTES.view("i1"), f32, BYTES.view("i1").astype("f4")),
        (WORDS.view("u4"), f32, WORDS.view("u4").astype("f4")),
        (FLOATS[:5], i16, FLOATS[:5].astype("i2")),
        (FLOATS[:3], u8, FLOATS[:3].astype("u1")),
        (FLOATS[:5].astype("f2"), f32, FLOATS[:5]),
    ],
    ids=str,
)
def test_conversions(
    source: NDArray[Any], scalar: Any, expected: NDArray[Any], library: Library
) -> None:
    got = call(library, lambda _, a: a.to(scalar), (source,), expected)
    np.testing.assert_array_equal(got, expected)


def test_vectors(library: Library) -> None:
    def body(k: Builder, a: Value, b: Value) -> Value:
        mixed = k.shuffle(a, b, [7, 8, 0, 15])
        table = k.table(i32, np.arange(100, 104, dtype=np.int32))
        scalars = [a.sum(), b.max(), a[2], k.lane_of(b, k.const(u32, 5)), table[3], table.load(0)]
        return k.concat([mixed, a.take([6, 6, 1, 1]), k.concat(scalars[:4]),
                         k.concat([*scalars[4:], k.const(i32, -9), k.zero(i32)])])  # fmt: skip

    a, b = np.arange(8, dtype=np.int32), np.array([4, 9, -3, 2, 0, 77, 5, 6], np.int32)
    expected = np.array([7, 4, 0, 6, 6, 6, 1, 1, 28, 77, 2, 77, 103, 100, -9, 0], np.int32)
    np.testing.assert_array_equal(call(library, body, (a, b), expected), expected)


def test_operands_of_different_types_are_refused() -> None:
    with pytest.raises(TypeError, match="i32 and f32"):
        function_ir("mixed", select(), [i32, f32], f32, lambda _, a, b: a + b)


@kernel(x=Array(i64), out=Array(i64), n=i64)
def collatz(
    k: Builder,
    a: Fields,
    step: Fields,  # noqa: ARG001
    *,
    task: Value,  # noqa: ARG001
    thread: Value,  # noqa: ARG001
) -> None:
    """Steps until 1 is reached, for every x; -1 for those below 1. Loops in loops, branches."""
    with k.loop(a.n) as i:
        x, steps = k.variable(a.x[i]), k.variable(k.zero(i64))
        with k.either(x.value < 1) as (then, otherwise):
            with then:
                steps.value = k.const(i64, -1)
            with otherwise, k.repeat() as leave_if:
                leave_if(x.value.equals(1))
                odd = (x.value % 2).differs(0)
                x.value = k.select(odd, x.value * 3 + 1, x.value // 2)
                steps.value = steps.value + 1
        with k.when(steps.value > 100):
            steps.value = k.const(i64, 100)
        a.out[i] = steps.value


def test_control_flow(library: Library) -> None:
    memory = Memory()
    x = memory.copy([1, 2, 3, 0, 27, 7, -5], np.int64)
    out = memory.empty(8, np.int64)
    run(library, Launch(collatz(), 1, {"x": x, "out": out, "n": 7}))
    assert out.tolist() == [0, 1, 7, -1, 100, 16, -1, -1]
    run(library, Launch(collatz(), 1, {"x": x, "out": out, "n": 0}))


def test_a_kernel_names_its_parameters() -> None:
    with pytest.raises(TypeError, match="static parameters"):
        collatz(columns=3)
    with pytest.raises(ValueError, match="n"):
        collatz().arguments.pack({"x": 0, "out": 0})


def test_exponential(library: Library) -> None:
    x = np.concatenate([RNG.uniform(-87, 87, 56), [0, -87, 87, -1e-8, 1, -1, 0.5, 20]])
    x = x.astype(np.float32)
    expected = np.exp(x.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(call(library, exp, (x,), expected), expected, rtol=2.5e-7)


def test_exponential_far_outside_stays_finite(library: Library) -> None:
    x = np.array([-1e30, -np.inf, -100, -87, 88, 1000, np.inf, 1e30], np.float32)
    got = call(library, exp, (x,), x)
    assert (got[:3] == got[3]).all()
    assert (got[5:] == got[4]).all()
    assert np.isfinite(got).all()


def test_sigmoid(library: Library) -> None:
    x = np.array([0, 1, -1, 20, -20, 100, -100, 0.1], np.float32)
    expected = 1 / (1 + np.exp(-x.astype(np.float64)))
    got = call(library, sigmoid, (x,), x)
    np.testing.assert_allclose(got, expected, rtol=4e-7, atol=1e-37)
