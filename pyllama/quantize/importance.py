"""How much the columns of each tensor matter: what an importance matrix says about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pyllama.errors import UsageError
from pyllama.imatrix import Imatrix, read_imatrix
from pyllama.quants import Floats


@dataclass(frozen=True)
class Importance:
    """An importance matrix.

    Attributes:
        path: the file it was read from.
        entries: by the name of the tensor float32 (matrices * columns,), finite and not negative.
        datasets: what text it was collected over.
        chunks: how many pieces of that text; 0 where the file does not say.
    """

    path: Path
    entries: Mapping[str, Floats]
    datasets: tuple[str, ...] = ()
    chunks: int = 0

    @classmethod
    def of(cls, imatrix: Imatrix) -> Importance:
        """The mean squares of what a model's columns met."""
        entries = {name: entry.means.reshape(-1) for name, entry in imatrix.entries.items()}
        return cls(imatrix.source, entries, imatrix.datasets, imatrix.chunks)

    def only(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> Importance:
        """The entries with one of ``include`` in their names, or with none of ``exclude``.

        Raises UsageError where both are given, or one that no name contains.
        """
        include, exclude = tuple(include), tuple(exclude)
        if include and exclude:
            raise UsageError("--include-weights and --exclude-weights exclude each other")
        for part in (*include, *exclude):
            if not any(part in name for name in self.entries):
                raise UsageError(f"no tensor of {self.path} has {part!r:.60} in its name")
        kept = {
            name: values
            for name, values in self.entries.items()
            if (not include or any(part in name for part in include))
            and not any(part in name for part in exclude)
        }
        return replace(self, entries=kept)


def read_importance(path: Path) -> Importance:
    """Read an importance matrix in either format. Raises FileError for what is wrong with it."""
    return Importance.of(read_imatrix(path))
