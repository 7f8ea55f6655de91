"""``pyllama inspect``: any GGUF file, as tables and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from cli_runner import call, one_line_error, spawn
from tiny_model import write_model

from pyllama.gguf import Field, GGUFWriter, TensorType, ValueType, split_path, write_gguf

METADATA: dict[str, Any] = {
    "general.architecture": "nonesuch",
    "general.file_type": 15,
    "n.epsilon": 1e-5,
    "n.nothing": float("nan"),
    "n.precise": Field(ValueType.FLOAT64, 0.1),
    "n.small": Field(ValueType.INT8, -3),
    "n.flags": [True, False],
    "n.numbers": list(range(100)),
    "n.scores": [0.1, float("-inf")],
    "n.words": ["a", "b\n", "\x1b[2J", "d" * 30, "e", "f", "g"],
    "n.text": "line\n" * 40,
    "n.empty": Field(ValueType.ARRAY, np.zeros(0, np.float32), ValueType.FLOAT32),
}
TENSORS = {
    "weights": ((4, 256), TensorType.Q4_K, bytes(4 * 144)),
    "norm": ((256,), TensorType.F32, np.ones(256, np.float32)),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inspect") / "odd.gguf"
    write_gguf(path, METADATA, TENSORS)
    return path


def lines(path: Path, *options: str) -> list[str]:
    result = call("inspect", path, *options)
    assert (result.code, result.err) == (0, "")
    return result.out.decode().splitlines()


def document(path: Path, *options: str) -> dict[str, Any]:
    result = call("inspect", path, "--json", *options)
    assert (result.code, result.err) == (0, "")
    assert result.out.count(b"\n") == 1
    loaded: dict[str, Any] = json.loads(result.out, parse_constant=pytest.fail)
    return loaded


def section(rows: list[str], first: str) -> dict[str, str]:
    """The lines of a table, from its titles to the next empty line, by their first word."""
    start = next(i for i, row in enumerate(rows) if row.split()[:1] == [first])
    end = rows.index("", start) if "" in rows[start:] else len(rows)
    return {row.split()[0]: row.split(maxsplit=1)[1] for row in rows[start:end]}


def test_metadata(path: Path) -> None:
    shown = section(lines(path), "key")
    assert shown["general.architecture"].split() == ["STRING", "'nonesuch'"]
    assert shown["general.file_type"].split() == ["UINT32", "15"]
    assert shown["n.epsilon"].split() == ["FLOAT32", "1e-05"]
    assert shown["n.nothing"].split() == ["FLOAT32", "nan"]
    assert shown["n.precise"].split() == ["FLOAT64", "0.1"]
    assert shown["n.small"].split() == ["INT8", "-3"]
    assert shown["n.flags"].split(maxsplit=1) == ["BOOL[2]", "[true, false]"]
    assert shown["n.numbers"].split(maxsplit=1) == ["INT32[100]", "[0, 1, 2, 3, 4, 5, ...]"]
    assert shown["n.scores"].split(maxsplit=1) == ["FLOAT32[2]", "[0.1, -inf]"]
    words = rf"['a', 'b\n', '\x1b[2J', '{'d' * 24}'..., 'e', 'f', ...]"
    assert shown["n.words"].split(maxsplit=1) == ["STRING[7]", words]
    assert shown["n.text"].endswith(r"line\nline\nli'...")
    assert shown["n.empty"].split() == ["FLOAT32[0]", "[]"]


def test_full_shows_all(path: Path) -> None:
    shown = section(lines(path, "--full"), "key")
    assert shown["n.text"].split(maxsplit=1)[1] == repr("line\n" * 40)
    assert shown["n.numbers"].endswith(", 98, 99]")
    assert shown["n.words"].endswith(f"'{'d' * 30}', 'e', 'f', 'g']")


def test_tensors_and_summary(path: Path) -> None:
    rows = lines(path)
    tensors = section(rows, "tensor")
    assert list(tensors) == ["tensor", "weights", "norm"]
    assert tensors["weights"].split("  ")[:2] == ["256 x 4", "Q4_K"]
    assert tensors["weights"].split()[4] == "576"
    assert section(rows, "type")["Q4_K"].split() == ["1", "1,024", "576"]
    summary = section(rows, "file")
    assert summary["format"] == "GGUF 3, 12 keys, 2 tensors"
    assert summary["architecture"] == "nonesuch"
    assert rows[-4:] == [
        "file type        Q4_K - Medium (15)",
        "parameters       1,280",
        "size             1.56 KiB (1,600 bytes)",
        "bits per weight  10.00",
    ]


def test_no_tensors(path: Path) -> None:
    rows = lines(path, "--no-tensors")
    assert not any(row.startswith(("tensor", "weights")) for row in rows)
    assert section(rows, "type")["F32"].split() == ["1", "256", "1,024"]
    assert "tensors" not in document(path, "--no-tensors")


def test_json(path: Path) -> None:
    shown = document(path)
    assert shown["files"] == [str(path)]
    assert (shown["version"], shown["alignment"]) == (3, 32)
    assert (shown["architecture"], shown["file_type"]) == ("nonesuch", "Q4_K_M")
    assert (shown["parameters"], shown["bytes"], shown["bits_per_weight"]) == (1280, 1600, 10)
    assert shown["types"]["Q4_K"] == {"tensors": 1, "parameters": 1024, "bytes": 576}
    metadata = shown["metadata"]
    assert list(metadata) == list(METADATA)
    assert metadata["n.epsilon"] == {"type": "FLOAT32", "value": 1e-5}
    assert metadata["n.nothing"] == {"type": "FLOAT32", "value": None}
    assert metadata["n.text"] == {"type": "STRING", "value": "line\n" * 40}
    assert metadata["n.scores"]["value"] == [0.1, None]
    assert metadata["n.numbers"] == {
        "type": "ARRAY", "element_type": "INT32", "count": 100, "value": [0, 1, 2, 3, 4, 5],
    }  # fmt: skip
    full = document(path, "--full")["metadata"]
    assert full["n.numbers"]["value"] == list(range(100))
    assert full["n.words"]["value"] == METADATA["n.words"]


@pytest.mark.parametrize("make", [write_model, lambda path: write_gguf(path, METADATA, TENSORS)])
def test_json_says_what_the_gguf_package_reads(make: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    make(path)
    shown = document(path)
    reader = gguf.GGUFReader(path)
    assert shown["tensors"] == {
        tensor.name: {
            "shape": tensor.shape.tolist(),
            "type": tensor.tensor_type.name,
            "bytes": tensor.n_bytes,
            "offset": tensor.data_offset,
            "part": 1,
        }
        for tensor in reader.tensors
    }
    for key, field in reader.fields.items():
        if not key.startswith("GGUF."):
            ours = shown["metadata"][key]
            types = (ours["type"], ours.get("element_type"))
            # of an empty array the package does not keep the element type
            assert [type.name for type in field.types] == [t for t in types if t][
                : len(field.types)
            ]


def test_a_split_model_is_one(tmp_path: Path) -> None:
    paths = [split_path(tmp_path / "m", i, 2) for i in range(2)]
    for i, (part, name) in enumerate(zip(paths, TENSORS, strict=True)):
        with GGUFWriter(part) as writer:
            writer.add("split.no", Field(ValueType.UINT16, i))
            writer.add("split.count", Field(ValueType.UINT16, 2))
            writer.add("split.tensors.count", Field(ValueType.INT32, 2))
            shape, type, data = TENSORS[name]
            writer.add_tensor_info(name, shape, type)
            writer.write_tensor(name, data)
    rows = lines(paths[0])
    tensors = section(rows, "tensor")
    assert tensors["tensor"].split()[-1] == "part"
    assert [tensors[name].split()[-1] for name in TENSORS] == ["1", "2"]
    assert [row for row in rows if row.startswith("file  ")] == [
        f"file             {path}" for path in paths
    ]
    shown = document(paths[0])
    assert shown["files"] == [str(path) for path in paths]
    assert shown["bytes"] == 1600
    assert [tensor["part"] for tensor in shown["tensors"].values()] == [1, 2]
    paths[1].unlink()
    assert "part 2 of 2 is missing" in one_line_error(call("inspect", paths[0]))


def test_a_file_with_nothing_in_it(tmp_path: Path) -> None:
    path = tmp_path / "nothing.gguf"
    write_gguf(path, {}, {})
    rows = lines(path)
    assert rows[0].split() == ["key", "type", "value"]
    assert section(rows, "file")["architecture"] == "not named"
    shown = document(path)
    assert (shown["metadata"], shown["tensors"], shown["bits_per_weight"]) == ({}, {}, None)
    assert (shown["architecture"], shown["name"], shown["file_type"]) == (None, None, None)


def test_real_vocabularies(shared: Path) -> None:
    for path in sorted((shared / "vocabs").glob("*.gguf")):
        shown = document(path)
        assert shown["metadata"]["tokenizer.ggml.tokens"]["count"] > 30_000
        assert len(shown["metadata"]["tokenizer.ggml.tokens"]["value"]) == 6


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "text.gguf"
    path.write_text("hello")
    assert str(path) in one_line_error(call("inspect", path))
    absent = tmp_path / "absent.gguf"
    expected = f"{absent}: no such file or directory; check the path"
    assert one_line_error(call("inspect", absent, "--json")) == expected


def test_in_a_process_of_its_own(path: Path) -> None:
    result = spawn("inspect", path, "--no-tensors", env={"LC_ALL": "C"})
    assert (result.code, result.err) == (0, "")
    assert result.out == call("inspect", path, "--no-tensors").out
    assert b"\x1b" not in result.out
