"""What ``pyllama quantize`` shows of a plan and of its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyllama.commands import output, report

if TYPE_CHECKING:
    from pyllama.quantize import Plan, TensorDone

_KNOWN_FROM = 0.01
"""Share of the model after which the time left can be told."""


def plan_table(plan: Plan) -> str:
    """The plan as a table, and what it amounts to."""
    titles = ("tensor", "shape", "from", "to", "rule", "bytes")
    rows = [
        (
            tensor.name,
            report.shape_text(tensor.source.shape),
            tensor.source.type.label,
            tensor.type.label,
            tensor.choice.rule,
            f"{tensor.n_bytes:,}",
        )
        for tensor in plan.tensors
    ]
    return report.table(titles, rows, right=("bytes",)) + "\n" + report.facts(sizes(plan))


def warn(plan: Plan) -> None:
    """What the user should know before it is too late."""
    replaced: dict[str, list[str]] = {}
    for tensor in plan.fallbacks:
        assert tensor.choice.wanted is not None
        kinds = f"{tensor.type.label} instead of {tensor.choice.wanted.label}"
        replaced.setdefault(kinds, []).append(tensor.name)
    for kinds, names in replaced.items():
        output.note(f"warning: blocks do not divide rows, {kinds}: {_listed(names)}")
    for rule in plan.idle_rules:
        pattern = report.printable(rule.pattern.pattern)
        output.note(
            f"warning: --tensor-type {pattern} has no effect: what it names is never quantized, or "
            "another option decides it"
        )
    if plan.without_importance:
        names = [tensor.name for tensor in plan.without_importance]
        output.note(f"warning: the importance matrix has no entry for {_listed(names)}")


def _listed(names: list[str]) -> str:
    """The first few names and how many there are."""
    text = ", ".join(map(report.printable, names[:3]))
    return text if len(names) <= 3 else f"{text} and {len(names) - 3} more"


def progress(done: TensorDone, seconds: float) -> str:
    """A line for a tensor: what became of it, and how long the rest will take."""
    tensor = done.tensor
    kinds = f"{tensor.source.type.label} -> {tensor.type.label}"
    moved = f"{report.size_text(tensor.source.n_bytes)} -> {report.size_text(tensor.n_bytes)}"
    width = len(str(done.count))
    share = done.source_bytes / done.source_total if done.source_total else 1.0
    left = round(seconds / share - seconds) if share else 0
    rest = f", {left // 60}:{left % 60:02} left" if share >= _KNOWN_FROM else ""
    return (
        f"[{done.number:{width}}/{done.count}] {report.printable(tensor.name):36} "
        f"{report.shape_text(tensor.source.shape):>16}  {kinds:16} {moved}  "
        f"{share:.0%}{rest}"
    )


def sizes(plan: Plan) -> list[tuple[str, str]]:
    """What the plan amounts to."""

    def text(n_bytes: int) -> str:
        bits = 8 * n_bytes / plan.n_elements if plan.n_elements else 0.0
        return f"{report.size_text(n_bytes)} ({n_bytes:,} bytes), {bits:.2f} bits per weight"

    pairs = [("model size", text(plan.source_bytes)), ("quantized size", text(plan.n_bytes))]
    if plan.fallbacks:
        pairs.append(("fallbacks", f"{len(plan.fallbacks)} of {len(plan.tensors)} tensors"))
    return pairs
