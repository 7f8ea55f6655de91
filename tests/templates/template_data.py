"""Conversations that exercise everything that chat templates know, and some that they refuse."""

from __future__ import annotations

from typing import Any

Conversation = list[dict[str, Any]]

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather at a place; <b>bold</b> & 'quoted' \"twice\".",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "Where: Zürich, 東京"},
                    "unit": {
                        "type": "string",
                        "description": "Of the temperature",
                        "enum": ["°C", "°F"],
                        "default": "°C",
                    },
                    "days": {"type": "array", "description": "Which", "items": {"type": "integer"}},
                },
                "required": ["place"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "now",
            "description": "The time",
            "parameters": {"type": "object", "properties": {}},
        },
    },
]

SYSTEM = {"role": "system", "content": "You answer briefly.\n"}
USER = {"role": "user", "content": "What is a llama?"}
ANSWER = {"role": "assistant", "content": "  An animal.  "}
NEXT = {"role": "user", "content": "Where does it live?"}
LAST = {"role": "assistant", "content": "In the Andes, "}


def called(arguments: object, identifier: str = "call56789", **keys: object) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": arguments}
    call = {"id": identifier, "type": "function", "function": function}
    return {"role": "assistant", "content": "", "tool_calls": [call], **keys}


ARGUMENTS = {"place": "Zürich", "days": [1, 2.5], "deep": {"yes": True, "none": None}}
TEXT_ARGUMENTS = '{"place": "Zürich"}'
RESULT = {"role": "tool", "name": "get_weather", "content": "12 °C", "tool_call_id": "call56789"}
TWO_CALLS = {
    "role": "assistant",
    "content": "Both.",
    "tool_calls": called(ARGUMENTS)["tool_calls"] + called({}, "call12345")["tool_calls"],
}
OTHER_RESULT = {**RESULT, "content": '{"t": 3}', "tool_call_id": "call12345"}
THOUGHT = {**LAST, "reasoning_content": "Mountains?\nYes."}


def parts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


CONVERSATIONS: dict[str, Conversation] = {
    "user": [USER],
    "system": [SYSTEM, USER],
    "only system": [SYSTEM],
    "turns": [USER, ANSWER, NEXT],
    "system and turns": [SYSTEM, USER, ANSWER, NEXT],
    "many turns": [SYSTEM, *[USER, ANSWER] * 20, NEXT],
    "ends with an answer": [SYSTEM, USER, ANSWER, NEXT, LAST],
    "two users": [USER, NEXT],
    "assistant first": [ANSWER, NEXT],
    "late system": [USER, ANSWER, SYSTEM, NEXT],
    "developer": [{"role": "developer", "content": "Be kind."}, USER],
    "odd role": [{"role": "narrator", "content": "Night fell."}, USER],
    "empty content": [{"role": "system", "content": ""}, {"role": "user", "content": ""}],
    "no content": [USER, {"role": "assistant", "content": None}, NEXT],
    "spaces": [{"role": "user", "content": " \n\t x \n "}, {"role": "assistant", "content": "\n"}],
    "unicode": [
        {"role": "user", "content": "Grüße 👩‍👩‍👧 \u202eabc\u202c \u2028 日本語 \U0010ffff"}
    ],
    "markup": [{"role": "user", "content": "<b>&amp;</b> {{ x }} {% y %} '\"\\ </s><|im_end|>"}],
    "parts": [{"role": "user", "content": parts("One.")}],
    "several parts": [SYSTEM, {"role": "user", "content": parts("One.", "Two.")}, ANSWER, NEXT],
    "system in parts": [{"role": "system", "content": parts("Short.")}, USER],
    "answer in parts": [USER, {"role": "assistant", "content": parts("One.", "Two.")}],
    "call": [USER, called(ARGUMENTS)],
    "call and result": [SYSTEM, USER, called(ARGUMENTS), RESULT],
    "call, result, answer": [USER, called(ARGUMENTS), RESULT, ANSWER, NEXT],
    "call with text arguments": [USER, called(TEXT_ARGUMENTS), RESULT],
    "call without content": [USER, called(ARGUMENTS, content=None), RESULT, ANSWER],
    "call with content": [USER, called(ARGUMENTS, content="Let me see."), RESULT],
    "two calls": [USER, TWO_CALLS, RESULT, OTHER_RESULT],
    "two calls and on": [SYSTEM, USER, TWO_CALLS, RESULT, OTHER_RESULT, ANSWER, NEXT],
    "call with a short name": [USER, called(ARGUMENTS, "c1"), {**RESULT, "tool_call_id": "c1"}],
    "result of a mapping": [USER, called(ARGUMENTS), {**RESULT, "content": {"t": 12}}],
    "result without a call": [USER, RESULT],
    "result in parts": [USER, called(ARGUMENTS), {**RESULT, "content": parts("12 °C")}],
    "reasoning": [USER, THOUGHT],
    "reasoning before": [USER, THOUGHT, NEXT],
    "reasoning in the text": [USER, {**ANSWER, "content": "<think>\nHm.\n</think>\n\nYes."}, NEXT],
    "reasoning and call": [USER, called(ARGUMENTS, reasoning_content="Hm."), RESULT],
    "reasoning by other names": [
        USER,
        {**ANSWER, "thinking": "Hm."},
        NEXT,
        {**LAST, "reasoning": "A"},
    ],
    "thinking switch in the text": [{"role": "system", "content": "Be quick. /no_think"}, USER],
}

