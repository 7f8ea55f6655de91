"""The recipes that ``quantize`` knows: which tensor type each is made of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pyllama.errors import UsageError
from pyllama.gguf.file_types import FileType
from pyllama.gguf.types import TensorType

FLOAT_TYPES = frozenset({TensorType.F32, TensorType.F16, TensorType.BF16})

BASE_TYPES: Mapping[FileType, TensorType] = MappingProxyType(
    {
        FileType.F32: TensorType.F32,
        FileType.F16: TensorType.F16,
        FileType.BF16: TensorType.BF16,
        FileType.Q4_0: TensorType.Q4_0,
        FileType.Q4_1: TensorType.Q4_1,
        FileType.Q5_0: TensorType.Q5_0,
        FileType.Q5_1: TensorType.Q5_1,
        FileType.Q8_0: TensorType.Q8_0,
        FileType.Q2_K: TensorType.Q2_K,
        FileType.Q2_K_S: TensorType.Q2_K,
        FileType.Q3_K_S: TensorType.Q3_K,
        FileType.Q3_K_M: TensorType.Q3_K,
        FileType.Q3_K_L: TensorType.Q3_K,
        FileType.Q4_K_S: TensorType.Q4_K,
        FileType.Q4_K_M: TensorType.Q4_K,
        FileType.Q5_K_S: TensorType.Q5_K,
        FileType.Q5_K_M: TensorType.Q5_K,
        FileType.Q6_K: TensorType.Q6_K,
        FileType.IQ1_S: TensorType.IQ1_S,
        FileType.IQ1_M: TensorType.IQ1_M,
        FileType.IQ2_XXS: TensorType.IQ2_XXS,
        FileType.IQ2_XS: TensorType.IQ2_XS,
        FileType.IQ2_S: TensorType.IQ2_XS,
        FileType.IQ2_M: TensorType.IQ2_S,
        FileType.IQ3_XXS: TensorType.IQ3_XXS,
        FileType.IQ3_XS: TensorType.IQ3_S,
        FileType.IQ3_S: TensorType.IQ3_S,
        FileType.IQ3_M: TensorType.IQ3_S,
        FileType.IQ4_NL: TensorType.IQ4_NL,
        FileType.IQ4_XS: TensorType.IQ4_XS,
        FileType.TQ1_0: TensorType.TQ1_0,
        FileType.TQ2_0: TensorType.TQ2_0,
        FileType.MXFP4_MOE: TensorType.MXFP4,
    }
)
"""The type of the tensors that no rule of the recipe gives another one."""

_ALIASES = {
    "Q3_K": FileType.Q3_K_M,
    "Q4_K": FileType.Q4_K_M,
    "Q5_K": FileType.Q5_K_M,
    "MXFP4": FileType.MXFP4_MOE,
}

_TENSOR_TYPES = {type.name: type for type in TensorType}


def parse_recipe(text: str) -> FileType | None:
    """A recipe by its name, in any case, or its number; None where there is no such recipe."""
    name = text.strip().upper()
    if name.isascii() and name.isdigit():
        return next((r for r in BASE_TYPES if r.value == int(name)), None)
    if name in _ALIASES:
        return _ALIASES[name]
    return next((recipe for recipe in BASE_TYPES if recipe.name == name), None)


def parse_tensor_type(text: str) -> TensorType:
    """A tensor type by its name in any case: ``q5_K``. Raises UsageError for another text."""
    type = _TENSOR_TYPES.get(text.strip().upper())
    if type is None:
        known = ", ".join(sorted(t.label for t in TensorType))
        raise UsageError(f"{text!r:.40} is no tensor type; known: {known}")
    return type
