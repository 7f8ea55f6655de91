"""Compares the tokenizer of a finished file with the checkpoint's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyllama.convert.vocabulary.originals import Original
from pyllama.gguf.wording import quoted
from pyllama.tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class Difference:
    """A text that gets other ids: those of the original, and those of the GGUF file."""

    text: str
    original: tuple[int, ...]
    converted: tuple[int, ...]

    def __str__(self) -> str:
        at = next(
            (
                i
                for i, pair in enumerate(zip(self.original, self.converted, strict=False))
                if len(set(pair)) > 1
            ),
            min(len(self.original), len(self.converted)),
        )
        ours, theirs = (list(ids[at : at + 4]) for ids in (self.converted, self.original))
        return f"{quoted(self.text)}: from token {at} on {ours}, the original has {theirs}"


def check_round_trip(
    original: Original, tokenizer: Tokenizer, texts: Iterable[str]
) -> list[Difference]:
    """The texts that ``tokenizer`` encodes otherwise than ``original``, nothing added to them."""
    differences = []
    for text in texts:
        expected = original.encode(text)
        ids = tokenizer.encode(text, add_special=False, parse_special=original.parses_special)
        if ids != expected:
            differences.append(Difference(text, tuple(expected), tuple(ids)))
    return differences
