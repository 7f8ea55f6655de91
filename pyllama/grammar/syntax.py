"""What a GBNF grammar consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LARGEST_CODE_POINT = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of a set: the code points in ``ranges`` (inclusive), or all others."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """What another rule matches; ``position``: where it stands in the text."""

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; nothing for none."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """One of them."""

    choices: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repetition:
    """``item`` at least ``least`` and at most ``most`` times; any number where that is ``None``."""

    item: Node
    least: int
    most: int | None


Node = Characters | Reference | Sequence | Alternatives | Repetition
Rules = Mapping[str, Node]
"""The rules of a grammar by name, in their order."""
