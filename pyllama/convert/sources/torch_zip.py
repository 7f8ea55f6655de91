"""PyTorch's files (``pytorch_model.bin``), read without PyTorch.

NAME/data.pkl       a pickle: tensors by name, as parts of storages; see ``state_pickle``
NAME/data/KEY       the elements of a storage, not compressed
NAME/byteorder      "little", where it is there
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pyllama.convert.sources.mapped import MappedFile
from pyllama.convert.sources.state_pickle import PickleProblem, TensorView, read_state
from pyllama.convert.sources.stored import MAX_DIMS, WIDTHS, StoredTensor
from pyllama.errors import ConversionError
from pyllama.gguf.wording import quoted

MAX_PICKLE = 1 << 28
"""Bytes of the pickle, which holds names and shapes alone."""

_LOCAL_HEADER = 30
"""Bytes of a zip entry's own header, before its name and its extra field."""

_REMEDY = "get the checkpoint as safetensors"


def read_torch(path: Path) -> list[StoredTensor]:
    """The tensors of a file, in its order.

    Raises FileError where it cannot be read, ConversionError for whatever is wrong with it, and
    where there is more than tensors in it.
    """
    file = MappedFile(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            pickles = [entry for entry in entries if entry.filename.endswith("/data.pkl")]
            if len(pickles) != 1 or not _is_small(pickles[0]):
                raise ConversionError(path, "holds no weights as PyTorch saves them", _REMEDY)
            root = pickles[0].filename.removesuffix("data.pkl")
            _check_order(path, archive, f"{root}byteorder")
            state = read_state(archive.read(pickles[0]))
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        problem = f"is no zip file, as PyTorch 1.6 and later write it ({error})"
        raise ConversionError(path, problem, _REMEDY) from error
    except PickleProblem as problem:
        raise ConversionError(path, f"its pickle was not trusted: {problem}", _REMEDY) from None
    prefix = f"{root}data/"
    storages = {
        entry.filename.removeprefix(prefix): _place(file, entry)
        for entry in entries
        if entry.filename.startswith(prefix)
    }
    views = {name: view for name, view in state.items() if isinstance(view, TensorView)}
    return [_tensor(file, storages, name, view) for name, view in views.items()]


def _check_order(path: Path, archive: zipfile.ZipFile, name: str) -> None:
    entry = archive.NameToInfo.get(name)
    if entry is not None and (not _is_small(entry) or archive.read(entry).strip() != b"little"):
        raise ConversionError(path, "was written by a big-endian machine", _REMEDY)


def _is_small(entry: zipfile.ZipInfo) -> bool:
    return entry.compress_type == zipfile.ZIP_STORED and entry.file_size <= MAX_PICKLE


def _place(file: MappedFile, entry: zipfile.ZipInfo) -> tuple[int, int]:
    """Where an entry's bytes begin and end in the file."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ConversionError(file.path, f"its entry {entry.filename!r:.60} is compressed", _REMEDY)
    name = entry.header_offset + _LOCAL_HEADER
    if name > file.size:
        raise _damaged(file, f"its entry {entry.filename!r:.60} lies beyond its end")
    lengths = file.bytes(name - 4, name).view("<u2")
    start = name + int(lengths[0]) + int(lengths[1])
    if start + entry.file_size > file.size:
        raise _damaged(file, f"its entry {entry.filename!r:.60} ends beyond its end")
    return start, start + entry.file_size


def _tensor(
    file: MappedFile, storages: Mapping[str, tuple[int, int]], name: str, view: TensorView
) -> StoredTensor:
    what = f"tensor {quoted(name)}"
    if len(view.shape) > MAX_DIMS or len(view.strides) != len(view.shape):
        raise _damaged(file, f"{what} has the shape {view.shape!r:.60}")
    if not _is_contiguous(view):
        raise _damaged(file, f"{what} is a view whose elements do not lie side by side")
    place = storages.get(view.storage.key)
    if place is None:
        raise _damaged(file, f"{what} is in the part {view.storage.key!r:.40}, which is missing")
    width = WIDTHS[view.storage.dtype]
    start = place[0] + view.offset * width
    if start + math.prod(view.shape) * width > place[1]:
        raise _damaged(file, f"{what} ends beyond the part {view.storage.key!r:.40}")
    return StoredTensor(name, view.shape, view.storage.dtype, file, start)


def _is_contiguous(view: TensorView) -> bool:
    expected = 1
    for size, stride in zip(reversed(view.shape), reversed(view.strides), strict=True):
        if size > 1 and stride != expected:
            return False
        expected *= max(1, size)
    return True


def _damaged(file: MappedFile, problem: str) -> ConversionError:
    return ConversionError(file.path, problem, _REMEDY)
