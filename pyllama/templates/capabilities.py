"""What a template can express, found out by trying: it is rendered with small conversations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyllama.errors import TemplateError

Render = Callable[..., str]
"""``ChatTemplate.render``."""

_SWITCHES = ("enable_thinking", "thinking")
_TEXT = "qvxtext"
_NEEDLE = "qvxneedle"
_USER = {"role": "user", "content": _TEXT}
_ANSWER = {"role": "assistant", "content": _TEXT}
_CALL = {
    "id": "qvx123456",  # some templates insist on nine letters
    "type": "function",
    "function": {"name": _NEEDLE, "arguments": {"place": _TEXT}},
}
_CALLING = {"role": "assistant", "content": "", "tool_calls": [_CALL]}
_RESULT = {"role": "tool", "name": _TEXT, "content": _TEXT, "tool_call_id": _CALL["id"]}


def _tool(name: str) -> dict[str, Any]:
    place = {"type": "string", "description": _TEXT}
    schema = {"type": "object", "properties": {"place": place}, "required": ["place"]}
    function = {"name": name, "description": _TEXT, "parameters": schema}
    return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a template can express.

    Attributes:
        system_role: a system message at the beginning.
        tools: descriptions of tools.
        tool_calls: an assistant's calls of tools.
        tool_results: messages with the role ``tool``.
        typed_content: content that is a list of parts.
        reasoning: what the model thought before its last answer, or before its last call.
        thinking_switch: the variable that turns thinking on and off; ``None`` if there is none.
        generation_prompt: an open end that asks for an answer.
    """

    system_role: bool
    tools: bool
    tool_calls: bool
    tool_results: bool
    typed_content: bool
    reasoning: bool
    thinking_switch: str | None
    generation_prompt: bool


def probe(render: Render) -> Capabilities:
    """The capabilities of the template that ``render`` renders."""

    always: dict[str, object] = {}

    def attempt(*messages: dict[str, Any], **variables: object) -> str | None:
        try:
            return render(messages, **always, **variables)
        except TemplateError:
            return None

    def shows(*messages: dict[str, Any], **variables: object) -> bool:
        return _NEEDLE in (attempt(*messages, **variables) or "")

    tools = shows(_USER, tools=[_tool(_NEEDLE)])
    if tools and attempt(_USER) is None:  # a template for nothing but the use of tools
        always["tools"] = [_tool(_TEXT)]
    parts = {"role": "user", "content": [{"type": "text", "text": _TEXT}]}
    thinking = {"reasoning_content": _NEEDLE}
    quiet = {"tool_calls": [{**_CALL, "function": {"name": _TEXT, "arguments": {}}}]}
    said = attempt(_USER)
    ended = attempt(_USER, add_generation_prompt=False)
    return Capabilities(
        system_role=shows({"role": "system", "content": _NEEDLE}, _USER),
        tools=tools,
        tool_calls=shows(_USER, _CALLING, _RESULT),
        tool_results=shows(_USER, {**_CALLING, **quiet}, {**_RESULT, "content": _NEEDLE}),
        typed_content=_TEXT in (said or "") and attempt(parts) == said,
        reasoning=shows(_USER, {**_ANSWER, **thinking}, add_generation_prompt=False)
        or shows(_USER, {**_CALLING, **quiet, **thinking}, _RESULT),
        thinking_switch=next(
            (
                name
                for name in _SWITCHES
                if attempt(_USER, **{name: True}) != attempt(_USER, **{name: False})
            ),
            None,
        ),
        generation_prompt=said != ended,
    )
