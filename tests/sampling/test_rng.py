"""The generator against the C++ standard and libstdc++."""

from __future__ import annotations

import ctypes

import pytest

from pyllama.errors import UsageError
from pyllama.sampling.rng import Mt19937, resolve_seed


def test_the_standards_ten_thousandth_number() -> None:
    random = Mt19937(5489)  # std::mt19937's default seed
    for _ in range(9999):
        random.word()
    assert random.word() == 4123659995  # [rand.predef] of the C++ standard


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (5489, [0.1354770042967805, 0.8350085899945795, 0.96886777112423139]),
        (0, [0.59284461651668263, 0.84426574425659828, 0.85794561998982988]),
        (42, [0.79654298428784598, 0.18343478789336848, 0.77969099761266125]),
        (4294967294, [0.10184899170898529, 0.94789751258733013, 0.82893340139475558]),
    ],
)
def test_doubles_of_libstdcxx(seed: int, expected: list[float]) -> None:
    """Printed by g++ 12: uniform_real_distribution<double>(0, 1) over mt19937(seed)."""
    random = Mt19937(seed)
    assert [random.uniform() for _ in expected] == expected


def test_reset_starts_anew_in_the_same_place() -> None:
    random = Mt19937(42)
    place = random.native
    first = [random.word() for _ in range(700)]
    random.reset()
    assert [random.word() for _ in range(700)] == first
    assert random.native == place


def test_native_code_takes_the_next_words() -> None:
    random, again = Mt19937(42), Mt19937(42)
    function, generator = random.native
    next_word = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)(function)
    words = [next_word(generator), random.word(), next_word(generator)]
    assert words == [again.word() for _ in range(3)]


def test_a_double_is_always_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Mt19937(0)
    monkeypatch.setattr(random, "word", lambda: 2**32 - 1)
    assert 0.999 < random.uniform() < 1


def test_seeds() -> None:
    assert resolve_seed(0) == 0
    assert resolve_seed(4294967294) == 4294967294
    drawn = {resolve_seed(-1) for _ in range(8)} | {resolve_seed(4294967295) for _ in range(8)}
    assert len(drawn) > 1
    assert all(0 <= seed < 2**32 - 1 for seed in drawn)
    for seed in (-2, 2**32):
        with pytest.raises(UsageError, match="seed"):
            resolve_seed(seed)
