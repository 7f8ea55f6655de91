"""The chat formats that have a short name in llama.cpp, each written as a template.

A format is what stands around the text of each role, and what asks for an answer: a table row.
``{role}``, ``{text}`` and ``{trimmed}`` (the text without white space at its ends) stand for those
of a message, ``{first}`` for a system message that opens the conversation, where it is put into
the message that follows it. A role that a row does not name is left out.

The token that begins a sequence is left to the tokenizer, except where a format repeats it. What
ends a sequence is written as the models that use the format spell it.

Left out, for there was no reliable description: deepseek-ocr, exaone-moe, granite-4.1,
hunyuan-vl, solar-open.
"""

from __future__ import annotations

import re

_FIELD = re.compile(r"(\{\w+\})")
_FIELDS = {
    "{role}": "{{ message.role }}",
    "{ROLE}": "{{ 'HUMAN' if message.role == 'user' else message.role|upper }}",
    "{Role}": "{{ message.role|capitalize }}",
    "{text}": "{{ message.content }}",
    "{trimmed}": "{{ message.content|trim }}",
    "{first}": "{% if loop.index0 == 1 and loop.previtem.role == 'system' -%}"
    "{{ loop.previtem.content|trim + '\\n\\n' }}{%- endif -%}",
}


def _turns(
    *,
    start: str = "",
    ask: str = "",
    between: str = "",
    again: str = "",
    no_system: str = "",
    other: str = "",
    **roles: str,
) -> str:
    """A template that writes each message after the pattern of its role.

    Args:
        start: comes first.
        ask: comes last if an answer is asked for.
        between: comes before each message but the first.
        again: comes before each message that follows an answer.
        no_system: comes after ``start`` if no system message opens the conversation.
        other: the pattern of roles that have none of their own.
        roles: patterns by role.
    """
    body = _written(other)
    for role, pattern in roles.items():
        body = _if(f"message.role == '{role}'", _written(pattern), body)
    answered = "not loop.first and loop.previtem.role not in ('system', 'user')"
    body = _if("not loop.first", _written(between)) + _if(answered, _written(again)) + body
    return (
        _written(start)
        + _if("messages[0].role != 'system'", _written(no_system))
        + f"{{%- for message in messages -%}}{body}{{%- endfor -%}}"
        + _if("add_generation_prompt", _written(ask))
    )


def _if(condition: str, then: str, otherwise: str = "") -> str:
    if not then and not otherwise:
        return ""
    return f"{{%- if {condition} -%}}{then}{{%- else -%}}{otherwise}{{%- endif -%}}"


def _written(pattern: str) -> str:
    """A pattern as Jinja: fields as expressions, and all else as literals, which keep spaces."""
    return "".join(_FIELDS.get(part) or _literal(part) for part in _FIELD.split(pattern))


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"{{{{ '{escaped}' }}}}" if text else ""


def _inst(before: str, inside: str, after: str, answer: str) -> str:
    """Mistral, up to version 3: ``[INST]`` spans a system message and what the user says."""
    opening = f"{before}[INST]{inside}"
    return _turns(
        start=opening,
        again=opening,
        system="{text}\n\n",
        user=f"{{text}}{after}[/INST]",
        other=f"{inside}{answer}</s>",
    )


def _llama2(system: str, text: str = "{text}", again: str = "[INST] ") -> str:
    return _turns(
        start="[INST] ", again=again, system=system, user=f"{text} [/INST]", other=f"{text}</s>"
    )


def _mistral7(space: str) -> str:
    return _turns(
        system=f"[SYSTEM_PROMPT]{space}{{text}}[/SYSTEM_PROMPT]",
        user=f"[INST]{space}{{text}}[/INST]",
        other=f"{space}{{text}}</s>",
    )


_BAILING = {"other": "<role>{ROLE}</role>{text}"}
_EXAONE = {
    "system": "[|system|]{trimmed}[|endofturn|]\n",
    "user": "[|user|]{trimmed}\n",
    "assistant": "[|assistant|]{trimmed}[|endofturn|]\n",
    "ask": "[|assistant|]",
}
_GRANITE = {
    "other": "<|start_of_role|>{role}<|end_of_role|>{text}<|end_of_text|>\n",
    "ask": "<|start_of_role|>assistant<|end_of_role|>",
}
_VICUNA = {"user": "USER: {text}\n", "assistant": "ASSISTANT: {text}</s>\n", "ask": "ASSISTANT:"}

