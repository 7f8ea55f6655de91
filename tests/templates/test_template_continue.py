"""Prompts that end inside the last message."""

from __future__ import annotations

from typing import Any

import pytest

from pyllama.errors import TemplateError
from pyllama.templates import NAMED, ChatTemplate

USER = {"role": "user", "content": "Count."}


def continued(text: str, content: Any) -> str:
    messages = [USER, {"role": "assistant", "content": content}]
    return ChatTemplate.parse(text).render(messages, continue_final_message=True)


PLAIN = "{% for m in messages %}[{{ m.content }}]{% endfor %}"
TRIMMED = "{% for m in messages %}[{{ m.content|trim }}]{% endfor %}"
PARTS = "{% for m in messages[1:] %}{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endfor %}"


def test_the_end_of_the_turn_and_the_prompt_are_left_out() -> None:
    text = continued(NAMED["chatml"], "One, two")
    assert text.endswith("<|im_start|>assistant\nOne, two")
    assert continued(NAMED["llama3"], "One, ").endswith("<|end_header_id|>\n\nOne,")


@pytest.mark.parametrize(
    ("template", "content", "expected"),
    [
        (PLAIN, "One, ", "[Count.][One, "),
        (PLAIN, "One,\n", "[Count.][One,\n"),
        (PLAIN, "", "[Count.]["),
        (TRIMMED, "One, ", "[Count.][One,"),
        (TRIMMED, " One", "[Count.][One"),
        (PARTS, [{"type": "text", "text": "a"}, {"type": "text", "text": "b "}], "<a><b "),
        (PARTS, [{"type": "text", "text": "a"}, {"type": "image"}], "<a"),
        ("{{ messages|tojson }}", "é", '[{"role": "user", "content": "Count."}, {"role": "assista'),
    ],
)
def test_white_space_is_kept_where_the_template_keeps_it(
    template: str, content: Any, expected: str
) -> None:
    assert continued(template, content).startswith(expected)
    assert "GOES-ON" not in continued(template, content)


def test_nothing_after_the_text() -> None:
    assert continued(PLAIN, "One, ") == "[Count.][One, "
    assert continued(PLAIN + "{{ messages[1].content }}", "x") == "[Count.][x]x"


@pytest.mark.parametrize("text", ["{{ messages[0].content }}", "{{ messages[1].content[1:] }}"])
def test_a_template_that_does_not_show_the_text(text: str) -> None:
    with pytest.raises(TemplateError, match="does not show the whole text of the last message"):
        continued(text, "Once upon a time")


def test_the_prompt_is_asked_for_unless_the_text_goes_on() -> None:
    template = ChatTemplate.parse("{{ add_generation_prompt }}{{ messages[-1].content }}")
    assert template.render([USER]) == "TrueCount."
    assert template.render([USER], add_generation_prompt=False) == "FalseCount."
    assert template.render([USER], continue_final_message=True) == "FalseCount."
