"""Which type each tensor of the file gets: the rules of llama.cpp's converter."""

from __future__ import annotations

from collections.abc import Iterable

from pyllama.convert.tensor import LazyTensor
from pyllama.gguf import TensorType
from pyllama.gguf.file_types import FileType

OUTPUT_TYPES = {
    "f32": FileType.F32,
    "f16": FileType.F16,
    "bf16": FileType.BF16,
    "q8_0": FileType.Q8_0,
    "tq1_0": FileType.TQ1_0,
    "tq2_0": FileType.TQ2_0,
}
"""By the names of ``--outtype``, which also has ``auto``."""

_TENSOR_TYPES = {
    FileType.F32: TensorType.F32,
    FileType.F16: TensorType.F16,
    FileType.BF16: TensorType.BF16,
    FileType.Q8_0: TensorType.Q8_0,
    FileType.TQ1_0: TensorType.TQ1_0,
    FileType.TQ2_0: TensorType.TQ2_0,
}

_SMALL = (
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_inp_shexp.weight",
    "position_embd.weight",
    "token_types.weight",
    "ssm_conv1d.weight",
    "shortconv.conv.weight",
)
"""Ends of names of matrices that stay F32, because little would be saved and much lost."""

_TERNARY = (FileType.TQ1_0, FileType.TQ2_0)
_NOT_TERNARY = ("token_embd.weight", "output.weight")


def automatic(tensors: Iterable[LazyTensor]) -> FileType:
    """The type of the first matrix of the checkpoint: BF16 for BF16, F16 for anything else."""
    first = next((tensor for tensor in tensors if len(tensor.shape) >= 2), None)
    is_bf16 = first is not None and first.type is TensorType.BF16
    return FileType.BF16 if is_bf16 else FileType.F16


def tensor_type(name: str, tensor: LazyTensor, file_type: FileType) -> TensorType:
    """The type of a tensor of the file; what is quantized already keeps its type.

    F16 where blocks of the type that was due do not divide its rows.
    """
    wanted = due_type(name, tensor, file_type)
    return wanted if tensor.type is wanted or _divides(tensor, wanted) else TensorType.F16


def due_type(name: str, tensor: LazyTensor, file_type: FileType) -> TensorType:
    """The type that is due by the name, whatever the shape."""
    if tensor.type.block_size > 1:
        return tensor.type
    if len(tensor.shape) < 2 or name.endswith(_SMALL) or not name.endswith(".weight"):
        return TensorType.F32
    if file_type in _TERNARY and name in _NOT_TERNARY:
        return TensorType.F16
    return _TENSOR_TYPES[file_type]


def _divides(tensor: LazyTensor, type: TensorType) -> bool:
    return (tensor.shape[-1] if tensor.shape else 1) % type.block_size == 0
