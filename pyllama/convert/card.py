"""What a model card and the user say about a model, as metadata.

    ---
    license: apache-2.0
    base_model: USER/MODEL
    tags: [text-generation]
    ---
    # The model card follows this front matter of README.md.

Keys and their meaning: the GGUF specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyllama.convert.documents import parse_object, read_bytes
from pyllama.convert.model_name import ModelName
from pyllama.errors import ConversionError

MAX_CARD = 1 << 22
"""Bytes of a README.md, of which only the beginning is looked at."""

_HUB = "https://huggingface.co"

TEXTS = (
    *("name", "author", "version", "organization", "finetune", "basename", "description"),
    *("quantized_by", "size_label", "license", "license.name", "license.link", "url", "doi"),
    *("uuid", "repo_url", "source.url", "source.doi", "source.uuid", "source.repo_url"),
)
LISTS = ("tags", "languages")
_RELATED = {"base_models": "base_model", "datasets": "dataset"}
_RELATED_TEXTS = (
    *("name", "author", "version", "organization", "description"),
    *("url", "doi", "uuid", "repo_url"),
)


def read_card(folder: Path) -> tuple[dict[str, Any], str | None]:
    """The metadata in the front matter of README.md, and a warning where it cannot be read."""
    path = folder / "README.md"
    if not path.is_file():
        return {}, None
    text = read_bytes(path, MAX_CARD).decode("utf-8", "replace")
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---" or "---" not in lines[1:]:
        return {}, None
    return _front_matter(path, "\n".join(lines[1 : lines.index("---", 1)]))


def _front_matter(path: Path, text: str) -> tuple[dict[str, Any], str | None]:
    import yaml

    try:
        card = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        return {}, f"{path}: the front matter is no YAML and was not used: {reason:.120}"
    return (_of_card(card), None) if isinstance(card, dict) else ({}, None)


def _of_card(card: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    texts = {
        "name": "model_name",
        "author": "model_creator",
        "license": "license",
        "license.name": "license_name",
        "license.link": "license_link",
    }
    for key, name in texts.items():
        if value := ", ".join(_texts(card.get(name))):
            found[f"general.{key}"] = value
    for names, prefix in (("base_model", "base_model"), ("datasets", "dataset")):
        found |= _related(prefix, [_reference(text) for text in _texts(card.get(names))])
    tags = [*_texts(card.get("tags")), *_texts(card.get("pipeline_tag"))]
    lists = {"general.tags": tags, "general.languages": _texts(card.get("language"))}
    return found | {key: list(dict.fromkeys(value)) for key, value in lists.items() if value}


def _texts(value: Any) -> list[str]:
    """A text, or the texts of a list."""
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str) and text]


def _reference(text: str) -> dict[str, str]:
    """What ``USER/MODEL`` tells about a model or a set of data."""
    name = ModelName.parse(text)
    facts = {"name": name.name, "version": name.version, "organization": name.organization}
    if name.organization:
        facts["repo_url"] = f"{_HUB}/{text}"
    return {key: value for key, value in facts.items() if value}


def _related(prefix: str, entries: list[dict[str, str]]) -> dict[str, Any]:
    if not entries:
        return {}
    fields: dict[str, Any] = {f"general.{prefix}.count": len(entries)}
    for number, entry in enumerate(entries):
        fields |= {f"general.{prefix}.{number}.{key}": value for key, value in entry.items()}
    return fields


def read_metadata(path: Path) -> dict[str, Any]:
    """The file of ``--metadata``: a JSON object of ``general.*`` keys.

    ``general.base_models`` and ``general.datasets`` are lists of objects. Raises FileError,
    ConversionError where the file is something else or has keys that are not known.
    """
    fields: dict[str, Any] = {}
    for key, value in parse_object(path, read_bytes(path)).items():
        short = key.removeprefix("general.")
        if short == key:
            raise ConversionError(path, f"{key!r:.60} does not begin with general.", _known())
        fields |= _given(path, short, value)
    return fields


def _given(path: Path, key: str, value: Any) -> dict[str, Any]:
    if key in TEXTS and isinstance(value, str):
        return {f"general.{key}": value}
    if key in LISTS and isinstance(value, list) and _texts(value) == value:
        return {f"general.{key}": value}
    if key in _RELATED and isinstance(value, list) and all(map(_is_entry, value)):
        return _related(_RELATED[key], value)
    if key in (*TEXTS, *LISTS, *_RELATED):
        raise ConversionError(path, f"general.{key} is {value!r:.60}", _known())
    raise ConversionError(path, f"general.{key} is no key for this", _known())


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        key in _RELATED_TEXTS and isinstance(value, str) for key, value in entry.items()
    )


def _known() -> str:
    return (
        f"texts are {', '.join(TEXTS)}; lists of texts {', '.join(LISTS)}; "
        f"lists of objects {', '.join(_RELATED)}"
    )
