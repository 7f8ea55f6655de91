"""A template that fails names its source and line; arguments that make no sense are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pyllama.errors import PyllamaError, TemplateError, UsageError
from pyllama.templates import ChatTemplate

USER = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a\n{% if %}", 2, "Expected an expression"),
        ("{% for x in y %}\n\n", 1, "Unexpected end of template"),
        ("\n\n{{ a b }}", 3, "expected token 'end of print statement', got 'b'"),
        ("\n{% frobnicate %}", 2, "unknown tag 'frobnicate'"),
        ("\n\n\n{{ 1|frobnicate }}", 4, "No filter named 'frobnicate'"),
        ("\n{{ 1 is frobnicate }}", 2, "No test named 'frobnicate'"),
        ("{{ 'a }}", 1, "unexpected char"),
        ("\n{% include 'x' %}", 2, "'include' is not available in a chat template"),
    ],
)
def test_a_template_that_does_not_parse(text: str, line: int, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        ChatTemplate.parse(text, source="model.gguf: tokenizer.chat_template")
    error = caught.value
    assert (error.line, error.refused) == (line, False)
    assert problem in error.problem
    start = f"model.gguf: tokenizer.chat_template, line {line}: "
    assert str(error).startswith(start)
    assert str(error).endswith("; choose another template for this model")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a\n{{ 1 / 0 }}", 2, "division by zero"),
        ("\n\n{{ missing.field }}", 3, "'missing' is undefined"),
        ("{{ messages[0].content + 1 }}", 1, 'can only concatenate str (not "int") to str'),
        ("\n{% macro m() %}\n{{ 1 / 0 }}\n{% endmacro %}\n{{ m() }}", 3, "division by zero"),
        ("\n{% for m in messages %}\n\n{{ m.x.y }}{% endfor %}", 4, "no attribute 'x'"),
        ("{{ nothing|tojson }}", 1, "not JSON serializable"),
        ("\n{{ 'x'|center('y') }}", 2, "'str' object cannot be interpreted as an integer"),
    ],
)
def test_a_template_that_fails(text: str, line: int, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        ChatTemplate.parse(text, source="my.jinja").render([USER])
    assert (caught.value.line, caught.value.refused) == (line, False)
    assert problem in caught.value.problem
    assert str(caught.value).startswith(f"my.jinja, line {line}: ")


def test_a_template_that_refuses() -> None:
    text = "\n{% if messages|length > 1 %}\n{{ raise_exception('only\none message') }}{% endif %}"
    template = ChatTemplate.parse(text, source="my.jinja")
    assert template.render([USER]) == "\n"
    with pytest.raises(TemplateError) as caught:
        template.render([USER, USER])
    assert caught.value.refused
    message = "my.jinja, line 3: the template refuses this conversation: only one message"
    assert str(caught.value) == message


def test_errors_are_one_printable_line_of_readable_length() -> None:
    text = "{{ raise_exception(messages[0].content) }}"
    with pytest.raises(TemplateError) as caught:
        ChatTemplate.parse(text).render([{**USER, "content": "a\n\x1b[31m\u202e" + "x" * 10_000}])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_limits_are_named() -> None:
    with pytest.raises(TemplateError, match="line 2: the template takes too much: it wanted a val"):
        ChatTemplate.parse("\n{{ 'x' * 10**9 }}").render([USER])
    with pytest.raises(TemplateError, match="it has 70,000 characters, and 65,536 is the most"):
        ChatTemplate.parse("x" * 70_000)


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else 0


@pytest.mark.parametrize(
    ("messages", "options", "problem"),
    [
        ([], {}, "a conversation needs at least one message"),
        (["hi"], {}, "message 1 is a str, not a mapping with a role"),
        ([USER, {"content": "x"}], {}, "message 2 has no role"),
        ([{"role": 1}], {}, "message 1 has no role"),
        ([{**USER, "content": b"x"}], {}, "message 1 contains a bytes, which a template cannot"),
        ([{**USER, "x": {1: 2}}], {}, "message 1 contains the key 1, which is not a string"),
        ([{**USER, "x": nested(200)}], {}, "message 1 is nested more than 100 levels deep"),
        ([USER], {"tools": [object()]}, "tools contains a object"),
        ([USER], {"x": {1, 2}}, "variable x contains a set"),
        ([USER], {"messages": []}, "variable 'messages' is set by pyllama itself"),
        (
            [USER],
            {"add_generation_prompt": True, "continue_final_message": True},
            "add_generation_prompt and continue_final_message contradict",
        ),
        ([{"role": "user"}], {"continue_final_message": True}, "no text that could be continued"),
        (
            [{"role": "user", "content": [{"type": "image"}]}],
            {"continue_final_message": True},
            "no text that could be continued",
        ),
    ],
)
def test_arguments_that_make_no_sense(
    messages: list[Any], options: dict[str, Any], problem: str
) -> None:
    template = ChatTemplate.parse("{{ messages }}")
    with pytest.raises(UsageError, match=re.escape(problem)):
        template.render(messages, **options)


def test_every_failure_is_a_pyllama_error() -> None:
    """Whatever a template does: mutilated real constructs never end in anything else."""
    text = (
        "{%- set ns = namespace(a=[]) -%}{% for m in messages[1:] if m.role %}{{ m['content']|trim"
        " ~ loop.index }}{% set ns.a = ns.a + [m] %}{% endfor %}{{ '%s' % ns.a|length }}"
        "{% macro x(y) %}{{ y.z|tojson(indent=2) }}{% endmacro %}{{ x(messages[0]) }}"
    )
    rendered = 0
    for n in range(len(text)):
        for mutilated in (text[:n], text[n:], text[:n] + text[n + 1 :], text[:n] + "}" + text[n:]):
            try:
                ChatTemplate.parse(mutilated).render([USER, USER])
                rendered += 1
            except PyllamaError:
                pass
    assert rendered > 10
