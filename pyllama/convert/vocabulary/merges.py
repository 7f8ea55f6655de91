"""The merges of a BPE model in ``tokenizer.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyllama.convert.vocabulary.document import Document
from pyllama.gguf.wording import quoted

Pair = tuple[str, str]


def read_merges(document: Document) -> list[Pair]:
    """Left and right, the best first; ``ConversionError`` where one is not made of tokens."""
    listed = document.model.get("merges")
    if not isinstance(listed, list):
        raise document.error("model.merges is no list")
    vocab = document.vocab
    pairs: list[Pair] = []
    for rank, entry in enumerate(listed):
        pair = _pair(entry)
        if pair is None:
            raise document.error(f"merge {rank}, {quoted(repr(entry))}, is not a pair of tokens")
        for text in (*pair, pair[0] + pair[1]):
            if text not in vocab:
                whole = quoted(" ".join(pair))
                raise document.error(
                    f"merge {rank}, {whole}, names an unknown token {quoted(text)}"
                )
        pairs.append(pair)
    return pairs


def joined(pairs: Sequence[Pair]) -> list[str] | None:
    """Each pair as GGUF writes it; ``None`` where a token has a space in it, which it cannot."""
    if any(" " in left or " " in right for left, right in pairs):
        return None
    return [f"{left} {right}" for left, right in pairs]


def sentencepiece_ranks(pairs: Sequence[Pair], mergeable: Mapping[str, int]) -> dict[str, int]:
    """The rank of each token that merges make, if SentencePiece would make the same merges.

    SentencePiece ranks what a merge makes, and merges any two tokens that make a token. So all the
    ways to make a token must be merges, and must follow each other. Empty if they do not.

    Args:
        pairs: the merges, the best first.
        mergeable: the ordinary tokens.
    """
    ranks: dict[str, int] = {}
    last = ""
    for left, right in pairs:
        made = left + right
        if made not in mergeable:
            continue
        if made != last and made in ranks:
            return {}
        last = made
        ranks.setdefault(made, len(ranks))
    known = set(pairs)
    ways = ((text[:cut], text[cut:]) for text in mergeable for cut in range(1, len(text)))
    missing = any(
        left in mergeable and right in mergeable and (left, right) not in known
        for left, right in ways
    )
    return {} if missing else ranks


def _pair(entry: object) -> Pair | None:
    match entry:
        case [str(left), str(right)]:
            return left, right
        case str(text) if text.count(" ") == 1:
            left, _, right = text.partition(" ")
            return left, right
    return None
