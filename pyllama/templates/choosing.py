"""Where a template comes from: the metadata of a model, a short name, an option's value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pyllama.errors import ModelError, UsageError
from pyllama.gguf.wording import AGAIN, quoted
from pyllama.templates.named import NAMED

if TYPE_CHECKING:
    from pyllama.tokenizers import Tokenizer

KEY = "tokenizer.chat_template"
NAMES_KEY = "tokenizer.chat_templates"
DEFAULT = "default"
TOOL_USE = "tool_use"
FALLBACK = "chatml"

RESERVED = frozenset({"add_generation_prompt", "continue_final_message", "messages", "tools"})
"""Variables of a template that are parameters of ``render``."""

_ROLES = ("bos", "eos", "unk", "sep", "pad", "mask")
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9_]")
_JINJA = re.compile(r"\{[{%#]")


@dataclass(frozen=True, slots=True)
class TokenTexts:
    """The special tokens as templates see them.

    Attributes:
        variables: ``bos_token``, ``eos_token`` and so on; those that the model has.
        added: the text of the token that the tokenizer itself puts first; may be empty.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    added: str = ""

    @classmethod
    def of(cls, tokenizer: Tokenizer | None) -> TokenTexts:
        """Those of ``tokenizer``; none without one."""
        if tokenizer is None:
            return cls()
        ids = {f"{role}_token": getattr(tokenizer.special, role) for role in _ROLES}
        texts = {name: tokenizer.token(id) for name, id in ids.items() if id is not None}
        return cls(texts, texts.get("bos_token", "") if tokenizer.add_bos else "")


@dataclass(frozen=True, slots=True)
class Found:
    """The text of a template, and where it was found."""

    text: str
    source: str
    fallback: bool = False


def template_names(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the templates that a model brings along, ``default`` first."""
    prefix = KEY + "."
    named = sorted(key.removeprefix(prefix) for key in metadata if key.startswith(prefix))
    listed = metadata.get(NAMES_KEY)
    if isinstance(listed, Sequence) and not isinstance(listed, str):
        spelled = {key_of(name): name for name in listed if isinstance(name, str)}
        named = [spelled.get(prefix + name, name) for name in named]
    return ((DEFAULT,) if KEY in metadata else ()) + tuple(named)


def from_metadata(metadata: Mapping[str, Any], source: str, name: str) -> Found:
    """The template called ``name``; see ``ChatTemplate.from_metadata``."""
    names = template_names(metadata)
    if name in (DEFAULT, TOOL_USE):
        name = name if name in names else next(iter(names), FALLBACK)
        if not names:
            return named(FALLBACK, fallback=True)
    elif name not in names:
        known = ", ".join(names) or "none"
        raise UsageError(f"{source} has no chat template {quoted(name)}; it has: {known}")
    key = KEY if name == DEFAULT else key_of(name)
    text = metadata[key]
    if not isinstance(text, str):
        raise ModelError(source, f"{key} is not a string", AGAIN)
    return Found(text, f"{source}: {key}")


def named(name: str, *, fallback: bool = False) -> Found:
    """One of the formats that have a short name; raises ``UsageError`` for another name."""
    if name not in NAMED:
        known = ", ".join(NAMED)
        raise UsageError(f"there is no chat template {quoted(name)}; there are: {known}")
    return Found(NAMED[name], f"the built-in chat template {name}", fallback)


def from_option(value: str, source: str) -> Found:
    """A short name, or else the text of a template itself; raises ``UsageError`` for neither."""
    name = value.strip()
    if name in NAMED or not _JINJA.search(value):
        return named(name)
    return Found(value, source)


def parse_variables(text: str) -> dict[str, Any]:
    """The variables in a JSON object such as ``{"enable_thinking": false}``.

    Raises ``UsageError`` if it is no JSON object, or names what pyllama itself gives to a template.
    """
    try:
        variables = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the template's variables are no JSON: {error}") from error
    if not isinstance(variables, dict):
        raise UsageError('the template\'s variables must be a JSON object like {"name": true}')
    for name in RESERVED & variables.keys():
        raise UsageError(f"the template's variable {quoted(name)} is set by pyllama itself")
    return variables


def key_of(name: str) -> str:
    """The key of a named template: what a key cannot contain is an underscore in it."""
    return f"{KEY}.{_OTHER_CHARACTERS.sub('_', name)}"
