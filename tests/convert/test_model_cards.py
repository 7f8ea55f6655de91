"""What a model card, the user and generation_config.json say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyllama.convert.card import read_card, read_metadata
from pyllama.convert.sampling import sampling_fields
from pyllama.errors import ConversionError, FileError
from pyllama.gguf import ValueType

CARD = """---
license: other
license_name: llama3.2
license_link: https://example.org/license
model_name: A Model
base_model:
- some/Base-7B-v1.0
- other
datasets: data/Set
language: [en, de]
tags: [chat, chat, 3]
pipeline_tag: text-generation
inference: false
---
# A Model
"""


def card(folder: Path, text: str) -> tuple[dict[str, Any], str | None]:
    (folder / "README.md").write_text(text)
    return read_card(folder)


def test_a_card(tmp_path: Path) -> None:
    fields, warning = card(tmp_path, CARD)
    assert warning is None
    assert fields == {
        "general.name": "A Model",
        "general.license": "other",
        "general.license.name": "llama3.2",
        "general.license.link": "https://example.org/license",
        "general.base_model.count": 2,
        "general.base_model.0.name": "Base 7B v1.0",
        "general.base_model.0.version": "v1.0",
        "general.base_model.0.organization": "some",
        "general.base_model.0.repo_url": "https://huggingface.co/some/Base-7B-v1.0",
        "general.base_model.1.name": "other",
        "general.dataset.count": 1,
        "general.dataset.0.name": "Set",
        "general.dataset.0.organization": "data",
        "general.dataset.0.repo_url": "https://huggingface.co/data/Set",
        "general.tags": ["chat", "text-generation"],
        "general.languages": ["en", "de"],
    }


@pytest.mark.parametrize(
    "text", ["", "# No front matter", "---\nlicense: mit\n", "---\n- a\n---\n"]
)
def test_cards_that_say_nothing(tmp_path: Path, text: str) -> None:
    assert card(tmp_path, text) == ({}, None)


@pytest.mark.parametrize("matter", ["a: [", "!!python/object/apply:os.system [ls]", "a: b: c"])
def test_damaged_front_matter_is_a_warning(tmp_path: Path, matter: str) -> None:
    fields, warning = card(tmp_path, f"---\n{matter}\n---\n")
    assert fields == {}
    assert warning is not None
    assert warning.startswith(f"{tmp_path / 'README.md'}: the front matter is no YAML")
    assert "\n" not in warning


def test_no_card(tmp_path: Path) -> None:
    assert read_card(tmp_path) == ({}, None)


def metadata(folder: Path, document: Any) -> dict[str, Any]:
    path = folder / "metadata.json"
    path.write_text(json.dumps(document))
    return read_metadata(path)


def test_metadata_of_the_user(tmp_path: Path) -> None:
    document = {
        "general.author": "me",
        "general.tags": ["a", "b"],
        "general.base_models": [{"name": "Base", "repo_url": "https://example.org"}],
    }
    assert metadata(tmp_path, document) == {
        "general.author": "me",
        "general.tags": ["a", "b"],
        "general.base_model.count": 1,
        "general.base_model.0.name": "Base",
        "general.base_model.0.repo_url": "https://example.org",
    }


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"author": "me"}, "'author' does not begin with general."),
        ({"general.autor": "me"}, "general.autor is no key for this"),
        ({"general.architecture": "x"}, "general.architecture is no key for this"),
        ({"general.author": 3}, "general.author is 3"),
        ({"general.tags": "a"}, "general.tags is 'a'"),
        ({"general.tags": ["a", 3]}, r"general.tags is \['a', 3\]"),
        ({"general.datasets": [{"nam": "x"}]}, "general.datasets is"),
        (["general.author"], "holds no JSON object"),
    ],
)
def test_wrong_metadata(tmp_path: Path, document: Any, problem: str) -> None:
    with pytest.raises(ConversionError, match=problem):
        metadata(tmp_path, document)


def test_metadata_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="no such file"):
        read_metadata(tmp_path / "missing.json")


def test_generation_defaults(tmp_path: Path) -> None:
    config = {
        "temperature": 1,
        "top_k": 20,
        "top_p": 0.95,
        "repetition_penalty": 1.05,
        "min_p": None,
        "mirostat": True,
        "xtc_threshold": "high",
        "eos_token_id": [1, 2],
    }
    (tmp_path / "generation_config.json").write_text(json.dumps(config))
    fields = {key: (field.type, field.value) for key, field in sampling_fields(tmp_path).items()}
    assert fields == {
        "general.sampling.top_k": (ValueType.INT32, 20),
        "general.sampling.top_p": (ValueType.FLOAT32, 0.95),
        "general.sampling.temp": (ValueType.FLOAT32, 1.0),
        "general.sampling.penalty_repeat": (ValueType.FLOAT32, 1.05),
    }


def test_no_generation_defaults(tmp_path: Path) -> None:
    assert sampling_fields(tmp_path) == {}
