"""Results as llama-bench's Markdown table.

Columns of parameters appear where a parameter has several values or another than its default.
With --ceilings there are more of them behind the speed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyllama.bench import BenchmarkPlan, Result
from pyllama.commands.bench_fields import BACKEND, BUILD_COMMIT, BUILD_NUMBER
from pyllama.commands.report import printable


@dataclass(frozen=True)
class Column:
    """A title, the width of its cells (negative: aligned to the left), and what they hold."""

    title: str
    width: int
    text: Callable[[Result], str]

    def cell(self, text: str) -> str:
        """The text at the column's width."""
        return text.ljust(-self.width) if self.width < 0 else text.rjust(self.width)

    @property
    def rule(self) -> str:
        """What stands between title and values; a colon aligns to the right."""
        return "-" * (abs(self.width) - 1) + ("-" if self.width < 0 else ":")


_MODEL = (
    Column("model", -30, lambda r: printable(r.model.type)),
    Column("size", 10, lambda r: _size(r.model.n_bytes)),
    Column("params", 10, lambda r: _count(r.model.n_params)),
    Column("backend", -10, lambda _: BACKEND),
    Column("threads", 7, lambda r: str(r.trial.n_threads)),
)

_PARAMETERS = {
    "cpu_mask": Column("cpu_mask", 10, lambda r: r.trial.cpu_mask),
    "cpu_strict": Column("cpu_strict", 10, lambda r: str(int(r.trial.cpu_strict))),
    "n_batch": Column("n_batch", 7, lambda r: str(r.trial.n_batch)),
    "n_ubatch": Column("n_ubatch", 8, lambda r: str(r.trial.n_ubatch)),
    "type_k": Column("type_k", 6, lambda r: r.trial.type_k),
    "type_v": Column("type_v", 6, lambda r: r.trial.type_v),
    "isa": Column("isa", -10, lambda r: r.isa),
}
"""By the attribute of the plan."""

_SPEED = (
    Column("test", 15, lambda r: r.trial.name),
    Column("t/s", 20, lambda r: f"{r.avg_ts:.2f} ± {r.stddev_ts:.2f}"),
)

_DETAILS = (
    Column("first token", 12, lambda r: f"{r.avg_first_token_ns / 1e6:.2f} ms"),
    Column("peak memory", 12, lambda r: "?" if r.peak_bytes is None else _size(r.peak_bytes)),
    Column("GB/s (of ceiling)", 20, lambda r: _reached(*_bytes(r))),
    Column("GFLOP/s (of ceiling)", 22, lambda r: _reached(*_flops(r))),
)


class Markdown:
    """The table, and the line that names the program below it."""

    def __init__(self, plan: BenchmarkPlan) -> None:
        parameters = [
            column
            for name, column in _PARAMETERS.items()
            if getattr(plan, name) != getattr(BenchmarkPlan, name)
        ]
        details = _DETAILS if plan.ceilings else ()
        self._columns = (*_MODEL, *parameters, *_SPEED, *details)

    def header(self) -> str:
        """Titles and rules."""
        titles = [column.cell(column.title) for column in self._columns]
        return _line(titles) + _line([column.rule for column in self._columns])

    def row(self, result: Result) -> str:
        """The cells of a result."""
        return _line([column.cell(column.text(result)) for column in self._columns])

    def footer(self) -> str:
        """The program's name and version."""
        return f"\nbuild: {BUILD_COMMIT} ({BUILD_NUMBER})\n"


def _line(cells: list[str]) -> str:
    return "".join(("|", *(f" {cell} |" for cell in cells), "\n"))


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:.2f} MiB" if n_bytes < 2**30 else f"{n_bytes / 2**30:.2f} GiB"


def _count(n: int) -> str:
    return f"{n / 1e6:.2f} M" if n < 10**9 else f"{n / 1e9:.2f} B"


def _bytes(result: Result) -> tuple[float, float]:
    assert result.ceilings is not None
    return result.bytes_per_second, result.ceilings.bytes_per_second


def _flops(result: Result) -> tuple[float, float]:
    assert result.ceilings is not None
    return result.flops_per_second, result.ceilings.flops_per_second


def _reached(speed: float, ceiling: float) -> str:
    return f"{speed / 1e9:.2f} ({100 * speed / ceiling:.0f} %)"
