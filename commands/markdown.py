"""Markdown as lines for a terminal. One of the modules that import rich: import it late."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import ClassVar

from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, Markdown
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

from pyllama.commands.live_text import Line
from pyllama.commands.markdown_blocks import Block, Blocks

WIDEST = 100
"""Columns of prose at most: longer lines are hard to read. Code is as wide as it is."""

_CODE_THEME = "ansi_dark"  # the terminal's own colours, whatever its background
_CONTEXT = 20
"""Lines of code before those that are new that are read again at least."""

_STYLES = {
    "markdown.code": "cyan",
    "markdown.h1": "bold underline",
    "markdown.h2": "bold",
    "markdown.h3": "bold",
}


class MarkdownStream:
    """Markdown in pieces, lines out: those that are final, and those that may still change."""

    def __init__(self, *, colours: bool) -> None:
        self._blocks = Blocks()
        self._renderer = _Renderer(colours)
        self._shown = 0
        """Lines of the open block that are final."""

    def push(self, text: str) -> None:
        """Take more text."""
        self._blocks.push(text.expandtabs(4))

    def finish(self, columns: int) -> list[Line]:
        """The final lines that are left, when there is no more text."""
        self._blocks.finish()
        return self._complete(columns)

    def update(self, columns: int) -> tuple[list[Line], list[Line]]:
        """The lines that have become final, and what follows them for now."""
        done = self._complete(columns)
        block, rest = self._blocks.open, self._blocks.rest()
        if block is None or not block.fence:
            return done, [line for other in rest for line in self._renderer.block(other, columns)]
        done += self._new_code(block)
        return done, [plain_line(text) for text in rest[0].lines[len(block.lines) :]]

    def _complete(self, columns: int) -> list[Line]:
        done: list[Line] = []
        for block in self._blocks.complete():
            if block.fence:
                done += [*self._new_code(block), self._renderer.fence(block.fence)]
            else:
                done += self._renderer.block(block, columns)
            self._shown = 0
        return done

    def _new_code(self, block: Block) -> list[Line]:
        """The lines of a block of code that are not shown yet."""
        before = [*_gap(block), self._renderer.fence(block.fence + block.language)]
        shown = max(0, self._shown - len(before))
        lines = [*before[self._shown :], *self._renderer.code(block, shown)]
        self._shown += len(lines)
        return lines


def plain_line(text: str) -> Line:
    """A line without styles."""
    return Line(text, cell_len(text))


class _Heading(Heading):
    """A heading at the left, without a frame."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self.text.copy()
        text.justify = "left"
        yield text


class _Document(Markdown):
    """Markdown with such headings."""

    elements: ClassVar = {**Markdown.elements, "heading_open": _Heading}


class _Renderer:
    """Blocks to lines, by rich."""

    def __init__(self, colours: bool) -> None:
        self._colours = colours
        self._console = Console(file=io.StringIO(), force_terminal=True, theme=Theme(_STYLES))

    def block(self, block: Block, columns: int) -> list[Line]:
        """The lines of what is no code, or is code of which nothing but the fence is there."""
        if block.fence:
            return [*_gap(block), self.fence(block.fence + block.language)]
        options = self._console.options.update_width(max(1, min(columns - 1, WIDEST)))
        document = _document("\n".join(block.lines))
        lines = [self._line(line) for line in self._console.render_lines(document, options)]
        while lines and not lines[0].cells:  # rich has gaps of its own
            del lines[0]
        while lines and not lines[-1].cells:
            del lines[-1]
        return [*_gap(block), *lines]

    def code(self, block: Block, first: int) -> list[Line]:
        """A line for each line of code from number ``first`` on, in colours."""
        start = _before(block.lines, first)
        syntax = Syntax("", block.language or "text", theme=_CODE_THEME)
        text = syntax.highlight("\n".join(block.lines[start:]))
        lines = text.split("\n", allow_blank=True)[first - start : len(block.lines) - start]
        return [self._text(line) for line in lines]

    def fence(self, text: str) -> Line:
        """What stands around code."""
        return self._text(Text(text, "dim"))

    def _text(self, text: Text) -> Line:
        text.end = ""
        return self._line(text.render(self._console))

    def _line(self, segments: Iterable[Segment]) -> Line:
        line = list(segments)
        while line and not line[-1].text.strip():
            del line[-1]
        return Line("".join(map(self._ansi, line)), Segment.get_line_length(line))

    def _ansi(self, segment: Segment) -> str:
        style = segment.style
        if style is None:
            return segment.text
        style = style if self._colours else style.without_color
        return style.render(segment.text, color_system=ColorSystem.STANDARD)


def _before(lines: Sequence[str], first: int) -> int:
    """Where to begin reading, so that the colours from line ``first`` on are right: some way
    before it, at a line that is not indented, and so hardly inside of anything.
    """
    back = range(max(0, first - _CONTEXT), -1, -1)
    return next((n for n in back if lines[n : n + 1] and lines[n][:1].strip()), 0)


def _document(source: str) -> Markdown:
    """Parsed Markdown, in which the tags of HTML are text (rich would leave them out), and the ends
    of lines are what the model meant them to be.
    """
    markdown = _Document("", code_theme=_CODE_THEME, hyperlinks=False)
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
    markdown.parsed = parser.parse(source)
    for token in markdown.parsed:
        for child in token.children or ():
            child.type = "hardbreak" if child.type == "softbreak" else child.type
    return markdown


def _gap(block: Block) -> list[Line]:
    return [Line("", 0)] if block.gap else []