# templates of our own, of the constructs that real ones use, in case ../shared is absent
OUR_OWN: dict[str, str] = {
    "strict": """
{%- for message in messages %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {{- bos_token + message['role'] + ': ' + message['content'] | trim + eos_token }}
{%- endfor %}
""",
    "tags": """
{% for message in messages if message.content is string %}
    {% if message.role == 'assistant' %}
        {% generation %}
{% set inside = 'x' %}
{{ message.content }}
        {% endgeneration %}
{{ inside }}
    {% elif loop.index0 > 3 %}
        {% break %}
    {% elif message.role == 'odd' %}
        {% continue %}
    {% else %}
{{ message.content }}   {# trailing #}
    {% endif %}
{% endfor %}
{{ strftime_now('%d %B %Y') }}
""",
    "tools": """
{%- set ns = namespace(count=0, names=[]) -%}
{%- macro show(thing, depth=0) -%}
    {%- if thing is mapping -%}
        {%- for key, value in thing|dictsort %}
            {{- '  ' * depth ~ key }}: {{ show(value, depth + 1) }}
        {%- endfor -%}
    {%- elif thing is string -%}{{ thing|tojson }}
    {%- elif thing is iterable -%}
        [{% for x in thing %}{{ show(x) }}{{ ',' if not loop.last }}{% endfor %}]
    {%- else -%}{{ thing }}{%- endif -%}
{%- endmacro -%}
{%- for tool in tools or [] %}
    {%- set ns.count = ns.count + 1 %}
    {%- set ns.names = ns.names + [tool.function.name] %}
    {{- show(tool) }}
    {{- tool|tojson(indent=2) }}
    {{- tool|tojson(separators=(',', ':'), sort_keys=true, ensure_ascii=true) }}
{%- endfor %}
{{- ns.names|join(', ')|upper }} {{ '%d of %-5s|' % (ns.count, 'x') }}
{{- '{:>4}{}{x!r}'.format(ns.count, 2, x='y') }}
{%- set first = (messages|selectattr('role', 'equalto', 'user')|list|first) %}
{{- first.role if first else 'nobody' }}
{%- for m in messages[::-1] %}{{ m.content|string|replace('a', 'o')|indent(2) }}{% endfor %}
{%- for m in messages %}
    {%- if m.tool_calls is defined %}
        {%- for call in m.tool_calls -%}
            {{ call.function.arguments|tojson if call.function.arguments is mapping else '?' }}
        {%- endfor %}
    {%- endif %}
    {%- if m.content is string and '</think>' in m.content %}
        {{- m.content.split('</think>')[-1].lstrip('\\n') }}{{ m.content.rsplit('<think>', 1) }}
    {%- endif %}
{%- endfor %}
{{- messages|map(attribute='role')|unique|sort|join('/') }}
{{- dict(a=1, b=messages|length).items()|list }}{{ [[1], [2]]|sum(start=[]) }}{{ range(3)|sum }}
{{- (messages|length) ** 2 // 3 % 5 }} {{ 7 / 2 }} {{ 2.5|round|int }} {{ -3|abs }}
{{- 'yes' if enable_thinking is defined and enable_thinking else 'no' }}
{{- ('a' ~ 1 ~ none ~ [1]).center(20, '.') }}{{ [1, 2, 3]|batch(2, 0)|list }}
{{-  '<b>'|e ~ '<'|safe }}
""",
}

OPTIONS: dict[str, dict[str, Any]] = {
    "prompt": {"add_generation_prompt": True},
    "no prompt": {"add_generation_prompt": False},
    "continued": {"add_generation_prompt": False, "continue_final_message": True},
    "tools": {"add_generation_prompt": True, "tools": TOOLS},
    "tools, no prompt": {"add_generation_prompt": False, "tools": TOOLS},
    "no tools": {"add_generation_prompt": True, "tools": []},
    "thinking": {"add_generation_prompt": True, "enable_thinking": True, "thinking": True},
    "not thinking": {"add_generation_prompt": True, "enable_thinking": False, "thinking": False},
    "effort": {"add_generation_prompt": True, "reasoning_effort": "high"},
    "documents": {
        "add_generation_prompt": True,
        "documents": [{"doc_id": 1, "title": "Llamas", "text": "They spit."}],
        "enable_citations": True,
        "controls": {"length": "short", "citations": True},
    },
    "tools and documents": {
        "add_generation_prompt": True,
        "tools": TOOLS,
        "documents": [{"doc_id": 1, "title": "Llamas", "text": "They spit."}],
    },
    "built-in tools": {
        "add_generation_prompt": True,
        "tools": TOOLS,
        "builtin_tools": ["browser", "python", "code_interpreter", "get_weather"],
        "tools_in_user_message": False,
        "date_string": "1 May 2025",
        "model_identity": "You are a test.",
    },
}
