"""The random numbers of the sampler: a seed means what it means to llama.cpp.

llama.cpp draws with ``std::mt19937`` and ``std::uniform_real_distribution<double>``. The first is
fixed by the C++ standard and is the same generator, seeded the same way, as NumPy's legacy
``RandomState``. The second is left to the library; libstdc++ takes two 32-bit numbers, the first
one as the low half: (first + second * 2**32) / 2**64.
"""

from __future__ import annotations

import ctypes
import math
import secrets

import numpy as np

from pyllama.errors import UsageError

RANDOM_SEED = -1
"""The seed that asks for another seed each time; llama.cpp's ``(uint32_t) -1`` means the same."""

_LARGEST_SEED = 2**32 - 1


def resolve_seed(seed: int) -> int:
    """The seed itself, or a fresh random one for -1 and its unsigned form 4294967295.

    Raises UsageError where the seed is not a 32-bit number.
    """
    if seed in (RANDOM_SEED, _LARGEST_SEED):
        return secrets.randbelow(_LARGEST_SEED)
    if not 0 <= seed < _LARGEST_SEED:
        raise UsageError(f"seed {seed} is out of range; give 0 to {_LARGEST_SEED - 1}, or -1")
    return seed


class Mt19937:
    """``std::mt19937`` with libstdc++'s uniform doubles."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937()
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Start the numbers anew."""
        seeded = np.random.RandomState(self._seed).get_state(legacy=False)
        self._bits.state = {"bit_generator": "MT19937", "state": seeded["state"]}

    @property
    def native(self) -> tuple[int, int]:
        """Addresses: of a C function that returns the next word, and of what it is to be given."""
        interface = self._bits.ctypes
        function = ctypes.cast(interface.next_uint32, ctypes.c_void_p).value
        assert function is not None
        return function, interface.state_address

    def word(self) -> int:
        """The next 32-bit number."""
        return int(self._bits.random_raw())

    def uniform(self) -> float:
        """The next double in [0, 1)."""
        low, high = self.word(), self.word()
        value = (float(low) + float(high) * 2.0**32) / 2.0**64
        return min(value, math.nextafter(1.0, 0.0))

    def uniform_float(self) -> float:
        """The next float32 in [0, 1), from one 32-bit number, as libstdc++ makes floats."""
        value = np.float32(self.word()) / np.float32(2**32)
        return float(min(value, np.nextafter(np.float32(1), np.float32(0))))
