"""The chat templates of a checkpoint.

In this order, the first that there is: ``chat_template.jinja`` (with more of them in
``additional_chat_templates/``), ``chat_template.json``, and the key ``chat_template`` of
``tokenizer_config.json``, each a text or a list of ``{"name", "template"}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyllama.convert.documents import read_bytes, read_object
from pyllama.convert.vocabulary.document import AGAIN, is_unicode
from pyllama.errors import ConversionError
from pyllama.templates.choosing import DEFAULT, KEY, NAMES_KEY, key_of

Templates = dict[str, str]


def read_chat_templates(folder: Path, config: Mapping[str, Any]) -> Templates:
    """Templates by name, ``default`` among them.

    ``config``: the content of ``tokenizer_config.json``. Raises ``FileError``, ``ConversionError``.
    """
    own = folder / "chat_template.jinja"
    if own.is_file():
        others = sorted((folder / "additional_chat_templates").glob("*.jinja"))
        return {DEFAULT: _text(own), **{path.stem: _text(path) for path in others}}
    document = folder / "chat_template.json"
    if document.is_file():
        return dict(_named(document, read_object(document).get("chat_template")))
    return dict(_named(folder / "tokenizer_config.json", config.get("chat_template")))


def template_keys(templates: Mapping[str, str]) -> dict[str, Any]:
    """The metadata for ``templates``."""
    named = {name: text for name, text in templates.items() if name != DEFAULT}
    keys: dict[str, Any] = {NAMES_KEY: list(named)} if named else {}
    keys |= {key_of(name): text for name, text in named.items()}
    return keys | ({KEY: templates[DEFAULT]} if DEFAULT in templates else {})


def _named(path: Path, value: object) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    for entry in (
        [value] if isinstance(value, str) else value if isinstance(value, list) else [None]
    ):
        match entry:
            case str(text) if is_unicode(text):
                yield DEFAULT, text
            case {"name": str(name), "template": str(text)} if name and is_unicode(name + text):
                yield name, text
            case _:
                raise ConversionError(path, "chat_template is no text and no list of them", AGAIN)


def _text(path: Path) -> str:
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ConversionError(path, f"is not UTF-8: {error}", AGAIN) from error
