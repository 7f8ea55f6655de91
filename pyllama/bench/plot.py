"""A picture of a sweep: tokens a second over what varies, prompts and generation side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pyllama.bench.results import Result
from pyllama.picture import check, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KINDS: dict[str, Callable[[Result], bool]] = {
    "prompt": lambda r: r.trial.n_prompt > 0 and r.trial.n_gen == 0,
    "generation": lambda r: r.trial.n_prompt == 0,
    "prompt and generation": lambda r: r.trial.n_prompt > 0 and r.trial.n_gen > 0,
}

_AXES: dict[str, Callable[[Result], int]] = {
    "tokens before the test": lambda r: r.trial.n_depth,
    "tokens of prompt": lambda r: r.trial.n_prompt,
    "tokens generated": lambda r: r.trial.n_gen,
    "threads": lambda r: r.trial.n_threads,
    "batch": lambda r: r.trial.n_batch,
    "micro-batch": lambda r: r.trial.n_ubatch,
}

_LABELS: dict[str, Callable[[Result], str]] = {
    "model": lambda r: f"{r.model.type} ({r.trial.model.name})",
    "isa": lambda r: r.isa,
    "keys": lambda r: f"keys {r.trial.type_k}",
    "values": lambda r: f"values {r.trial.type_v}",
}


def _labels(across: str) -> dict[str, Callable[[Result], str]]:
    """What may tell lines apart, when one quantity runs along the axis."""
    others = {name: of for name, of in _AXES.items() if name != across}
    return _LABELS | {name: _numbered(name, of) for name, of in others.items()}


def _numbered(name: str, of: Callable[[Result], int]) -> Callable[[Result], str]:
    return lambda result: f"{name} {of(result)}"


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the picture; points are means, bars standard deviations.

    Raises what ``check`` raises, and FileError where the file cannot be written.
    """
    check(path)
    from matplotlib.figure import Figure

    kinds = {name: [r for r in results if is_kind(r)] for name, is_kind in _KINDS.items()}
    shown = {name: chosen for name, chosen in kinds.items() if chosen}
    figure = Figure(figsize=(6 * len(shown), 4.5), layout="constrained")
    for axes, (name, chosen) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
    ):
        _draw_kind(axes, chosen)
        axes.set_title(name)
    save(figure, path)


def _draw_kind(axes: Axes, results: Sequence[Result]) -> None:
    across = max(_AXES, key=lambda name: len({_AXES[name](r) for r in results}))
    series: dict[str, list[Result]] = {}
    varying = [of for of in _labels(across).values() if len({of(r) for r in results}) > 1]
    for result in results:
        label = ", ".join(of(result) for of in varying)
        series.setdefault(label, []).append(result)
    for label, points in series.items():
        points.sort(key=_AXES[across])
        axes.errorbar(
            [_AXES[across](r) for r in points],
            [r.avg_ts for r in points],
            yerr=[r.stddev_ts for r in points],
            marker="o",
            capsize=3,
            label=label,
        )
    axes.set_xlabel(across)
    axes.set_ylabel("tokens/s")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if varying:
        axes.legend()
