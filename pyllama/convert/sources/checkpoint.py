"""All tensors of a checkpoint, from however many files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pyllama.convert.documents import read_object
from pyllama.convert.sources.fp8 import DEFAULT_BLOCK, Block, fuse_scales
from pyllama.convert.sources.mapped import AGAIN
from pyllama.convert.sources.safetensors import read_safetensors
from pyllama.convert.sources.stored import StoredTensor
from pyllama.convert.sources.torch_zip import read_torch
from pyllama.convert.tensor import LazyTensor
from pyllama.errors import ConversionError, FileError
from pyllama.gguf.wording import quoted


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a model.

    Attributes:
        folder: where it is.
        files: that hold its tensors.
        tensors: by name, in the order in which they are stored.
        n_bytes: of all tensors.
    """

    folder: Path
    files: tuple[Path, ...]
    tensors: Mapping[str, LazyTensor]
    n_bytes: int


Reader = Callable[[Path], list[StoredTensor]]

_FORMS: tuple[tuple[str, str, Reader], ...] = (
    ("model.safetensors.index.json", "model*.safetensors", read_safetensors),
    ("pytorch_model.bin.index.json", "pytorch_model*.bin", read_torch),
)
"""Index, files without one, and what reads them; the first form that is there is taken."""


def open_checkpoint(folder: Path, block: Block = DEFAULT_BLOCK) -> Checkpoint:
    """The tensors of a checkpoint, none of them read yet.

    ``block``: the rows and columns that share a scale, of weights of eight bits.

    Raises FileError for a folder or file that cannot be read, ConversionError where there is no
    checkpoint in it, a file is missing or damaged, or two files contradict each other.
    """
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "no such directory"
        raise FileError(folder, problem, "name the directory of a checkpoint, with its config.json")
    for index, pattern, reader in _FORMS:
        if (folder / index).is_file():
            return _joined(folder, _indexed(folder / index), reader, block)
        if paths := sorted(folder.glob(pattern)):
            return _joined(folder, dict.fromkeys(paths), reader, block)
    looked = ", ".join(name for index, pattern, _ in _FORMS for name in (index, pattern))
    raise ConversionError(folder, "holds no weights", f"looked for {looked}")


def _indexed(index: Path) -> dict[Path, list[str]]:
    """The files that an index names, and the tensors that it says they hold."""
    places = read_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ConversionError(index, "has no weight_map", AGAIN)
    files: dict[Path, list[str]] = {}
    for name, file in places.items():
        if not isinstance(file, str) or Path(file).name != file or file in (".", ".."):
            problem = f"says that tensor {quoted(name)} is in {file!r:.60}, which is no file name"
            raise ConversionError(index, problem, AGAIN)
        files.setdefault(index.with_name(file), []).append(name)
    missing = [path.name for path in files if not path.exists()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        problem = f"of {len(files)} files that the index names, {missing[0]}{more} is missing"
        raise ConversionError(index.parent, problem, "download the rest of the checkpoint")
    return dict(sorted(files.items()))


def _joined(
    folder: Path, files: Mapping[Path, list[str] | None], reader: Reader, block: Block
) -> Checkpoint:
    stored: dict[str, StoredTensor] = {}
    for path, expected in files.items():
        here = {tensor.name: tensor for tensor in reader(path)}
        absent = [name for name in expected or () if name not in here]
        if absent:
            problem = f"lacks the tensor {quoted(absent[0])} that the index says it holds"
            raise ConversionError(path, problem, AGAIN)
        if expected is not None and (more := here.keys() - set(expected)):
            problem = f"holds the tensor {quoted(min(more))}, which the index does not say"
            raise ConversionError(path, problem, AGAIN)
        twice = next((name for name in here if name in stored), None)
        if twice is not None:
            problem = f"tensor {quoted(twice)} is also in {stored[twice].file.path.name}"
            raise ConversionError(path, problem, AGAIN)
        stored |= here
    n_bytes = sum(tensor.n_bytes for tensor in stored.values())
    return Checkpoint(folder, tuple(files), fuse_scales(stored, block), n_bytes)
