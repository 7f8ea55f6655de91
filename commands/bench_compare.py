"""The table of ``pyllama bench --compare A.json B.json``."""

from __future__ import annotations

from pathlib import Path

from pyllama.bench.compare import Comparison, Spread, compare, read_results
from pyllama.commands import report


def comparison(a: Path, b: Path) -> str:
    """What differs, and the speeds of each test with the quartiles around the median.

    Raises FileError for files that hold no results, PyllamaError where no test is in both.
    """
    return tables(compare(read_results(a), read_results(b)), str(a), str(b))


def tables(found: Comparison, a: str, b: str) -> str:
    """Facts about A and B, then a row for each test; ``B/A`` above 1 means that B is faster."""
    facts = [("A", a), ("B", b)]
    facts += [
        (name, f"A: {_text(one)}, B: {_text(two)}")
        for name, (one, two) in found.differences.items()
    ]
    names = list(found.rows[0].settings)
    rows = [
        (
            row.test,
            *(_text(row.settings[name]) for name in names),
            _spread(row.a),
            _spread(row.b),
            _spread(row.ratio),
        )
        for row in found.rows
    ]
    speeds = ("A t/s", "B t/s", "B/A")
    return report.facts(facts) + "\n" + report.table(("test", *names, *speeds), rows, right=speeds)


def _text(value: object) -> str:
    return "not named" if value is None else str(value)


def _spread(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})"
