"""A metadata value with the type it has in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pyllama.gguf.strings import StringArray
from pyllama.gguf.types import ValueType

ALIGNMENT_KEY = "general.alignment"
MAX_KEY_BYTES = 2**16 - 1

Value = bool | int | float | str | NDArray[Any] | StringArray


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A metadata value.

    Attributes:
        type: the value's type in the file.
        value: ``int``, ``float``, ``bool``, ``str``; of an array a read-only 1-D NumPy array of
            its element type, or a ``StringArray``.
        element_type: of an array; otherwise None.
    """

    type: ValueType
    value: Value
    element_type: ValueType | None = None
