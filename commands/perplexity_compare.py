"""The table of ``pyllama perplexity --compare A.json B.json``."""

from __future__ import annotations

from pathlib import Path

from pyllama.commands import report
from pyllama.perplexity.compare import compare, read_runs


def comparison(a: Path, b: Path) -> str:
    """What differs between the runs, and a row for each text.

    Raises FileError for files that hold no results, PyllamaError for runs that measure different
    things.
    """
    found = compare(read_runs(a), read_runs(b))
    facts = [("A", str(a)), ("B", str(b))]
    facts += [(name, f"A: {one}, B: {two}") for name, (one, two) in found[0].differences.items()]
    rows = [
        (
            each.text,
            f"{each.a:.4f}",
            f"{each.b:.4f}",
            f"{each.b - each.a:+.4f}",
            f"{each.ratio.value:.6f} ± {each.ratio.error:.6f}",
        )
        for each in found
    ]
    numbers = ("A PPL", "B PPL", "B-A", "B/A")
    return report.facts(facts) + "\n" + report.table(("text", *numbers), rows, right=numbers)
