"""What ``pyllama imatrix`` shows of an importance matrix."""

from __future__ import annotations

from collections.abc import Iterator

from pyllama.commands.report import table
from pyllama.imatrix import Imatrix, by_layer, coverage, statistics

_SOME = 16
"""Experts that are named at most."""

_TENSOR_TITLES = (
    *("Layer", "Tensor", "Σ(Act²)", "Min", "Max", "μ", "σ"),
    *("% Active", "N", "Entropy", "E (norm)", "ZD", "CosSim"),
)
_LAYER_TITLES = ("Layer", "μΣ(Act²)", "μZD", "μCosSim")


def tables(imatrix: Imatrix) -> str:
    """A table of tensors, and one of layers."""
    found = statistics(imatrix)
    rows = [
        (
            "-" if row.layer is None else str(row.layer),
            row.kind,
            f"{row.total:.2f}",
            f"{row.least:.4f}",
            f"{row.largest:.4f}",
            f"{row.mean:.2f}",
            f"{row.deviation:.2f}",
            f"{row.active:.2%}",
            str(row.count),
            f"{row.entropy:.4f}",
            f"{row.normalized_entropy:.2%}",
            f"{row.above:.2%}",
            f"{row.similarity:.4f}",
        )
        for row in found
    ]
    layers = [
        (str(row.layer), f"{row.total:.2f}", f"{row.above:.4%}", f"{row.similarity:.4f}")
        for row in by_layer(found)
    ]
    numbers = set(_TENSOR_TITLES) - {"Tensor"}
    return f"{table(_TENSOR_TITLES, rows, numbers)}\n{table(_LAYER_TITLES, layers, _LAYER_TITLES)}"


def experts(imatrix: Imatrix) -> Iterator[str]:
    """Which experts saw no data, a line for each layer that has such, and how many did."""
    mixtures = coverage(imatrix)
    for mixture in mixtures:
        if unused := mixture.unused:
            names = ", ".join(map(str, unused[:_SOME])) + (", ..." if unused[_SOME:] else "")
            yield (
                f"{mixture.place}: {len(unused)} of {len(mixture.counts)} experts saw no data "
                f"({names}); all their columns count the same"
            )
    used = [count for mixture in mixtures for count in mixture.counts.tolist() if count]
    if used:
        total = sum(len(mixture.counts) for mixture in mixtures)
        least = f"the least used of them {min(used):.0f} tokens"
        yield f"{len(used)} of {total} experts saw data, {least}"
