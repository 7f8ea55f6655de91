"""The merge loop that SentencePiece's BPE and GPT-2's BPE share.

Both join neighbouring symbols, best pair first, the leftmost of equals. They differ only in what
makes a pair good: SentencePiece looks up the joined text (its score), GPT-2 the pair (its rank).
Source: Sennrich et al. 2016 for the idea; SentencePiece and llama.cpp for the order of equals.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush


def merge(symbols: list[str], ranks: Mapping[str, float], joint: str) -> list[str]:
    """Join ``symbols`` until no neighbours are in ``ranks``; the argument is used up.

    Args:
        symbols: the text, one character each.
        ranks: the lower, the sooner; keyed by ``left + joint + right``.
        joint: ``""`` where the joined text ranks, ``" "`` where the pair does.

    O(n log n) for n symbols.
    """
    end = len(symbols)
    following, previous = list(range(1, end + 1)), list(range(-1, end - 1))
    # (rank, left, length): the length tells later whether the pair still is what it was
    queue: list[tuple[float, int, int]] = []
    for left in range(end - 1):
        rank = ranks.get(symbols[left] + joint + symbols[left + 1])
        if rank is not None:
            queue.append((rank, left, len(symbols[left]) + len(symbols[left + 1])))
    heapify(queue)
    while queue:
        _, left, length = heappop(queue)
        right = following[left]
        if not symbols[left] or right == end:
            continue
        if len(symbols[left]) + len(symbols[right]) != length:
            continue
        symbols[left] += symbols[right]
        symbols[right] = ""
        beyond = following[left] = following[right]
        if beyond < end:
            previous[beyond] = left
            rank = ranks.get(symbols[left] + joint + symbols[beyond])
            if rank is not None:
                heappush(queue, (rank, left, length + len(symbols[beyond])))
        before = previous[left]
        if before >= 0:
            rank = ranks.get(symbols[before] + joint + symbols[left])
            if rank is not None:
                heappush(queue, (rank, before, len(symbols[before]) + length))
    return [symbol for symbol in symbols if symbol]
