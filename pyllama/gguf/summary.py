"""What a GGUF file is, in a few figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyllama.gguf.file_types import FILE_TYPE_KEY, FileType
from pyllama.gguf.reader import GGUFFile
from pyllama.gguf.tensors import TensorInfo
from pyllama.gguf.types import TensorType

_FILE_TYPES: dict[int, FileType] = {type.value: type for type in FileType}


@dataclass(frozen=True)
class Share:
    """The tensors of one type: how many, their elements and bytes without padding."""

    tensors: int
    elements: int
    n_bytes: int


@dataclass(frozen=True)
class Summary:
    """Figures of a file, or of all parts of a split one.

    Attributes:
        architecture, name: of the model, None where the metadata do not say.
        file_type: a ``FileType``, another number that the file has, or None.
        total: all tensors.
        types: the tensors of each type, that of the most bytes first.
    """

    architecture: str | None
    name: str | None
    file_type: FileType | int | None
    total: Share
    types: dict[TensorType, Share]

    @property
    def bits_per_weight(self) -> float | None:
        """Bits of the tensors for each of their elements; None where there are none."""
        return 8 * self.total.n_bytes / self.total.elements if self.total.elements else None


def summarize(file: GGUFFile) -> Summary:
    """The summary of an open file, whatever it holds."""
    tensors = file.tensors.values()
    types = {type: _share(t for t in tensors if t.type is type) for type in TensorType}
    return Summary(
        architecture=_text(file, "general.architecture"),
        name=_text(file, "general.name"),
        file_type=_file_type(file),
        total=_share(tensors),
        types=dict(
            sorted(
                ((type, share) for type, share in types.items() if share.tensors),
                key=lambda pair: -pair[1].n_bytes,
            )
        ),
    )


def _share(tensors: Iterable[TensorInfo]) -> Share:
    listed = list(tensors)
    elements, n_bytes = sum(t.n_elements for t in listed), sum(t.n_bytes for t in listed)
    return Share(len(listed), elements, n_bytes)


def _text(file: GGUFFile, key: str) -> str | None:
    value = file.metadata.get(key)
    return value if isinstance(value, str) else None


def _file_type(file: GGUFFile) -> FileType | int | None:
    value = file.metadata.get(FILE_TYPE_KEY)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return _FILE_TYPES.get(value, value)
