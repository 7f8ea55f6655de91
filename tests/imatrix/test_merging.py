"""Sums of importance matrices, and the models that they belong to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from imatrix.imatrix_samples import DENSE, MIXED, entry, sample

from pyllama.errors import FileError
from pyllama.imatrix import Format, Imatrix, check_fits, merge, read_imatrix, write_imatrix

A, B, TARGET = Path("a.gguf"), Path("b.gguf"), Path("c.gguf")


def test_sums_and_counts_are_added() -> None:
    total = merge(TARGET, [sample(A), sample(B, 2)])
    assert total.source == TARGET
    assert total.entries[DENSE].sums.tolist() == [[24, 48, 72]]
    assert total.entries[MIXED].counts.tolist() == [12, 36, 0]
    assert total.datasets == ("a.txt", "a.txt")
    assert (total.chunks, total.chunk_size) == (9, 4)  # 36 tokens at the busiest expert


def test_an_entry_of_one_file_alone_stays() -> None:
    more = replace(sample(B), entries={**sample(B).entries, "output.weight": entry([[5]], [1])})
    assert merge(TARGET, [sample(A), more]).entries["output.weight"].sums.tolist() == [[5]]


def test_the_chunk_size_is_that_of_the_first_that_has_one() -> None:
    unknown = replace(sample(A), chunk_size=0)
    assert merge(TARGET, [unknown, sample(B)]).chunk_size == 4
    assert merge(TARGET, [unknown, sample(B)], chunk_size=2).chunk_size == 2
    assert merge(TARGET, [unknown]).chunk_size == 512


def test_counts_of_chunks_become_counts_of_tokens(tmp_path: Path) -> None:
    old = sample(tmp_path / "old.dat")
    write_imatrix(old, Format.DAT)
    total = merge(TARGET, [read_imatrix(old.source), sample(B)])
    assert total.entries[DENSE].counts.tolist() == [8 + 2 * 4]
    assert total.entries[DENSE].means.tolist() == [[1, 2, 3]]
    assert total.entries[MIXED].counts.tolist() == [12 + 4, 12 + 12, 12]


def test_a_count_of_all_heads_is_that_of_each() -> None:
    whole, heads = (
        Imatrix(path, {"blk.0.attn_k_b.weight": one})
        for path, one in ((A, entry([[1, 2, 3, 4]], [5])), (B, entry([[1, 2], [3, 4]], [5, 5])))
    )
    for parts in ([whole, heads], [heads, whole]):
        (total,) = merge(TARGET, parts).entries.values()
        assert total.sums.tolist() == [[2, 4], [6, 8]]
        assert total.counts.tolist() == [10, 10]


@pytest.mark.parametrize(
    ("name", "other", "problem"),
    [
        (DENSE, entry([[1, 2]], [8]), "has 1 x 2 and 1 x 3 columns here and in the others"),
        (MIXED, entry([[1, 2, 3]] * 2, [8, 8]), "has 2 x 3 and 3 x 2 columns here and"),
    ],
)
def test_another_shape_is_refused(name: str, other: object, problem: str) -> None:
    odd = replace(sample(B), entries={**sample(B).entries, name: other})
    with pytest.raises(FileError, match=rf"b\.gguf: '{name}' {problem}"):
        merge(TARGET, [sample(A), odd])


def test_other_layers_are_refused() -> None:
    odd = replace(sample(B), entries={DENSE: sample(B).entries[DENSE]})
    with pytest.raises(FileError, match=r"b\.gguf: has not the layers of a\.gguf: 1, not 2"):
        merge(TARGET, [sample(A), odd])


def test_what_fits_a_model() -> None:
    shapes = {DENSE: (7, 3), MIXED: (3, 5, 2)}
    check_fits(sample(A), shapes, Path("m.gguf"))
    with pytest.raises(FileError, match=rf"a\.gguf: '{MIXED}' has 6 columns, in m\.gguf it has 8"):
        check_fits(sample(A), {**shapes, MIXED: (4, 5, 2)}, Path("m.gguf"))
    with pytest.raises(FileError, match=rf"a\.gguf: m\.gguf has no tensor '{MIXED}'"):
        check_fits(sample(A), {DENSE: (7, 3)}, Path("m.gguf"))