NAMED: dict[str, str] = {
    "bailing": _turns(**_BAILING, ask="<role>ASSISTANT</role>"),
    "bailing-think": _turns(**_BAILING, ask="<role>ASSISTANT</role><think>"),
    "bailing2": _turns(
        no_system="<role>SYSTEM</role>detailed thinking off<|role_end|>",
        other="<role>{ROLE}</role>{text}<|role_end|>",
        ask="<role>ASSISTANT</role>",
    ),
    "chatglm3": _turns(start="[gMASK]sop", other="<|{role}|>\n {text}", ask="<|assistant|>"),
    "chatglm4": _turns(start="[gMASK]<sop>", other="<|{role}|>\n{text}", ask="<|assistant|>\n"),
    "chatml": _turns(
        other="<|im_start|>{role}\n{text}<|im_end|>\n",
        ask="<|im_start|>assistant\n",
    ),
    "command-r": _turns(
        system="<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>{trimmed}<|END_OF_TURN_TOKEN|>",
        user="<|START_OF_TURN_TOKEN|><|USER_TOKEN|>{trimmed}<|END_OF_TURN_TOKEN|>",
        assistant="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{trimmed}<|END_OF_TURN_TOKEN|>",
        ask="<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    ),
    "deepseek": _turns(
        system="{text}",
        user="### Instruction:\n{text}\n",
        assistant="### Response:\n{text}\n<|EOT|>\n",
        ask="### Response:\n",
    ),
    "deepseek2": _turns(
        system="{text}\n\n",
        user="User: {text}\n\n",
        assistant="Assistant: {text}<｜end▁of▁sentence｜>",
        ask="Assistant:",
    ),
    "deepseek3": _turns(
        system="{text}\n\n",
        user="<｜User｜>{text}",
        assistant="<｜Assistant｜>{text}<｜end▁of▁sentence｜>",
        ask="<｜Assistant｜>",
    ),
    "exaone3": _turns(**_EXAONE),
    "exaone4": _turns(**_EXAONE, tool="[|tool|]{trimmed}[|endofturn|]\n"),
    "falcon3": _turns(other="<|{role}|>\n{text}\n", ask="<|assistant|>\n"),
    "gemma": _turns(
        system="",
        assistant="<start_of_turn>model\n{trimmed}<end_of_turn>\n",
        other="<start_of_turn>{role}\n{first}{trimmed}<end_of_turn>\n",
        ask="<start_of_turn>model\n",
    ),
    "gigachat": _turns(
        start="<s>",
        system="{text}<|message_sep|>",
        user="user<|role_sep|>{text}<|message_sep|>"
        "available functions<|role_sep|>[]<|message_sep|>",
        assistant="assistant<|role_sep|>{text}<|message_sep|>",
        ask="assistant<|role_sep|>",
    ),
    "glmedge": _turns(other="<|{role}|>\n{text}", ask="<|assistant|>"),
    "gpt-oss": _turns(
        assistant="<|start|>assistant<|message|>{text}<|return|>",
        other="<|start|>{role}<|message|>{text}<|end|>",
        ask="<|start|>assistant",
    ),
    "granite": _turns(
        assistant_tool_call="<|start_of_role|>assistant_tool_call<|end_of_role|>"
        "<|tool_call|>{text}<|end_of_text|>\n",
        **_GRANITE,
    ),
    "granite-4.0": _turns(
        assistant_tool_call="<|start_of_role|>assistant<|end_of_role|>"
        "<|tool_call|>{text}<|end_of_text|>\n",
        **_GRANITE,
    ),
    "grok-2": _turns(
        system="System: {trimmed}<|separator|>\n\n",
        user="Human: {trimmed}<|separator|>\n\n",
        assistant="Assistant: {text}<|separator|>\n\n",
        ask="Assistant:",
    ),
    "hunyuan-dense": _turns(
        system="{text}<｜hy_place▁holder▁no▁3｜>",
        user="<｜hy_User｜>{text}",
        assistant="<｜hy_Assistant｜>{text}<｜hy_place▁holder▁no▁2｜>",
        ask="<｜hy_Assistant｜>",
    ),
    "hunyuan-moe": _turns(
        system="<|startoftext|>{text}<|extra_4|>",
        assistant="{text}<|eos|>",
        other="<|startoftext|>{text}<|extra_0|>",
    ),
    "kimi-k2": _turns(
        system="<|im_system|>system<|im_middle|>{text}<|im_end|>",
        user="<|im_user|>user<|im_middle|>{text}<|im_end|>",
        assistant="<|im_assistant|>assistant<|im_middle|>{text}<|im_end|>",
        tool="<|im_system|>tool<|im_middle|>{text}<|im_end|>",
        ask="<|im_assistant|>assistant<|im_middle|>",
    ),
    "llama2": _llama2("{text}\n"),
    "llama2-sys": _llama2("<<SYS>>\n{text}\n<</SYS>>\n\n"),
    "llama2-sys-bos": _llama2("<<SYS>>\n{text}\n<</SYS>>\n\n", again="<s>[INST] "),
    "llama2-sys-strip": _llama2("<<SYS>>\n{trimmed}\n<</SYS>>\n\n", "{trimmed}"),
    "llama3": _turns(
        other="<|start_header_id|>{role}<|end_header_id|>\n\n{trimmed}<|eot_id|>",
        ask="<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "llama4": _turns(
        other="<|header_start|>{role}<|header_end|>\n\n{trimmed}<|eot|>",
        ask="<|header_start|>assistant<|header_end|>\n\n",
    ),
    "megrez": _turns(
        other="<|role_start|>{role}<|role_end|>{text}<|turn_end|>",
        ask="<|role_start|>assistant<|role_end|>",
    ),
    "minicpm": _turns(user="<用户>{trimmed}<AI>", other="{trimmed}"),
    "mistral-v1": _inst(before=" ", inside=" ", after=" ", answer="{text}"),
    "mistral-v3": _inst(before="", inside=" ", after="", answer="{trimmed}"),
    "mistral-v3-tekken": _inst(before="", inside="", after="", answer="{text}"),
    "mistral-v7": _mistral7(" "),
    "mistral-v7-tekken": _mistral7(""),
    "monarch": _turns(between="<s>", other="{role}\n{text}</s>\n", ask="<s>assistant\n"),
    "openchat": _turns(
        system="{text}<|end_of_turn|>",
        other="GPT4 Correct {Role}: {text}<|end_of_turn|>",
        ask="GPT4 Correct Assistant:",
    ),
    "orion": _turns(system="", user="Human: {first}{text}\n\nAssistant: </s>", other="{text}</s>"),
    "pangu-embedded": _turns(
        no_system="[unused9]系统：[unused10]",
        system="[unused9]系统：{text}[unused10]",
        user="[unused9]用户：{text}[unused10]",
        assistant="[unused9]助手：{text}[unused10]",
        tool="[unused9]工具：{text}[unused10]",
        function="[unused9]方法：{text}[unused10]",
        ask="[unused9]助手：",
    ),
    "phi3": _turns(other="<|{role}|>\n{text}<|end|>\n", ask="<|assistant|>\n"),
    "phi4": _turns(
        other="<|im_start|>{role}<|im_sep|>{text}<|im_end|>",
        ask="<|im_start|>assistant<|im_sep|>",
    ),
    "rwkv-world": _turns(
        system="System: {trimmed}\n\n",
        user="User: {trimmed}\n\n",
        assistant="Assistant: {trimmed}\n\n",
        ask="Assistant:",
    ),
    "seed_oss": _turns(
        assistant="<seed:bos>assistant\n{trimmed}<seed:eos>",
        other="<seed:bos>{role}\n{text}<seed:eos>",
        ask="<seed:bos>assistant\n",
    ),
    "smolvlm": _turns(
        start="<|im_start|>",
        system="{text}\n\n",
        user="User: {text}<end_of_utterance>\n",
        other="Assistant: {text}<end_of_utterance>\n",
        ask="Assistant:",
    ),
    "vicuna": _turns(system="{text}\n\n", **_VICUNA),
    "vicuna-orca": _turns(system="SYSTEM: {text}\n", **_VICUNA),
    "yandex": _turns(
        user=" Пользователь: {text}\n\n",
        assistant=" Ассистент: {text}\n\n",
        ask=" Ассистент:[SEP]",
    ),
    "zephyr": _turns(other="<|{role}|>\n{text}<|endoftext|>\n", ask="<|assistant|>\n"),
}
"""Template texts by name."""
