"""Chat templates from all the files that can hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checkpoint_folders import write

from pyllama.convert.vocabulary.chat_templates import read_chat_templates, template_keys
from pyllama.errors import ConversionError
from pyllama.templates.choosing import from_metadata, template_names

SEVERAL = [
    {"name": "default", "template": "D"},
    {"name": "tool_use", "template": "T"},
    {"name": "rag-2", "template": "R"},
]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {}),
        ({"chat_template": None}, {}),
        ({"chat_template": "D"}, {"default": "D"}),
        ({"chat_template": SEVERAL}, {"default": "D", "tool_use": "T", "rag-2": "R"}),
    ],
)
def test_the_configuration(config: Any, expected: dict[str, str], tmp_path: Path) -> None:
    assert read_chat_templates(tmp_path, config) == expected


def test_files_of_their_own_come_first(tmp_path: Path) -> None:
    folder = write(tmp_path, chat_template__json={"chat_template": "J"})
    assert read_chat_templates(folder, {"chat_template": "D"}) == {"default": "J"}
    write(folder, chat_template__jinja="{{ 'ü' }}\r\n")
    write(folder / "additional_chat_templates", tool_use__jinja="T", rag__jinja="R")
    templates = read_chat_templates(folder, {"chat_template": "D"})
    assert templates == {"default": "{{ 'ü' }}\r\n", "rag": "R", "tool_use": "T"}


def test_the_keys_are_those_that_are_read(tmp_path: Path) -> None:
    keys = template_keys(read_chat_templates(tmp_path, {"chat_template": SEVERAL}))
    assert keys == {
        "tokenizer.chat_templates": ["tool_use", "rag-2"],
        "tokenizer.chat_template.tool_use": "T",
        "tokenizer.chat_template.rag_2": "R",
        "tokenizer.chat_template": "D",
    }
    assert template_names(keys) == ("default", "rag-2", "tool_use")
    assert from_metadata(keys, "x", "rag-2").text == "R"
    assert template_keys({}) == {}


@pytest.mark.parametrize(
    "value", [7, {"default": "D"}, [7], [{"name": "a"}], [{"name": ""}], "\ud800"]
)
def test_other_values_are_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="chat_template is no text and no list of them"):
        read_chat_templates(tmp_path, {"chat_template": value})


def test_a_template_that_is_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"chat_template\.jinja: is not UTF-8"):
        read_chat_templates(write(tmp_path, chat_template__jinja=b"\xff"), {})
