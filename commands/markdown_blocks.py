"""Markdown that arrives in pieces, cut into blocks that can be shown when they are complete.

A block is what looks the same whatever follows: a paragraph, a heading, an item of a list with all
that is indented under it, a table, a quotation, and a fenced piece of code, of which each line is
final by itself. Numbers of items are kept: each is a list of its own that begins there.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field

_FENCE = re.compile(r"(?P<indent>\s*)(?P<fence>`{3,}|~{3,})\s*(?P<language>[^\s`]*)[^`]*")
_ITEM = re.compile(r"([-*+]|\d{1,9}[.)])(\s|$)")
_HEADING = re.compile(r"#{1,6}(\s|$)")
_UNDECIDED = re.compile(r"\s*(`{1,2}|~{1,2}|[-*+#>=_|]{1,3}|\d{1,9}[.)]?)?\s*")
"""The beginning of a line that may yet become one of several things."""


@dataclass(slots=True)
class Block:
    """Lines that belong together.

    gap: an empty line comes before it; fence, language: of code, else empty; indent: columns that
    the fence, and so the code, is indented by.
    """

    gap: bool
    fence: str = ""
    language: str = ""
    indent: int = 0
    lines: list[str] = field(default_factory=list)

    @property
    def is_item(self) -> bool:
        """Whether it is an item of a list."""
        return not self.fence and bool(self.lines) and bool(_ITEM.match(self.lines[0]))


class Blocks:
    """Text in, blocks out; ``open`` is the one that is not complete."""

    def __init__(self) -> None:
        self.open: Block | None = None
        self._complete: list[Block] = []
        self._partial = ""
        self._after_blank = False
        self._is_first = True

    def push(self, text: str) -> None:
        """Take more text."""
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._add(line)

    def finish(self) -> None:
        """There is no more text."""
        if self._partial:
            self._add(self._partial)
        self._partial = ""
        self._close()

    def complete(self) -> list[Block]:
        """The blocks that have become complete since this was asked last."""
        found, self._complete = self._complete, []
        return found

    def rest(self) -> list[Block]:
        """What is not complete, as if the text ended here; without a line that may yet become
        one of several things.
        """
        copy = deepcopy(self)
        copy._complete = []
        if _UNDECIDED.fullmatch(self._partial):
            copy._partial = ""
        copy.finish()
        return copy.complete()

    def _add(self, line: str) -> None:
        if self.open is not None and self.open.fence:
            self._add_code(self.open, line)
        elif match := _FENCE.fullmatch(line):
            fence, language, indent = match["fence"], match["language"], len(match["indent"])
            self._open(Block(self._has_gap(line), fence, language, indent))
        elif not line.strip():
            self._after_blank = True
        else:
            self._add_text(line)

    def _add_code(self, block: Block, line: str) -> None:
        fence = line.strip()
        if fence.startswith(block.fence) and not fence.strip(block.fence[0]):
            self._close()
        else:
            indent = len(line) - len(line.lstrip(" "))
            block.lines.append(line[min(indent, block.indent) :])

    def _add_text(self, line: str) -> None:
        if self.open is None or self._begins(line):
            self._open(Block(self._has_gap(line), lines=[line]))
        else:
            self.open.lines += ["", line] if self._after_blank else [line]
        self._after_blank = False
        if _HEADING.match(line):
            self._close()
            self._after_blank = True

    def _begins(self, line: str) -> bool:
        """Whether the line is none of the open text's."""
        if self.open is None:
            return True
        if self._after_blank:
            return not (self.open.is_item and line.startswith("  "))
        return bool(_HEADING.match(line) or _ITEM.match(line))

    def _has_gap(self, line: str) -> bool:
        """Whether an empty line belongs before a block that begins so."""
        if self._is_first:
            return False
        between_items = self.open is not None and self.open.is_item and bool(_ITEM.match(line))
        return self._after_blank or not between_items

    def _open(self, block: Block) -> None:
        self._close()
        self.open, self._after_blank, self._is_first = block, False, False

    def _close(self) -> None:
        if self.open is not None:
            self._complete.append(self.open)
        self.open = None
