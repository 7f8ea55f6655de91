"""Conversations that a template cannot express, changed into ones that it can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyllama.templates.capabilities import Capabilities
from pyllama.templates.messages import normalized


def adapted(
    messages: Sequence[Mapping[str, object]], capabilities: Capabilities
) -> list[dict[str, Any]]:
    """``messages`` with what the template lacks expressed by other means.

    Where there are no content parts, the texts of the parts are joined by line ends, unless a part
    is no text. Where there is no system role, the first user message begins with what the system
    message says. Raises ``UsageError`` if the messages are malformed.
    """
    result = normalized(messages)
    if not capabilities.typed_content:
        result = [{**message, **_flat(message.get("content"))} for message in result]
    if not capabilities.system_role:
        result = _without_system(result)
    return result


def _flat(content: object) -> dict[str, str]:
    if not isinstance(content, list):
        return {}
    parts = [part.get("text") if isinstance(part, dict) else None for part in content]
    texts = [text for text in parts if isinstance(text, str)]
    return {"content": "\n".join(texts)} if len(texts) == len(parts) else {}


def _without_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    first, *rest = messages
    if first["role"] != "system" or not isinstance(first.get("content"), str):
        return messages
    for n, message in enumerate(rest):
        content = message.get("content")
        if message["role"] == "user" and isinstance(content, str):
            merged = {**message, "content": f"{first['content']}\n\n{content}"}
            return [*rest[:n], merged, *rest[n + 1 :]]
    return [{**first, "role": "user"}, *rest]
