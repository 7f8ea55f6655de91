"""Which of the tokens that a session holds already can begin the next prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def spliced(
    held: Sequence[int], wanted: Sequence[int], piece: Callable[[int], bytes]
) -> tuple[list[int], int]:
    """The prompt, which spells what ``wanted`` spells, and how many of its tokens are held.

    An answer is held as the model wrote it; the tokens that its text is encoded to may be others.
    So texts are compared, not ids: as long as both spell the same, the tokens that are held stand,
    and those that are wanted follow from where both have a boundary. At least one token is left to
    be evaluated. piece: the bytes of a token, also of a control token.
    """
    i = j = common_prefix(held, wanted)
    kept, taken = i, j
    mine = theirs = b""
    while mine.startswith(theirs) or theirs.startswith(mine):
        if mine == theirs:
            kept, taken = i, j
            mine = theirs = b""
        if len(mine) <= len(theirs):
            if i == len(held):
                break
            mine += piece(held[i])
            i += 1
        else:
            if j == len(wanted):
                break
            theirs += piece(wanted[j])
            j += 1
    prompt = [*held[:kept], *wanted[taken:]]
    return prompt, min(kept, len(prompt) - 1)


def common_prefix(one: Sequence[object], other: Sequence[object]) -> int:
    """How many elements, tokens or letters, both begin with."""
    differ = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))
