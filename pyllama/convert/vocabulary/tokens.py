"""The list of tokens of a GGUF file: one for each row of the embedding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyllama.convert.vocabulary.document import AddedToken
from pyllama.errors import ConversionError
from pyllama.gguf.wording import counted, quoted
from pyllama.tokenizers.vocabulary import TokenType
from pyllama.tokenizers.words import SPACE

UNRANKED = -1000.0
"""The score of a token that no merge makes."""

_SPECIAL_TEXTS = ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
_SPECIAL_ENDS = (("<|", "|>"), ("<｜", "｜>"), ("<unused", ">"))


class Token(NamedTuple):
    """A token as GGUF describes it; ``score``: the higher, the sooner it is made."""

    text: str
    type: TokenType
    score: float = UNRANKED


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """All tokens by id.

    Attributes:
        texts: no two are the same, none is empty.
        types: (n,) int32, ``TokenType``.
        scores: (n,) float32.
        ids: by text.
        warnings: what could not be kept, one line each.
    """

    texts: list[str]
    types: NDArray[np.int32]
    scores: NDArray[np.float32]
    ids: Mapping[str, int]
    warnings: tuple[str, ...]


def added(token: AddedToken, *, escaped_spaces: bool) -> Token:
    """An added token; ``escaped_spaces``: the tokenizer writes a space as U+2581.

    Some checkpoints do not mark all their control tokens; those are known by how they look.
    """
    text = token.text
    if token.special or text in _SPECIAL_TEXTS or _looks_special(text):
        return Token(text, TokenType.CONTROL)
    # such a token is looked for in the text itself, before spaces are escaped
    text = text.replace(SPACE, " ") if escaped_spaces else text
    return Token(text, TokenType.USER_DEFINED)


def complete(
    path: Path, model: Mapping[int, Token], added: Mapping[int, Token], rows: int
) -> Tokens:
    """Merge the tokens of the model and those added to it, by id, and fill up to ``rows``.

    Gaps become unused tokens ``[PAD<id>]``, and so does the second of two with the same text. What
    was added beyond the embedding is left out with a warning, because no weight belongs to it.
    ``ConversionError``, which names ``path``, where the model itself has more tokens than rows.
    """
    largest = max(model, default=-1)
    if largest >= rows:
        raise ConversionError(
            path,
            f"the vocabulary reaches up to token {largest}, but the embedding has {rows} rows",
            "the tokenizer is that of another model, or the weights were cut",
        )
    unknown = {id for id, token in model.items() if token.type is TokenType.UNKNOWN}
    merged = {**model, **{id: token for id, token in added.items() if id not in unknown}}
    merged = {id: token for id, token in merged.items() if token.text}
    beyond = {id: merged.pop(id).text for id in sorted(merged) if id >= rows}
    texts, doubles = _distinct(merged, rows)
    unused = Token("", TokenType.UNUSED)
    kept = [unused if id in doubles else merged.get(id, unused) for id in range(rows)]
    return Tokens(
        texts=texts,
        types=np.fromiter((token.type for token in kept), np.int32, rows),
        scores=np.fromiter((token.score for token in kept), np.float32, rows),
        ids=dict(zip(texts, range(rows), strict=True)),
        warnings=tuple(_warnings(merged, doubles, beyond, rows)),
    )


def by_id(
    tokens: Iterable[AddedToken], model: Mapping[int, Token], *, escaped_spaces: bool
) -> dict[int, Token]:
    """Added tokens as GGUF describes them; of two with the same id the later counts.

    One that the model has too has the id that it has there, as in the library.
    """
    ids = {token.text: id for id, token in model.items()}
    return {
        ids.get(token.text, token.id): added(token, escaped_spaces=escaped_spaces)
        for token in tokens
    }


def _looks_special(text: str) -> bool:
    return any(text.startswith(start) and text.endswith(end) for start, end in _SPECIAL_ENDS)


def _distinct(tokens: Mapping[int, Token], rows: int) -> tuple[list[str], dict[int, int]]:
    """A text for each id, and the ids that repeat the text of another one, with that one's id."""
    first: dict[str, int] = {}
    doubles: dict[int, int] = {}
    for id in sorted(tokens):
        other = first.setdefault(tokens[id].text, id)
        if other != id:
            doubles[id] = other
    texts = [
        tokens[id].text if id in tokens and id not in doubles else _filler(id, first)
        for id in range(rows)
    ]
    return texts, doubles


def _filler(id: int, taken: Mapping[str, int]) -> str:
    text = f"[PAD{id}]"
    while text in taken:
        text = f"[{text}]"
    return text


def _warnings(
    tokens: Mapping[int, Token], doubles: Mapping[int, int], beyond: Mapping[int, str], rows: int
) -> Iterable[str]:
    for id, other in list(doubles.items())[:1]:
        same = f"tokens {other} and {id} are both {quoted(tokens[id].text)}"
        more = f", and there are {len(doubles) - 1} more such" if len(doubles) > 1 else ""
        yield f"{same}{more}: the second is left out"
    for id, text in list(beyond.items())[:1]:
        more = counted(len(beyond), "added token")
        yield f"{more} from {quoted(text)} ({id}) on left out: the embedding has {rows} rows"
