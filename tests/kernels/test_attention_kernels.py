"""Writing the cache and attending to it, for every cache type and shape of heads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from kernel_cases.attention import Heads, Tokens, attention_case, store_case
from kernel_cases.targets import MAIN, TILES
from quick import in_turn

from pyllama.kernels.attention import parts_of
from pyllama.kernels.cache_types import CACHE_TYPES
from pyllama.kernels.jit import Library

SHAPES = [
    Heads(16, 1, 2, 1, "f32", "f32"),
    Heads(24, 2, 1, 3, "f16", "f16"),
    Heads(32, 4, 2, 1, "q8_0", "q8_0"),
    Heads(64, 1, 2, 16, "bf16", "bf16"),
    Heads(64, 4, 2, 4, "f16", "f16"),
    Heads(80, 3, 1, 2, "f16", "f32"),
    Heads(96, 2, 2, 8, "q8_0", "f16"),
    Heads(128, 8, 1, 2, "f16", "q8_0"),
    Heads(128, 5, 2, 1, "bf16", "f16"),
    Heads(64, 4, 2, 4, "q4_0", "q4_0"),
    Heads(32, 1, 3, 1, "q5_0", "q4_1"),
    Heads(96, 3, 1, 2, "iq4_nl", "q5_0"),
    Heads(64, 8, 1, 1, "q4_1", "q5_1"),
    Heads(128, 2, 2, 3, "q5_1", "iq4_nl"),
    Heads(9, 2, 2, 1, "f16", "f32"),
    Heads(72, 3, 1, 2, "f16", "f16", latent=64),
    Heads(96, 5, 1, 3, "q8_0", "q8_0", latent=64),
    Heads(160, 1, 2, 1, "q4_1", "q4_1", latent=128),
]
"""Every head size, cache type, and number of rows around whole register tiles."""

CHANGES = [
    pytest.param({"softcap": 2.0}, id="softcap"),
    pytest.param({"alibi": 8.0}, id="alibi"),
    pytest.param({"softcap": 2.0, "alibi": 8.0}, id="softcap+alibi"),
    pytest.param({"has_sinks": True}, id="sinks"),
]
"""Everything that may happen to scores."""

LENGTHS = (0, 1, 14, 15, 16, 17, 62, 63, 64, 65, 127, 128, 200)
"""Tokens before the new ones, around the edges of 16 and 64 cells."""


def name(heads: Heads) -> str:
    """A test id."""
    shape = f"{heads.head_dim}x{heads.heads_per_kv}x{heads.kv_heads}"
    return f"{shape}-{heads.key_type}-{heads.value_type}"


def named(shapes: Iterable[Heads]) -> list[Any]:
    """Shapes as parameters."""
    return [pytest.param(heads, id=name(heads)) for heads in shapes]


EVERY_SHAPE = pytest.mark.parametrize(
    ("heads", "library"), in_turn(named(SHAPES), MAIN), indirect=["library"]
)


@EVERY_SHAPE
def test_lengths(heads: Heads, library: Library) -> None:
    for past in LENGTHS:
        attention_case(heads, [Tokens(0, past, 1)]).run(library)


@EVERY_SHAPE
def test_prompts_of_several_sequences(heads: Heads, library: Library) -> None:
    tokens = [Tokens(2, 5, 17), Tokens(0, 0, 33), Tokens(1, 100, 1), Tokens(3, 63, 2)]
    attention_case(heads, tokens).run(library)


@pytest.mark.parametrize("window", [1, 2, 15, 16, 17, 63, 64, 65, 100, 200])
def test_windows(window: int, library: Library) -> None:
    for heads in SHAPES[3:5]:
        attention_case(heads, [Tokens(0, 70, 20), Tokens(1, 130, 3)], window).run(library)


def test_a_full_cache(library: Library) -> None:
    for heads in SHAPES[2:4]:
        attention_case(heads, [Tokens(0, 100, 28)], capacity=128).run(library)


@pytest.mark.parametrize("window", [None, 500, 1300])
@pytest.mark.parametrize("heads", SHAPES[1:4], ids=name)
def test_parts(heads: Heads, window: int | None, library: Library) -> None:
    alone = replace(heads, tile=1)
    tokens = [Tokens(0, 10, 1), Tokens(1, 511, 2), Tokens(2, 1030, 3), Tokens(3, 2000, 1)]
    attention_case(alone, tokens, window, capacity=2048, parts=3).run(library)


def test_few_heads_are_split_into_more_parts() -> None:
    assert [parts_of(capacity=4096, kv_heads=n) for n in (1, 8, 32, 100)] == [8, 8, 2, 1]
    assert parts_of(capacity=512, kv_heads=1) == 1


@pytest.mark.parametrize("spread", [0.0, 30.0, 1000.0])
def test_equal_scores_and_scores_far_apart(spread: float, library: Library) -> None:
    attention_case(SHAPES[3], [Tokens(0, 130, 5)], spread=spread).run(library)


@pytest.mark.parametrize(("heads", "change"), in_turn(named(SHAPES[1:6]), CHANGES))
def test_changed_scores(heads: Heads, change: dict[str, Any], library: Library) -> None:
    tokens = [Tokens(0, 70, 20), Tokens(1, 130, 3)]
    attention_case(heads, tokens, spread=3.0, **change).run(library)


@pytest.mark.parametrize(("change", "library"), in_turn(CHANGES, MAIN), indirect=["library"])
def test_changed_scores_of_parts(change: dict[str, Any], library: Library) -> None:
    alone = replace(SHAPES[3], tile=1)
    attention_case(alone, [Tokens(0, 1030, 2)], 800, 2048, parts=3, **change).run(library)


@pytest.mark.parametrize(("type", "library"), in_turn(CACHE_TYPES, MAIN), indirect=["library"])
def test_store(type: str, library: Library) -> None:
    cells = [(0, 0), (0, 1), (1, 15), (1, 16), (2, 63), (0, 40)]
    for other in ("f32", "q8_0"):
        store_case(Heads(64, 1, 3, 1, type, other), cells).run(library)
        store_case(Heads(32, 1, 2, 1, other, type), cells).run(library)
    store_case(Heads(96, 1, 2, 1, type, type, latent=64), cells).run(library)


TILE_SHAPES = [
    Heads(64, 4, 2, 64, "f16", "f16"),
    Heads(32, 1, 2, 256, "q8_0", "q8_0"),
    Heads(96, 3, 1, 5, "bf16", "f32"),
    Heads(128, 8, 1, 32, "f32", "q8_0"),
    Heads(64, 2, 1, 16, "q4_0", "q5_1"),
    Heads(96, 1, 2, 64, "q5_0", "q4_1"),
    Heads(32, 4, 1, 16, "iq4_nl", "q5_0"),
    Heads(32, 1, 1, 64, "q4_1", "iq4_nl"),
    Heads(64, 1, 1, 64, "q5_1", "q4_0"),
    Heads(96, 5, 1, 16, "f16", "f16", latent=64),
    Heads(64, 3, 2, 16, "q4_0", "q4_0", latent=32),
]


@pytest.mark.parametrize("library", TILES, indirect=True)
@pytest.mark.parametrize(("heads", "window"), in_turn(named(TILE_SHAPES), (None, 1, 31, 33, 150)))
def test_tiles(heads: Heads, window: int | None, library: Library) -> None:
    tokens = [Tokens(2, 5, 17), Tokens(0, 0, 33), Tokens(1, 127, 3), Tokens(3, 100, 100)]
    attention_case(heads, tokens, window, by_tiles=True).run(library)


@pytest.mark.parametrize("library", TILES, indirect=True)
@pytest.mark.parametrize(("heads", "change"), in_turn(named(TILE_SHAPES), CHANGES))
def test_changed_scores_of_tiles(change: dict[str, Any], heads: Heads, library: Library) -> None:
    tokens = [Tokens(2, 5, 17), Tokens(0, 0, 33), Tokens(3, 100, 100)]
    attention_case(heads, tokens, 90, by_tiles=True, **change).run(library)


@pytest.mark.parametrize("library", TILES, indirect=True)
@pytest.mark.parametrize("past", LENGTHS)
def test_lengths_of_tiles(past: int, library: Library) -> None:
    attention_case(TILE_SHAPES[0], [Tokens(0, past, 2)], by_tiles=True).run(library)
