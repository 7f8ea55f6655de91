"""Reading a grammar's text character by character, with errors that name line and column."""

from __future__ import annotations

from typing import NoReturn

from pyllama.errors import GrammarError
from pyllama.grammar.syntax import LARGEST_CODE_POINT

_ESCAPES = {"n": 10, "r": 13, "t": 9, '"': 0x22, "\\": 0x5C, "[": 0x5B, "]": 0x5D}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_SURROGATES = range(0xD800, 0xE000)


class Scanner:
    """A position in a text; ``source`` is what errors call the text."""

    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.position = 0

    @property
    def next(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.position : self.position + 1]

    def fail(self, problem: str, position: int | None = None) -> NoReturn:
        """Raise GrammarError for the present position, or for another one."""
        where = self.position if position is None else position
        line = self.text.count("\n", 0, where) + 1
        column = where - (self.text.rfind("\n", 0, where) + 1) + 1
        raise GrammarError(self.source, problem, line, column)

    def found(self) -> str:
        """The next character in words, for errors."""
        return repr(self.next) if self.next else "the end"

    def take(self, expected: str) -> bool:
        """Step over ``expected``, if that comes next."""
        if not self.text.startswith(expected, self.position):
            return False
        self.position += len(expected)
        return True

    def require(self, expected: str, context: str) -> None:
        """Step over ``expected``, which must come next."""
        if not self.take(expected):
            self.fail(f"expected {expected!r} {context}, found {self.found()}")

    def skip_space(self, *, newlines: bool) -> None:
        """Step over blanks and comments, and over ends of lines where these mean nothing."""
        blanks = " \t\r\n" if newlines else " \t"
        while self.next and (self.next in blanks or self.next == "#"):
            if self.next == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
            else:
                self.position += 1

    def word(self) -> str:
        """The letters, digits, - and _ that come next, perhaps none."""
        start = self.position
        while self.next and self.next.isascii() and (self.next.isalnum() or self.next in "-_"):
            self.position += 1
        return self.text[start : self.position]

    def number(self) -> int:
        """The whole number that must come next."""
        start = self.position
        while self.next and self.next in "0123456789":
            self.position += 1
        digits = self.text[start : self.position]
        if not digits:
            self.fail(f"expected a number, found {self.found()}")
        if len(digits) > 6:
            self.fail("the number is too large", start)
        return int(digits)

    def character(self) -> int:
        """The code point of the next character, or of the escape that stands for one."""
        start = self.position
        if not self.next:
            self.fail("unexpected end of the grammar")
        char = self.next
        self.position += 1
        if char != "\\":
            return self._checked(ord(char), start)
        kind = self.next
        self.position += 1
        if kind in _ESCAPES:
            return _ESCAPES[kind]
        if kind in _HEX_DIGITS:
            digits = self.text[self.position : self.position + _HEX_DIGITS[kind]]
            self.position += len(digits)
            if len(digits) == _HEX_DIGITS[kind] and set(digits) <= set("0123456789abcdefABCDEF"):
                return self._checked(int(digits, 16), start)
        return self.fail(f"unknown escape {self.text[start : self.position]!r}", start)

    def _checked(self, code: int, start: int) -> int:
        if code > LARGEST_CODE_POINT or code in _SURROGATES:
            self.fail(f"U+{code:04X} is no character", start)
        return code
