"""Statistics of importance matrices, and which experts saw data."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from imatrix.imatrix_samples import DENSE, MIXED, entry, sample

from pyllama.imatrix import Imatrix, by_layer, coverage, statistics


def test_of_a_tensor() -> None:
    row, mixed = statistics(sample(Path("i")))
    assert (row.name, row.kind, row.layer, row.count) == (DENSE, "ffn_down", 0, 3)
    assert (row.total, row.least, row.largest, row.mean) == (6, 1, 3, 2)
    assert row.deviation == pytest.approx(math.sqrt(2 / 3))
    assert (row.active, row.above) == (1, pytest.approx(1 / 3))
    shares = (1 / 6, 2 / 6, 3 / 6)
    assert row.entropy == pytest.approx(-sum(p * math.log2(p) for p in shares))
    assert row.normalized_entropy == pytest.approx(row.entropy / math.log2(3))
    assert (mixed.name, mixed.count) == (MIXED, 4), "the expert without data does not count"
    assert (mixed.total, mixed.least) == (1 + 2 + 0.5 + 0.25, 0.25)


def test_of_columns_that_never_matter() -> None:
    rows = statistics(Imatrix(Path("i"), {DENSE: entry([[0, 0]], [4]), MIXED: entry([[1]], [0])}))
    (row,) = rows
    assert (row.total, row.entropy, row.above, row.active) == (0, 0, 0, 0)


def test_similarity_with_the_layer_before() -> None:
    entries = {
        "blk.9.attn_q.weight": entry([[3, 4]], [1]),
        "blk.10.attn_q.weight": entry([[4, 3]], [7]),
        "blk.11.attn_q.weight": entry([[4, 3, 1]], [7]),
        "output.weight": entry([[4, 3]], [7]),
    }
    found = {row.name: row.similarity for row in statistics(Imatrix(Path("i"), entries))}
    assert found["blk.10.attn_q.weight"] == pytest.approx(24 / 25)
    assert [found[name] for name in entries if name != "blk.10.attn_q.weight"] == [0, 0, 0]


def test_order_is_by_kind_then_by_total() -> None:
    names = ["blk.0.ffn_up.weight", "blk.1.ffn_up.weight", "blk.0.attn_v.weight"]
    entries = {name: entry([[n + 1.0]], [1]) for n, name in enumerate(names)}
    found = [row.name for row in statistics(Imatrix(Path("i"), entries))]
    assert found == [names[2], names[1], names[0]]


def test_layers_weigh_tensors_by_their_columns() -> None:
    entries = {
        "blk.2.attn_q.weight": entry([[1, 2]], [1]),
        "blk.2.ffn_down.weight": entry([[4, 4, 4, 4]], [2]),
        "output.weight": entry([[9]], [1]),
    }
    (layer,) = by_layer(statistics(Imatrix(Path("i"), entries)))
    assert (layer.layer, layer.total) == (2, pytest.approx((2 * 3 + 4 * 8) / 6))
    assert layer.similarity == 0


def test_experts_without_data() -> None:
    alike = {
        f"blk.1.ffn_{side}_exps.weight": entry([[1]] * 3, [4, 0, 2]) for side in ("up", "down")
    }
    other = {"blk.2.ffn_up_exps.weight": entry([[1]] * 2, [1, 1]), DENSE: entry([[1]], [1])}
    first, second = coverage(Imatrix(Path("i"), alike | other))
    assert (first.place, first.unused, second.place, second.unused) == ("blk.1", (1,), "blk.2", ())
