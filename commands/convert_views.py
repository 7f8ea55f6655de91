"""What ``pyllama convert`` shows of a plan, of its progress and of its result."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from pyllama.commands import output, report
from pyllama.commands.status_line import duration

if TYPE_CHECKING:
    from pathlib import Path

    from pyllama.convert import Plan, PlannedTensor
    from pyllama.convert.verify import Verification

_QUIET_SECONDS = 2.0
"""Between two lines of progress where there is no terminal; shorter work has none."""


def supported_table() -> str:
    """The architectures that can be converted, by their names in GGUF files."""
    from pyllama.convert import supported

    rows = [(gguf, ", ".join(names)) for gguf, names in supported()]
    return report.table(("architecture", "classes in config.json"), rows)


def plan_table(plan: Plan) -> str:
    """The plan as a table of tensors, and what it amounts to."""
    titles = ("tensor", "shape", "from", "to", "bytes")
    rows = [
        (
            tensor.name,
            report.shape_text(tensor.source.shape),
            tensor.source.type.label,
            tensor.type.label,
            f"{tensor.n_bytes:,}",
        )
        for tensor in plan.tensors
    ]
    return report.table(titles, rows, right=("bytes",))


def tensor_line(tensor: PlannedTensor) -> str:
    """What becomes of a tensor."""
    source = tensor.source
    kinds = f"{source.type.label} -> {tensor.type.label}"
    shape = report.shape_text(source.shape)
    return f"{report.printable(source.name)} -> {tensor.name}, {kinds}, {shape}"


def facts(plan: Plan, paths: list[Path]) -> list[tuple[str, str]]:
    """What a plan amounts to."""
    weights = sum(tensor.source.n_elements for tensor in plan.tensors)
    pairs = [("file", str(path)) for path in paths]
    pairs += [
        ("model", plan.fields["general.name"]),
        ("architecture", f"{plan.family.gguf} ({plan.config.architecture})"),
    ]
    if plan.tensors:
        pairs += [
            ("weights", f"{weights:,} in {len(plan.tensors)} tensors, {plan.file_type.name}"),
            ("size", f"{report.size_text(plan.n_bytes)} ({plan.n_bytes:,} bytes)"),
        ]
    return pairs


def verified(found: Verification) -> list[tuple[str, str]]:
    """What --verify found."""
    pairs = [("verified", f"{found.tensors} tensors, one pass")]
    if found.divergence is None:
        return [*pairs, ("transformers", f"not compared: {found.note}")]
    return [*pairs, ("transformers", f"divergence {found.divergence:.2e} nats a token")]


class ProgressLines:
    """Tells now and then how far the work is, for where there is no terminal."""

    def __init__(self) -> None:
        self._start = self._last = perf_counter()

    def __call__(self, name: str, done: int, total: int) -> None:
        """``done`` of ``total`` bytes are there; the last one was of ``name``."""
        now = perf_counter()
        if now - self._last < _QUIET_SECONDS or not done:
            return
        self._last = now
        speed = done / (now - self._start)
        output.note(
            f"{done / total:4.0%}  {report.size_text(done)} of {report.size_text(total)}, "
            f"{report.size_text(speed)}/s, {duration((total - done) / speed)} left: "
            f"{report.printable(name)}"
        )
