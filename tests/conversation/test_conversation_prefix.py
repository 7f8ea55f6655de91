"""Which held tokens begin a prompt: those that spell the same, whatever their ids."""

from __future__ import annotations

import random

import pytest

from pyllama.conversation.prefix import common_prefix, spliced

PIECES = [b"", b"a", b"b", b"ab", b"ba", b"aba", b"|"]


def piece(token: int) -> bytes:
    return PIECES[token]


def spelled(tokens: list[int]) -> bytes:
    return b"".join(map(piece, tokens))


@pytest.mark.parametrize(
    ("held", "wanted", "prompt", "reused"),
    [
        ([], [1, 2], [1, 2], 0),
        ([1], [1, 2], [1, 2], 1),
        ([1, 2], [1, 2], [1, 2], 1),  # the last token is evaluated again
        ([1, 2, 6], [1, 2], [1, 2], 1),
        ([1, 2], [3, 6], [1, 2, 6], 2),  # held as a, b; encoded as ab
        ([3], [1, 2, 6], [3, 6], 1),
        ([1, 4, 6], [5, 6, 1], [1, 4, 6, 1], 3),
        ([3, 1], [5, 6], [3, 1, 6], 2),
        ([1, 3], [5, 6], [5, 6], 0),  # aab is not aba
        ([1, 2, 1], [3, 2], [1, 2, 2], 2),
        ([3], [1, 6], [1, 6], 0),  # no boundary where both spell the same
    ],
)
def test_texts_are_compared(
    held: list[int], wanted: list[int], prompt: list[int], reused: int
) -> None:
    assert spliced(held, wanted, piece) == (prompt, reused)


def test_any_prompt_spells_what_was_wanted_and_begins_with_what_is_held() -> None:
    draw = random.Random(1)
    for _ in range(2000):
        held = [draw.randrange(1, len(PIECES)) for _ in range(draw.randrange(8))]
        wanted = [draw.randrange(1, len(PIECES)) for _ in range(draw.randrange(1, 8))]
        prompt, reused = spliced(held, wanted, piece)
        assert spelled(prompt) == spelled(wanted)
        assert prompt[:reused] == held[:reused]
        assert min(common_prefix(held, wanted), len(prompt) - 1) <= reused < len(prompt)
