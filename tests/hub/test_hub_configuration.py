"""The configuration of a checkpoint on the hub, without its weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_server import Hub, Repository

from pyllama.errors import HubError
from pyllama.hub import configuration


def test_the_weights_stay_where_they_are(hub: Hub, cache: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": b"1", "tokenizer.json": b"{}"}
    hub.repositories["u/m"] = Repository(files)
    folder = configuration("u/m")
    assert folder.is_relative_to(cache)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert configuration("u/m", offline=True) == folder


def test_a_repository_without_one(hub: Hub) -> None:
    hub.repositories["u/m"] = Repository({"x.gguf": b"x"})
    with pytest.raises(HubError, match=r"u/m: has no config\.json; take the original model's"):
        configuration("u/m")
