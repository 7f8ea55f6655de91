"""Two files of results side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyllama.bench.compare import Comparison, Spread, compare, ratios, read_results
from pyllama.errors import FileError, PyllamaError

ENTRY: dict[str, Any] = {
    "build_commit": "0c1e570",
    "cpu_info": "A Processor",
    "model_filename": "models/tiny.gguf",
    "model_type": "llama 8B Q8_0",
    "n_batch": 2048,
    "n_ubatch": 512,
    "n_threads": 2,
    "type_k": "f16",
    "type_v": "f16",
    "n_prompt": 512,
    "n_gen": 0,
    "n_depth": 0,
    "samples_ts": [10.0, 20.0, 30.0],
}


def written(path: Path, *changes: dict[str, Any]) -> Path:
    path.write_text(json.dumps([ENTRY | change for change in changes]))
    return path


def compared(folder: Path, a: list[dict[str, Any]], b: list[dict[str, Any]]) -> Comparison:
    files = (written(folder / "a.json", *a), written(folder / "b.json", *b))
    return compare(*map(read_results, files))


def test_spread() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)
    assert Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]) == Spread(3.0, 2.0, 4.0)
    assert ratios([10.0, 20.0], [20.0]) == Spread(1.5, 1.25, 1.75)


def test_json_and_json_lines(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text(json.dumps(ENTRY) + "\n\n" + json.dumps(ENTRY | {"n_gen": 8}) + "\n")
    first, second = read_results(lines)
    assert (first.test, second.test) == ((512, 0, 0), (512, 8, 0))
    assert first.samples == (10.0, 20.0, 30.0)
    assert read_results(written(tmp_path / "b.json", {})) == [first]


def test_tests_of_both_in_the_order_of_the_first(tmp_path: Path) -> None:
    generation = {"n_prompt": 0, "n_gen": 128, "n_depth": 64}
    found = compared(
        tmp_path,
        [generation, {}, {"n_prompt": 7}],
        [{"samples_ts": [40.0]}, generation | {"samples_ts": [10.0]}],
    )
    assert [row.test for row in found.rows] == ["tg128 @ d64", "pp512"]
    assert found.rows[0].ratio.median == 0.5
    assert found.rows[1].ratio.median == 2.0
    assert (found.differences, found.rows[0].settings) == ({}, {})


def test_what_tells_the_files_apart_is_no_obstacle(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        [{"isa": "avx2", "model_filename": "x/q8.gguf"}],
        [{"isa": "amx", "model_filename": "y/q4.gguf", "build_commit": "pyllama-1"}],
    )
    assert len(found.rows) == 1
    assert found.differences == {
        "build_commit": ("0c1e570", "pyllama-1"),
        "isa": ("avx2", "amx"),
        "model_filename": ("q8.gguf", "q4.gguf"),
    }


def test_folders_do_not_matter(tmp_path: Path) -> None:
    found = compared(tmp_path, [{}], [{"model_filename": "elsewhere/tiny.gguf"}])
    assert found.differences == {}


def test_what_varies_within_a_file_must_agree(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        [{"n_threads": 1}, {"n_threads": 2}],
        [{"n_threads": 2, "samples_ts": [60.0]}, {"n_threads": 4}],
    )
    (row,) = found.rows
    assert row.settings == {"n_threads": 2}
    assert row.ratio.median == 3.0


def test_samples_of_repeated_tests_are_taken_together(tmp_path: Path) -> None:
    found = compared(tmp_path, [{}, {"samples_ts": [40.0, 50.0]}], [{}])
    assert found.rows[0].a == Spread(30.0, 20.0, 40.0)


def test_nothing_in_common(tmp_path: Path) -> None:
    with pytest.raises(PyllamaError, match="no test in common"):
        compared(tmp_path, [{}], [{"n_prompt": 9}])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no results"),
        ("[]", "holds no results"),
        ("nonsense", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "an entry is no result"),
        ("17", "an entry is no result"),
        (json.dumps([ENTRY | {"n_prompt": "512"}]), "a result has no n_prompt"),
        (json.dumps([ENTRY | {"n_gen": -1}]), "a result has no n_gen"),
        (json.dumps([ENTRY | {"n_depth": True}]), "a result has no n_depth"),
        (json.dumps([ENTRY | {"type_k": ["f16"]}]), "type_k is neither a number nor a text"),
        (json.dumps([ENTRY | {"samples_ts": []}]), "a result has no samples_ts"),
        (json.dumps([ENTRY | {"samples_ts": 3.0}]), "a result has no samples_ts"),
        (json.dumps([ENTRY | {"samples_ts": [0.0]}]), "something that is no speed"),
        (json.dumps([ENTRY | {"samples_ts": ["1"]}]), "something that is no speed"),
        (json.dumps([ENTRY | {"samples_ts": [float("nan")]}]), "something that is no speed"),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(FileError, match=rf"odd\.json: .*{problem}"):
        read_results(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="check the path"):
        read_results(tmp_path / "none.json")
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="is not text"):
        read_results(binary)
