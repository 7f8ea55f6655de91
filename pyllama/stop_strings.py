"""Texts that end a generation, found in a stream that arrives in pieces."""

from __future__ import annotations

from collections.abc import Collection

from pyllama.errors import UsageError


class StopStrings:
    """Passes text on, but never the beginning of what may become a stop string.

    Of several that are found the one that begins first counts.
    """

    def __init__(self, strings: Collection[str] = ()) -> None:
        """Raises UsageError for an empty string, which every text contains."""
        if "" in strings:
            raise UsageError("a stop string is empty; give at least one character")
        self._strings = tuple(strings)
        self._held = ""
        self.found: str | None = None

    def push(self, text: str) -> str:
        """The text that can be shown now; once ``found`` is set, what precedes the stop string."""
        if not self._strings:
            return text
        self._held += text
        return self._show(until=self._begun())

    def finish(self) -> str:
        """What is still held back, when no more text comes; nothing where a string was found."""
        return "" if self.found else self._show(until=len(self._held))

    def _show(self, until: int) -> str:
        """The held text up to ``until``, or up to a stop string that begins before."""
        starts = [(self._held.find(string), string) for string in self._strings]
        first = min(((at, string) for at, string in starts if at >= 0), default=None)
        if first is not None and first[0] <= until:
            until, self.found = first
        shown, self._held = self._held[:until], self._held[until:]
        return shown

    def _begun(self) -> int:
        """Where the first stop string begins that the end of the text leaves unfinished."""
        text = self._held
        longest = max((len(string) for string in self._strings), default=1) - 1
        for start in range(max(0, len(text) - longest), len(text)):
            tail = text[start:]
            if any(string.startswith(tail) and string != tail for string in self._strings):
                return start
        return len(text)
