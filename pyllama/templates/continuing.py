"""Prompts that end inside the last message, so that the model goes on with it."""

from __future__ import annotations

from typing import Any

from pyllama.errors import TemplateError, UsageError

_MARK = "PYLLAMA-GOES-ON-FROM-HERE-6B1F"
_MARK_AND_SPACE = _MARK + " "


def marked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``messages`` with a mark at the end of the last one's text.

    The mark ends with a space: a template that trims the text takes the space away, too, and so
    tells that what stands before the mark would have been trimmed. Raises ``UsageError`` if the
    last message has no text.
    """
    *before, last = messages
    content = last.get("content")
    if isinstance(content, str):
        return [*before, {**last, "content": content + _MARK_AND_SPACE}]
    texts = [n for n, part in enumerate(content or ()) if _text(part) is not None]
    if content is None or not texts:
        raise UsageError("the last message has no text that could be continued")
    parts = list(content)
    parts[texts[-1]] = {**parts[texts[-1]], "text": parts[texts[-1]]["text"] + _MARK_AND_SPACE}
    return [*before, {**last, "content": parts}]


def cut(rendered: str, messages: list[dict[str, Any]], source: str) -> str:
    """``rendered`` up to the mark; ``messages`` as they were before they were marked.

    Raises ``TemplateError`` if the template shows the last message changed, or not at all.
    """
    end = rendered.rfind(_MARK)
    if end < 0 or _last_text(messages[-1]["content"]).strip() not in rendered:
        raise TemplateError(source, "the template does not show the whole text of the last message")
    text = rendered[:end] if rendered.startswith(_MARK_AND_SPACE, end) else rendered[:end].rstrip()
    return text.replace(_MARK_AND_SPACE, "").replace(_MARK, "")  # it may show the text twice


def _text(part: object) -> str | None:
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else None


def _last_text(content: str | list[Any]) -> str:
    if isinstance(content, str):
        return content
    return [text for text in map(_text, content) if text is not None][-1]
