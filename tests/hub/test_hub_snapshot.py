"""Checkpoints of a hub: which files, and where they are then."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_server import Hub, Repository

from pyllama.errors import HubError, UsageError
from pyllama.hub import Progress, snapshot
from pyllama.hub.checkpoint import checkpoint_files

WANTED = {
    "config.json": b"{}",
    "generation_config.json": b"{}",
    "model-00001-of-00002.safetensors": b"1" * 500_000,
    "model-00002-of-00002.safetensors": b"2" * 500_000,
    "model.safetensors.index.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer.model": b"m",
    "chat_template.jinja": b"t",
    "README.md": b"#",
}
OTHERS = {
    "pytorch_model-00001-of-00001.bin": b"x",
    "pytorch_model.bin.index.json": b"{}",
    "consolidated.safetensors": b"x",
    "original/params.json": b"{}",
    "onnx/model.onnx": b"x",
    "modeling_x.py": b"x",
    "x.gguf": b"x",
    ".gitattributes": b"x",
    "figure.png": b"x",
}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_a_conversion_needs_arrives_and_nothing_else(hub: Hub, cache: Path) -> None:
    hub.repositories["u/m"] = Repository(WANTED | OTHERS)
    events: list[Progress] = []
    folder = snapshot("u/m", progress=events.append)
    assert folder.is_relative_to(cache)
    assert names(folder) == WANTED.keys()
    assert (folder / "model-00002-of-00002.safetensors").read_bytes() == b"2" * 500_000
    assert events[-1].done == events[-1].total == sum(map(len, WANTED.values()))


def test_what_is_there_is_not_asked_for_again(hub: Hub) -> None:
    hub.repositories["u/m"] = Repository(WANTED)
    folder = snapshot("u/m")
    asked = len(hub.gets())
    assert snapshot("u/m") == folder
    assert len(hub.gets()) == asked
    assert snapshot("u/m", offline=True) == folder


def test_offline_without_it(cache: Path) -> None:
    del cache
    with pytest.raises(HubError, match="offline, and the cache"):
        snapshot("u/m", offline=True)


def test_refusals(hub: Hub) -> None:
    hub.repositories["u/m"] = Repository({"x.gguf": b"x"})
    with pytest.raises(HubError, match=r"u/m: has no config\.json; take the repository of the"):
        snapshot("u/m")
    with pytest.raises(UsageError, match="a checkpoint has no quantizations; give u/m"):
        snapshot("u/m:Q4_K_M")


def test_older_weights_are_taken_where_there_are_no_others() -> None:
    found = [name for name in (WANTED | OTHERS) if "safetensors" not in name]
    chosen = checkpoint_files(found, "u/m")
    assert "pytorch_model-00001-of-00001.bin" in chosen
    assert "pytorch_model.bin.index.json" in chosen
    with pytest.raises(HubError, match="has no weights"):
        checkpoint_files(["config.json", "model.onnx"], "u/m")
