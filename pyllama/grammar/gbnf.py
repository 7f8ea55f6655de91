"""GBNF, llama.cpp's format of grammars.

    root   ::= answer ("," ws answer)*      # a rule, a group, a repetition, a comment
    answer ::= "yes" | "no" | [0-9]{1,3}    # alternatives, texts, a set of characters
    ws     ::= [ \\t\\n]*                     # [^...] is any other character, . is any at all

Repetitions are ``*`` ``+`` ``?`` ``{n}`` ``{n,}`` ``{n,m}``; escapes in texts and sets ``\\n \\r
\\t \\" \\\\ \\[ \\] \\xHH \\uHHHH \\UHHHHHHHH``. A rule ends with its line, except inside of
parentheses and after ``::=`` and ``|``. The text must match the rule ``root``.
"""

from __future__ import annotations

from pyllama.errors import GrammarError
from pyllama.grammar.scanner import Scanner
from pyllama.grammar.syntax import (
    LARGEST_CODE_POINT,
    Alternatives,
    Characters,
    Node,
    Reference,
    Repetition,
    Rules,
    Sequence,
)

ROOT = "root"
_MAX_DEPTH = 100
"""Parentheses within parentheses; more are no grammar that someone wrote."""
_MAX_REPETITIONS = 2000
"""As in llama.cpp: more make a grammar that takes too long."""


def parse_gbnf(text: str, source: str) -> Rules:
    """The rules of a grammar; raises GrammarError for text that is none, with line and column."""
    return _Parser(text, source).rules()


class _Parser:
    """One function for each construct; each begins at its first character and ends after it."""

    def __init__(self, text: str, source: str) -> None:
        self._scan = Scanner(text, source)
        self._depth = 0
        self._references: list[Reference] = []

    def rules(self) -> Rules:
        scan = self._scan
        rules: dict[str, Node] = {}
        scan.skip_space(newlines=True)
        while scan.next:
            start = scan.position
            name = scan.word()
            if not name:
                scan.fail(f"expected the name of a rule, found {scan.found()}")
            if name in rules:
                scan.fail(f"the rule {name!r} is defined twice", start)
            scan.skip_space(newlines=False)
            scan.require("::=", f"after the name {name!r}")
            scan.skip_space(newlines=True)
            rules[name] = self._alternatives()
            if scan.next and scan.next not in "\r\n":
                scan.fail(f"expected the end of the line, found {scan.found()}")
            scan.skip_space(newlines=True)
        self._check(rules)
        return rules

    def _check(self, rules: Rules) -> None:
        if ROOT not in rules:
            raise GrammarError(self._scan.source, f"there is no rule {ROOT!r} to begin with")
        for reference in self._references:
            if reference.name not in rules:
                problem = f"there is no rule {reference.name!r}"
                self._scan.fail(problem, reference.position)

    def _alternatives(self) -> Node:
        choices = [self._sequence()]
        while self._scan.take("|"):
            self._scan.skip_space(newlines=True)
            choices.append(self._sequence())
        return choices[0] if len(choices) == 1 else Alternatives(tuple(choices))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while (item := self._item()) is not None:
            self._skip()
            items.append(self._repeated(item))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _item(self) -> Node | None:
        scan = self._scan
        if scan.next == '"':
            return self._literal()
        if scan.next == "[":
            return self._set()
        if scan.take("."):
            return Characters(((0, LARGEST_CODE_POINT),))
        if scan.next == "(":
            return self._group()
        if scan.next and scan.next in "*+?{":
            scan.fail(f"{scan.next!r} repeats nothing")
        if scan.next in ("<", "!"):
            scan.fail("references to tokens are not supported; write the token's text")
        start = scan.position
        name = scan.word()
        if not name:
            return None
        self._references.append(Reference(name, start))
        return self._references[-1]

    def _group(self) -> Node:
        scan = self._scan
        scan.take("(")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            scan.fail("too many parentheses within each other")
        scan.skip_space(newlines=True)
        node = self._alternatives()
        scan.require(")", "at the end of the group")
        self._depth -= 1
        return node

    def _literal(self) -> Node:
        scan = self._scan
        start = scan.position
        scan.take('"')
        items = []
        while not scan.take('"'):
            if not scan.next:
                scan.fail("the text is not closed", start)
            code = scan.character()
            items.append(Characters(((code, code),)))
        return Sequence(tuple(items))

    def _set(self) -> Node:
        scan = self._scan
        start = scan.position
        scan.take("[")
        negated = scan.take("^")
        ranges = []
        while not scan.take("]"):
            if not scan.next:
                scan.fail("the set of characters is not closed", start)
            place = scan.position
            low = high = scan.character()
            if scan.next == "-" and not scan.text.startswith("-]", scan.position):
                scan.take("-")
                high = scan.character()
            if high < low:
                scan.fail("the range ends before it begins", place)
            ranges.append((low, high))
        if not ranges:
            scan.fail("the set of characters is empty", start)
        return Characters(tuple(ranges), negated)

    def _repeated(self, item: Node) -> Node:
        """The item with the repetitions that follow it."""
        scan = self._scan
        kinds: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        for _ in range(_MAX_DEPTH):
            if scan.next in kinds:
                least, most = kinds[scan.next]
                scan.position += 1
            elif scan.next == "{":
                least, most = self._bounds()
            else:
                return item
            item = Repetition(item, least, most)
            self._skip()
        return scan.fail("too many repetitions of repetitions")

    def _bounds(self) -> tuple[int, int | None]:
        scan = self._scan
        start = scan.position
        scan.take("{")
        self._skip()
        least = scan.number()
        most: int | None = least
        self._skip()
        if scan.take(","):
            self._skip()
            most = scan.number() if scan.next != "}" else None
            self._skip()
        scan.require("}", "after the number of repetitions")
        if most is not None and most < least:
            scan.fail("the largest number of repetitions is below the smallest", start)
        if max(least, most or 0) > _MAX_REPETITIONS:
            scan.fail(f"more than {_MAX_REPETITIONS} repetitions", start)
        return least, most

    def _skip(self) -> None:
        """Step over space; the end of a line means nothing inside of parentheses."""
        self._scan.skip_space(newlines=self._depth > 0)
