"""safetensors files.

    u64 n               length of the header
    n bytes of JSON     {"NAME": {"dtype": "BF16", "shape": [...], "data_offsets": [a, b]}, ...,
                        "__metadata__": {"KEY": "TEXT"}}
    data                the tensors; offsets count from here

Tensors lie side by side, without gaps. Source: the description of the format by its authors.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pyllama.convert.documents import parse_object
from pyllama.convert.sources.mapped import AGAIN, MappedFile
from pyllama.convert.sources.stored import MAX_DIMS, WIDTHS, StoredTensor
from pyllama.errors import ConversionError
from pyllama.gguf.wording import quoted

MAX_HEADER = 100_000_000
"""Bytes of a header: the limit that the format's own readers set."""

_METADATA = "__metadata__"


def read_safetensors(path: Path) -> list[StoredTensor]:
    """The tensors of a file, in the order in which they lie there.

    Raises FileError where it cannot be read, ConversionError for whatever is wrong with it.
    """
    file = MappedFile(path)
    if file.size < 8:
        raise _damaged(path, f"has {file.size} bytes, too few for safetensors")
    length = int(file.bytes(0, 8).view("<u8")[0])
    if length > min(MAX_HEADER, file.size - 8):
        raise _damaged(path, f"has {file.size} bytes, its header alone claims {length}")
    header = parse_object(path, file.bytes(8, 8 + length).tobytes())
    entries = [(name, entry) for name, entry in header.items() if name != _METADATA]
    tensors = [_tensor(file, 8 + length, name, entry) for name, entry in entries]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.n_bytes))
    _check_places(file, 8 + length, tensors)
    return tensors


def _tensor(file: MappedFile, data: int, name: str, entry: Any) -> StoredTensor:
    parts = entry if isinstance(entry, dict) else {}
    dtype, shape = parts.get("dtype"), _sizes(parts.get("shape"))
    offsets = _sizes(parts.get("data_offsets"))
    what = f"tensor {quoted(name)}"
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise _damaged(file.path, f"{what} has the unknown type {dtype!r:.40}")
    if shape is None or len(shape) > MAX_DIMS:
        raise _damaged(file.path, f"{what} has the shape {parts.get('shape')!r:.40}")
    if offsets is None or len(offsets) != 2:
        raise _damaged(file.path, f"{what} lies at {parts.get('data_offsets')!r:.40}")
    begin, end = offsets
    if end - begin != math.prod(shape) * WIDTHS[dtype]:
        raise _damaged(file.path, f"{what} has {end - begin} bytes, not those of {dtype} {shape}")
    if data + end > file.size:
        raise _damaged(file.path, f"{what} ends at byte {data + end} of {file.size}")
    return StoredTensor(name, shape, dtype, file, data + begin)


def _sizes(values: Any) -> tuple[int, ...] | None:
    """A list of sizes, or None where it is something else."""
    if not isinstance(values, list):
        return None
    return tuple(values) if all(type(n) is int and 0 <= n < 1 << 62 for n in values) else None


def _check_places(file: MappedFile, data: int, tensors: list[StoredTensor]) -> None:
    """Side by side from the first to the last byte."""
    end, before = data, "the header"
    for tensor in tensors:
        if tensor.start != end:
            what = "overlap" if tensor.start < end else "have a gap between them"
            raise _damaged(file.path, f"{before} and tensor {quoted(tensor.name)} {what}")
        end, before = end + tensor.n_bytes, f"tensor {quoted(tensor.name)}"
    if end != file.size:
        raise _damaged(file.path, f"has {file.size - end} bytes after {before}")


def _damaged(path: Path, problem: str) -> ConversionError:
    return ConversionError(path, problem, AGAIN)
