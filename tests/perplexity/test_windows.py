"""How texts are cut."""

from __future__ import annotations

import numpy as np
import pytest

from pyllama.errors import PyllamaError, UsageError
from pyllama.perplexity.windows import Windows

TOKENS = np.arange(100, 1600, dtype=np.int32)


@pytest.mark.parametrize(("size", "first", "scored"), [(512, 257, 255), (511, 256, 255), (3, 2, 1)])
def test_second_halves_are_scored(size: int, first: int, scored: int) -> None:
    windows = Windows.chunks(TOKENS, size, bos=None)
    assert (windows.count, windows.scored) == (1500 // size, scored)
    batch, targets = windows.batch(1, 2)
    assert targets.tolist() == TOKENS[size + first : 2 * size].tolist()
    assert batch.tokens.tolist() == TOKENS[size : 2 * size - 1].tolist()
    assert batch.outputs.tolist() == list(range(first - 1, size - 1))
    assert batch.positions.tolist() == list(range(size - 1))


def test_bos_takes_the_place_of_the_first_token() -> None:
    windows = Windows.chunks(TOKENS, 10, bos=1)
    batch, targets = windows.batch(3, 5)
    assert batch.tokens.reshape(2, 9)[:, 0].tolist() == [1, 1]
    assert batch.tokens.reshape(2, 9)[:, 1].tolist() == [131, 141]
    assert batch.sequences.tolist() == [0] * 9 + [1] * 9
    assert batch.outputs.tolist() == [5, 6, 7, 8, 14, 15, 16, 17]
    assert targets.tolist() == [136, 137, 138, 139, 146, 147, 148, 149]
    assert windows.tokens[30] == 130


def test_a_whole_window_ends_with_a_token_that_nothing_follows() -> None:
    windows = Windows.chunks(TOKENS, 10, bos=1)
    batch, targets = windows.batch(3, 5, whole=True)
    assert batch.tokens.tolist() == [1, *TOKENS[31:40].tolist(), 1, *TOKENS[41:50].tolist()]
    assert batch.outputs.tolist() == [5, 6, 7, 8, 15, 16, 17, 18]
    assert targets.tolist() == windows.batch(3, 5)[1].tolist()


def test_windows_that_overlap() -> None:
    windows = Windows.strided(TOKENS, 200, 100)
    assert (windows.size, windows.step, windows.scored, windows.bos) == (256, 100, 100, None)
    assert windows.count == 13  # ceil((1500 - 256) / 100)
    batch, targets = windows.batch(12, 13)
    assert batch.tokens[0] == 100 + 1200
    assert targets.tolist() == list(range(100 + 1356, 100 + 1456))


@pytest.mark.parametrize(("limit", "count"), [(-1, 15), (4, 4), (40, 15)])
def test_a_limit(limit: int, count: int) -> None:
    assert Windows.chunks(TOKENS, 100, None, limit).count == count


def test_saved_tokens_may_be_a_single_chunk() -> None:
    assert Windows.saved(TOKENS[:100], 100, None).count == 1


@pytest.mark.parametrize("stride", [-1, 0, 256])
def test_strides_of_no_sense(stride: int) -> None:
    with pytest.raises(UsageError, match=f"--ppl-stride is {stride}; it must be between 1 and 255"):
        Windows.strided(TOKENS, 100, stride)


def test_sizes_of_no_sense() -> None:
    with pytest.raises(UsageError, match="chunks of 2 tokens leave nothing to score"):
        Windows.chunks(TOKENS, 2, None)
    with pytest.raises(UsageError, match="no chunks leave nothing to measure"):
        Windows.chunks(TOKENS, 100, None, limit=0)


def test_texts_that_are_too_short() -> None:
    with pytest.raises(PyllamaError, match="the text has 1500 tokens, but at least 1502 are"):
        Windows.chunks(TOKENS, 751, None)
    with pytest.raises(PyllamaError, match="at least 1536 are needed for a context of 768"):
        Windows.strided(TOKENS, 700, 10)
