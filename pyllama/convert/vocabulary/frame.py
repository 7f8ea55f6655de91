"""What a tokenizer puts around a text (``post_processor`` of ``tokenizer.json``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyllama.convert.vocabulary.document import Document, Step

_PAIRS = {"BertProcessing": 1, "RobertaProcessing": 2}
"""How many separators stand between the two texts of a pair."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Ids before a text, after it, and between the two texts of a pair."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    between: tuple[int, ...] = ()


def read_frame(document: Document) -> Frame:
    """The frame, empty where the file names none. Raises ``ConversionError``."""
    for step in document.post_processors:
        kind = str(step.get("type"))
        if kind in _PAIRS:
            start, end = _named_id(document, step, "cls"), _named_id(document, step, "sep")
            return Frame((start,), (end,), (end,) * _PAIRS[kind])
        if kind == "TemplateProcessing":
            return _template(document, step)
    return Frame()


def _template(document: Document, step: Step) -> Frame:
    single = list(_pieces(document, step, "single"))
    pair = list(_pieces(document, step, "pair"))
    if "A" not in single:
        raise document.error("its template for a text has no place for the text")
    at = single.index("A")
    between: list[int | str] = []
    if "A" in pair and "B" in pair:
        between = pair[pair.index("A") + 1 : pair.index("B")]
    return Frame(_ids(single[:at]), _ids(single[at + 1 :]), _ids(between))


def _ids(pieces: list[int | str]) -> tuple[int, ...]:
    return tuple(piece for piece in pieces if isinstance(piece, int))


def _pieces(document: Document, step: Step, name: str) -> Iterator[int | str]:
    """The ids of special tokens, and ``A`` and ``B`` for the texts."""
    pieces = step.get(name) or []
    tokens = step.get("special_tokens") or {}
    if not isinstance(pieces, list) or not isinstance(tokens, dict):
        raise document.error(f"the template {name} is no list of pieces")
    for piece in pieces:
        match piece:
            case {"Sequence": {"id": "A" | "B" as text}}:
                yield text
            case {"SpecialToken": {"id": str(text)}} if text in tokens:
                yield from _special(document, text, tokens)
            case _:
                raise document.error(f"the template {name} has a piece that is no token or text")


def _special(document: Document, text: str, tokens: Mapping[str, Any]) -> Iterator[int]:
    match tokens[text]:
        case {"ids": list(ids)}:
            yield from (document.checked_id(id, text) for id in ids)
        case _:
            raise document.error("a special token of the template has no ids")


def _named_id(document: Document, step: Step, name: str) -> int:
    match step.get(name):
        case [str(text), id]:
            return document.checked_id(id, text)
    raise document.error(f"{step['type']} has no token {name}")
