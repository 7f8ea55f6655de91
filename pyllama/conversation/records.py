"""What happens in a conversation: each event is a record, and a line of JSON in its transcript.

    {"system": "Be brief."}                              the system message is this one, or null
    {"role": "user", "content": "Hello"}                 somebody says something
    {"role": "assistant", "content": "Hi!", "reasoning": "...", "finish": "stop"}
    {"keep": 2}                                          only the first two messages still count

A conversation is what its records make of an empty one, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

USER, ASSISTANT = "user", "assistant"


@dataclass(frozen=True, slots=True)
class Message:
    """What the user or the model said.

    Attributes:
        role: ``user`` or ``assistant``.
        content: the text.
        reasoning: what the model thought before it; empty for none.
        finish: of an answer, why it ended: a ``FinishReason``, ``interrupted`` or ``failed``.
    """

    role: str
    content: str
    reasoning: str = ""
    finish: str = ""

    def for_template(self) -> dict[str, str]:
        """The message as templates take it."""
        message = {"role": self.role, "content": self.content}
        return message | ({"reasoning_content": self.reasoning} if self.reasoning else {})


@dataclass(frozen=True, slots=True)
class System:
    """From now on the system message is ``content``; None for none."""

    content: str | None


@dataclass(frozen=True, slots=True)
class Said:
    """A message was added."""

    message: Message


@dataclass(frozen=True, slots=True)
class Kept:
    """All messages but the first ``count`` were taken back."""

    count: int


Record = System | Said | Kept


def to_document(record: Record) -> dict[str, Any]:
    """The JSON object of a record."""
    match record:
        case System(content):
            return {"system": content}
        case Kept(count):
            return {"keep": count}
        case Said(message):
            texts = {"reasoning": message.reasoning, "finish": message.finish}
            given = {name: text for name, text in texts.items() if text}
            return {"role": message.role, "content": message.content} | given


def from_document(document: Mapping[str, Any]) -> Record:
    """The record of a JSON object; raises ValueError, which says what is wrong."""
    if "system" in document:
        content = document["system"]
        return System(None if content is None else _text(document, "system"))
    if "keep" in document:
        count = document["keep"]
        if type(count) is not int or count < 0:
            raise ValueError("keep is no number of messages")
        return Kept(count)
    if document.get("role") not in (USER, ASSISTANT):
        raise ValueError("it is neither a message of user or assistant, nor system, nor keep")
    role, content = _text(document, "role"), _text(document, "content")
    return Said(Message(role, content, _text(document, "reasoning"), _text(document, "finish")))


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name} is no text")
    return value
