"""From rules to the Lark syntax that llguidance reads.

Every character is a lexeme of its own. Longer lexemes would be faster to match, but llguidance
takes the longest lexeme that fits and never comes back, where a grammar means every way to match:
``[a-z]* "x"`` matches "ax" only if the letters leave the x alone.
"""

from __future__ import annotations

from typing import assert_never

from pyllama.grammar.gbnf import ROOT
from pyllama.grammar.syntax import (
    Alternatives,
    Characters,
    Node,
    Reference,
    Repetition,
    Rules,
    Sequence,
)

HEADER = '%llguidance {"no_forcing": true}\n'
"""Without this a text that has only one continuation would be cut into tokens in only one way."""


def to_lark(rules: Rules) -> str:
    """The same grammar in Lark; its rules are numbered, so that every name is a good one."""
    names = {name: f"r{number}" for number, name in enumerate(rules)}
    lines = [f"{names[name]}: {_lark(node, names)}\n" for name, node in rules.items()]
    return "".join((HEADER, f"start: {names[ROOT]}\n", *lines))


def _lark(node: Node, names: dict[str, str]) -> str:
    match node:
        case Characters():
            ranges = "".join(f"\\x{{{low:X}}}-\\x{{{high:X}}}" for low, high in node.ranges)
            return f"/[{'^' if node.negated else ''}{ranges}]/"
        case Reference():
            return names[node.name]
        case Sequence():
            return " ".join(_group(item, names) for item in node.items) or '""'
        case Alternatives():
            return " | ".join(_lark(choice, names) for choice in node.choices)
        case Repetition():
            most = "" if node.most is None else node.most
            return f"{_group(node.item, names)}{{{node.least},{most}}}"
        case _:
            assert_never(node)


def _group(node: Node, names: dict[str, str]) -> str:
    text = _lark(node, names)
    return text if isinstance(node, Characters | Reference) else f"({text})"
