"""Conversations as templates see them: plain data, in the shape that templates expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict

from pyllama.errors import UsageError

_DEEPEST = 100
_REASONING = ("reasoning_content", "thinking", "reasoning")


class Message(TypedDict, total=False):
    """One message of a conversation; other keys are passed on to the template.

    ``content`` is a text, or a list of parts such as ``{"type": "text", "text": "Hello"}``.
    ``tool_calls`` are those of an assistant: ``{"type": "function", "id": "...", "function":
    {"name": "...", "arguments": {...}}}``; ``tool_call_id`` names the call that a message with the
    role ``tool`` answers. ``reasoning_content`` is what the model thought before its answer.
    """

    role: Required[str]
    content: str | list[dict[str, Any]] | None
    reasoning_content: str | None
    tool_calls: list[dict[str, Any]] | None
    tool_call_id: str
    name: str


def normalized(messages: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
    """A copy of ``messages`` for a template; raises ``UsageError`` if they are malformed.

    As in transformers, a key whose value is ``None`` is left out (templates would write "None"),
    and what a model thought can be found under both names that templates use for it.
    """
    if not messages:
        raise UsageError("a conversation needs at least one message")
    return [_message(message, f"message {n}") for n, message in enumerate(messages, 1)]


def _message(message: Mapping[str, object], where: str) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise UsageError(f"{where} is a {type(message).__name__}, not a mapping with a role")
    if not isinstance(message.get("role"), str):
        raise UsageError(f"{where} has no role")
    given = {key: value for key, value in message.items() if value is not None}
    copy: dict[str, Any] = plain(given, where)
    reasoning = next((copy[key] for key in _REASONING if key in copy), None)
    if reasoning is None:
        return copy
    return {"thinking": reasoning, **copy, "reasoning_content": reasoning}


def plain(value: object, where: str, depth: int = 0) -> Any:
    """A copy of ``value`` in which everything is of a plain type.

    Other types have methods that a template could call. Raises ``UsageError``, naming ``where``,
    for what JSON cannot express.
    """
    if depth > _DEEPEST:
        raise UsageError(f"{where} is nested more than {_DEEPEST} levels deep")
    for kind in (str, bool, int, float):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return [plain(item, where, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, where, depth + 1) for key, item in value.items()}
    raise UsageError(f"{where} contains a {type(value).__name__}, which a template cannot show")


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise UsageError(f"{where} contains the key {key!r}, which is not a string")
    return str(key)
