"""What templates can express, and what becomes of a conversation that they cannot."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pyllama.templates import Capabilities, ChatTemplate

USER = {"role": "user", "content": "Hi"}
SYSTEM = {"role": "system", "content": "Be kind."}

NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
CONTENTS = "{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}"
ASK = "{% if add_generation_prompt %}?{% endif %}"


def able(text: str) -> set[str]:
    """The names of the capabilities that a template has."""
    found = asdict(ChatTemplate.parse(text).capabilities)
    return {name for name, value in found.items() if value}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("{{ raise_exception('never') }}", set()),
        (CONTENTS, {"system_role", "tool_results"}),
        (CONTENTS + ASK, {"system_role", "tool_results", "generation_prompt"}),
        (NO_SYSTEM + CONTENTS, {"tool_results"}),
        ("{{ tools }}", {"tools"}),
        (
            "{% for t in tools %}{{ t }}{% endfor %}" + CONTENTS,
            {"tools", "system_role", "tool_results"},
        ),
        ("{% for m in messages %}{{ m.tool_calls }}{% endfor %}", {"tool_calls"}),
        ("{{ messages[-1].reasoning_content }}", {"reasoning"}),
        ("{{ messages[1].thinking }}", {"reasoning"}),
        ("{{ enable_thinking }}", {"thinking_switch"}),
        ("{{ 'x' if thinking }}", {"thinking_switch"}),
        (
            "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
            "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}{% endfor %}",
            {"system_role", "tool_results", "typed_content"},
        ),
    ],
)
def test_capabilities(text: str, expected: set[str]) -> None:
    assert able(text) == expected


def test_the_switch_has_a_name() -> None:
    assert ChatTemplate.parse("{{ thinking }}").capabilities.thinking_switch == "thinking"


# system, tools, calls, results, parts, reasoning, switch, prompt
REAL: dict[str, Capabilities] = {
    "Qwen-Qwen3-0.6B": Capabilities(True, True, True, True, False, True, "enable_thinking", True),
    "google-gemma-2-2b-it": Capabilities(False, False, False, False, False, False, None, True),
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": Capabilities(
        True, True, True, True, False, False, None, True
    ),
    "ibm-granite-granite-3.3-2B-Instruct": Capabilities(
        True, True, False, True, False, False, "thinking", True
    ),
    "openai-gpt-oss-120b": Capabilities(True, True, True, True, False, True, None, True),
}


@pytest.mark.parametrize("name", REAL)
def test_capabilities_of_real_templates(name: str, shared: Path) -> None:
    text = (shared / "templates" / f"{name}.jinja").read_text("utf-8")
    assert ChatTemplate.parse(text).capabilities == REAL[name]


def parts(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize(
    ("text", "messages", "expected"),
    [
        (NO_SYSTEM + CONTENTS, [SYSTEM, USER], "user=Be kind.\n\nHi;"),
        (NO_SYSTEM + CONTENTS, [USER], "user=Hi;"),
        (NO_SYSTEM + CONTENTS, [SYSTEM], "user=Be kind.;"),
        (
            NO_SYSTEM + CONTENTS,
            [SYSTEM, {"role": "assistant", "content": "Yes?"}, USER, USER],
            "assistant=Yes?;user=Be kind.\n\nHi;user=Hi;",
        ),
        (CONTENTS, [SYSTEM, USER], "system=Be kind.;user=Hi;"),
        (CONTENTS, [{**USER, "content": parts("a", "b")}], "user=a\nb;"),
        (NO_SYSTEM + CONTENTS, [{**SYSTEM, "content": parts("a", "b")}, USER], "user=a\nb\n\nHi;"),
        (CONTENTS, [{**USER, "content": [{"type": "image"}]}], "user=[{'type': 'image'}];"),
    ],
)
def test_conversations_are_adapted(
    text: str, messages: list[dict[str, Any]], expected: str
) -> None:
    template = ChatTemplate.parse(text)
    assert template.render(template.adapt(messages)) == expected
