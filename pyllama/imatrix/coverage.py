"""Which experts of a model saw data while importance was collected."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.imatrix.imatrix import Imatrix

_LAYER = re.compile(r"blk\.\d+")


@dataclass(frozen=True, eq=False)
class Coverage:
    """A mixture of experts: its layer (``blk.3``), and (experts,) how often each was used."""

    place: str
    counts: NDArray[np.float64]

    @property
    def unused(self) -> tuple[int, ...]:
        """Experts that saw no data: all their columns count as equally important."""
        return tuple(np.flatnonzero(self.counts == 0).tolist())


def coverage(imatrix: Imatrix) -> list[Coverage]:
    """Of every mixture of experts; matrices of a layer that were used alike are one mixture."""
    found: dict[tuple[str, bytes], Coverage] = {}
    for name, entry in imatrix.entries.items():
        if len(entry.counts) > 1:
            match = _LAYER.match(name)
            place = match[0] if match else name
            found.setdefault((place, entry.counts.tobytes()), Coverage(place, entry.counts))
    return list(found.values())
