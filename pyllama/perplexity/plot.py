"""A picture of a run: the perplexity so far after each chunk, with its standard error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyllama.perplexity.estimate import Estimate
from pyllama.picture import check, save

_SETTLED = 0.02
"""The first chunks say little, and may be far off: this share of them does not set the scale."""


def draw(runs: Sequence[tuple[str, Sequence[Estimate]]], path: Path) -> None:
    """Write the picture of runs: the name of each, and the estimates after its chunks.

    Raises what ``check`` raises, and FileError where the file cannot be written.
    """
    check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    low, high = [], []
    for name, estimates in runs:
        chunks = range(1, len(estimates) + 1)
        values = [estimate.perplexity for estimate in estimates]
        errors = [estimate.error for estimate in estimates]
        below = [value - error for value, error in zip(values, errors, strict=True)]
        above = [value + error for value, error in zip(values, errors, strict=True)]
        axes.plot(chunks, values, label=f"{name}: {values[-1]:.4f} ± {errors[-1]:.4f}")
        axes.fill_between(chunks, below, above, alpha=0.2)
        settled = slice(int(len(values) * _SETTLED), None)
        low += below[settled]
        high += above[settled]
    margin = 0.05 * (max(high) - min(low)) or 1.0
    axes.set_ylim(min(low) - margin, max(high) + margin)
    axes.set_xlabel("chunks")
    axes.set_ylabel("perplexity so far")
    axes.grid(alpha=0.3)
    axes.legend()
    save(figure, path)
