"""How an importance matrix is distributed, as llama-imatrix shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyllama.imatrix.imatrix import Entry, Imatrix

ACTIVE = 1e-5
"""Columns with larger mean squares count as active."""

_LAYER = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True)
class TensorStatistics:
    """Of the mean squares of all columns of a tensor, but of unused experts.

    Attributes:
        name: the tensor.
        layer: its layer; None outside the layers.
        count: columns.
        total, least, largest, mean, deviation: of the mean squares.
        active: the share of them above ``ACTIVE``.
        entropy: of their shares of the total, in bits.
        above: the share of them that lie more than a standard deviation above the mean; the ZD
            score of Layer-wise Quantization (Dumitru et al. 2024).
        similarity: cosine of the angle between the sums of squares and those of the same tensor one
            layer before; 0 where there is none.
    """

    name: str
    layer: int | None
    count: int
    total: float
    least: float
    largest: float
    mean: float
    deviation: float
    active: float
    entropy: float
    above: float
    similarity: float

    @property
    def kind(self) -> str:
        """The tensor's name without its layer and its end: ``attn_q``."""
        parts = self.name.split(".")
        place = parts.index("weight") if "weight" in parts else 0
        return parts[place - 1] if place else self.name

    @property
    def normalized_entropy(self) -> float:
        """The entropy's share of the largest possible one."""
        return self.entropy / float(np.log2(self.count)) if self.count > 1 else 0.0


@dataclass(frozen=True)
class LayerStatistics:
    """Means over the tensors of a layer, each with the weight of its columns."""

    layer: int
    total: float
    above: float
    similarity: float


def statistics(imatrix: Imatrix) -> list[TensorStatistics]:
    """Of every tensor with data, by kind, those with the largest total first."""
    rows = [
        _of_tensor(name, entry, imatrix.entries)
        for name, entry in imatrix.entries.items()
        if entry.counts.any()
    ]
    return sorted(rows, key=lambda row: (row.kind, -row.total))


def by_layer(rows: Sequence[TensorStatistics]) -> list[LayerStatistics]:
    """Of every layer in order."""
    layers: dict[int, list[TensorStatistics]] = {}
    for row in rows:
        if row.layer is not None:
            layers.setdefault(row.layer, []).append(row)
    result = []
    for layer, members in sorted(layers.items()):
        columns = sum(row.count for row in members)
        total, above, similarity = (
            sum(row.count * value for row, value in zip(members, values, strict=True)) / columns
            for values in zip(*((r.total, r.above, r.similarity) for r in members), strict=True)
        )
        result.append(LayerStatistics(layer, total, above, similarity))
    return result


def _of_tensor(name: str, entry: Entry, others: Mapping[str, Entry]) -> TensorStatistics:
    means = entry.means[entry.counts > 0].reshape(-1).astype(np.float64)
    total, mean, deviation = float(means.sum()), float(means.mean()), float(means.std())
    shares = means[means > 0] / total if total > 0 else means[:0]
    match = _LAYER.match(name)
    return TensorStatistics(
        name=name,
        layer=int(match[1]) if match else None,
        count=means.size,
        total=total,
        least=float(means.min()),
        largest=float(means.max()),
        mean=mean,
        deviation=deviation,
        active=float((means > ACTIVE).mean()),
        entropy=float(-(shares * np.log2(shares)).sum()),
        above=float((means > mean + deviation).mean()) if deviation > 0 else 0.0,
        similarity=_similarity(entry, others.get(_one_layer_before(name)) if match else None),
    )


def _one_layer_before(name: str) -> str:
    return _LAYER.sub(lambda match: f"blk.{int(match[1]) - 1}.", name)


def _similarity(entry: Entry, before: Entry | None) -> float:
    if before is None or before.sums.size != entry.sums.size:
        return 0.0
    a, b = (_unit(e.sums.reshape(-1).astype(np.float64)) for e in (entry, before))
    return float(a @ b)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector
