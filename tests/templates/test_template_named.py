"""The formats with a short name."""

from __future__ import annotations

import pytest

from pyllama.errors import UsageError
from pyllama.templates import NAMED, ChatTemplate

CONVERSATION = [
    {"role": "system", "content": "Sys"},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": " Hi "},
    {"role": "user", "content": "Bye"},
]

EXPECTED: dict[str, str] = {
    "bailing": "<role>SYSTEM</role>Sys<role>HUMAN</role>Hello<role>ASSISTANT</role> Hi "
    "<role>HUMAN</role>Bye<role>ASSISTANT</role>",
    "bailing-think": "<role>SYSTEM</role>Sys<role>HUMAN</role>Hello<role>ASSISTANT</role> Hi "
    "<role>HUMAN</role>Bye<role>ASSISTANT</role><think>",
    "bailing2": "<role>SYSTEM</role>Sys<|role_end|><role>HUMAN</role>Hello<|role_end|>"
    "<role>ASSISTANT</role> Hi <|role_end|><role>HUMAN</role>Bye<|role_end|>"
    "<role>ASSISTANT</role>",
    "chatglm3": "[gMASK]sop<|system|>\n Sys<|user|>\n Hello<|assistant|>\n  Hi <|user|>\n Bye"
    "<|assistant|>",
    "chatglm4": "[gMASK]<sop><|system|>\nSys<|user|>\nHello<|assistant|>\n Hi <|user|>\nBye"
    "<|assistant|>\n",
    "chatml": "<|im_start|>system\nSys<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n"
    "<|im_start|>assistant\n Hi <|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
    "<|im_start|>assistant\n",
    "command-r": "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>Sys<|END_OF_TURN_TOKEN|>"
    "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hello<|END_OF_TURN_TOKEN|>"
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>Hi<|END_OF_TURN_TOKEN|>"
    "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Bye<|END_OF_TURN_TOKEN|>"
    "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
    "deepseek": "Sys### Instruction:\nHello\n### Response:\n Hi \n<|EOT|>\n"
    "### Instruction:\nBye\n### Response:\n",
    "deepseek2": "Sys\n\nUser: Hello\n\nAssistant:  Hi <｜end▁of▁sentence｜>User: Bye\n\n"
    "Assistant:",
    "deepseek3": "Sys\n\n<｜User｜>Hello<｜Assistant｜> Hi <｜end▁of▁sentence｜><｜User｜>Bye"
    "<｜Assistant｜>",
    "exaone3": "[|system|]Sys[|endofturn|]\n[|user|]Hello\n[|assistant|]Hi[|endofturn|]\n"
    "[|user|]Bye\n[|assistant|]",
    "exaone4": "[|system|]Sys[|endofturn|]\n[|user|]Hello\n[|assistant|]Hi[|endofturn|]\n"
    "[|user|]Bye\n[|assistant|]",
    "falcon3": "<|system|>\nSys\n<|user|>\nHello\n<|assistant|>\n Hi \n<|user|>\nBye\n"
    "<|assistant|>\n",
    "gemma": "<start_of_turn>user\nSys\n\nHello<end_of_turn>\n<start_of_turn>model\n"
    "Hi<end_of_turn>\n<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n",
    "gigachat": "<s>Sys<|message_sep|>user<|role_sep|>Hello<|message_sep|>available functions"
    "<|role_sep|>[]<|message_sep|>assistant<|role_sep|> Hi <|message_sep|>user<|role_sep|>Bye"
    "<|message_sep|>available functions<|role_sep|>[]<|message_sep|>assistant<|role_sep|>",
    "glmedge": "<|system|>\nSys<|user|>\nHello<|assistant|>\n Hi <|user|>\nBye<|assistant|>",
    "gpt-oss": "<|start|>system<|message|>Sys<|end|><|start|>user<|message|>Hello<|end|>"
    "<|start|>assistant<|message|> Hi <|return|><|start|>user<|message|>Bye<|end|>"
    "<|start|>assistant",
    "granite": "<|start_of_role|>system<|end_of_role|>Sys<|end_of_text|>\n"
    "<|start_of_role|>user<|end_of_role|>Hello<|end_of_text|>\n"
    "<|start_of_role|>assistant<|end_of_role|> Hi <|end_of_text|>\n"
    "<|start_of_role|>user<|end_of_role|>Bye<|end_of_text|>\n"
    "<|start_of_role|>assistant<|end_of_role|>",
    "grok-2": "System: Sys<|separator|>\n\nHuman: Hello<|separator|>\n\nAssistant:  Hi "
    "<|separator|>\n\nHuman: Bye<|separator|>\n\nAssistant:",
    "hunyuan-dense": "Sys<｜hy_place▁holder▁no▁3｜><｜hy_User｜>Hello<｜hy_Assistant｜> Hi "
    "<｜hy_place▁holder▁no▁2｜><｜hy_User｜>Bye<｜hy_Assistant｜>",
    "hunyuan-moe": "<|startoftext|>Sys<|extra_4|><|startoftext|>Hello<|extra_0|> Hi <|eos|>"
    "<|startoftext|>Bye<|extra_0|>",
    "kimi-k2": "<|im_system|>system<|im_middle|>Sys<|im_end|><|im_user|>user<|im_middle|>Hello"
    "<|im_end|><|im_assistant|>assistant<|im_middle|> Hi <|im_end|><|im_user|>user<|im_middle|>"
    "Bye<|im_end|><|im_assistant|>assistant<|im_middle|>",
    "llama2": "[INST] Sys\nHello [/INST] Hi </s>[INST] Bye [/INST]",
    "llama2-sys": "[INST] <<SYS>>\nSys\n<</SYS>>\n\nHello [/INST] Hi </s>[INST] Bye [/INST]",
    "llama2-sys-bos": "[INST] <<SYS>>\nSys\n<</SYS>>\n\nHello [/INST] Hi </s><s>[INST] Bye [/INST]",
    "llama2-sys-strip": "[INST] <<SYS>>\nSys\n<</SYS>>\n\nHello [/INST]Hi</s>[INST] Bye [/INST]",
    "llama3": "<|start_header_id|>system<|end_header_id|>\n\nSys<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "llama4": "<|header_start|>system<|header_end|>\n\nSys<|eot|>"
    "<|header_start|>user<|header_end|>\n\nHello<|eot|>"
    "<|header_start|>assistant<|header_end|>\n\nHi<|eot|>"
    "<|header_start|>user<|header_end|>\n\nBye<|eot|>"
    "<|header_start|>assistant<|header_end|>\n\n",
    "megrez": "<|role_start|>system<|role_end|>Sys<|turn_end|><|role_start|>user<|role_end|>Hello"
    "<|turn_end|><|role_start|>assistant<|role_end|> Hi <|turn_end|><|role_start|>user"
    "<|role_end|>Bye<|turn_end|><|role_start|>assistant<|role_end|>",
    "minicpm": "Sys<用户>Hello<AI>Hi<用户>Bye<AI>",
    "mistral-v1": " [INST] Sys\n\nHello [/INST]  Hi </s> [INST] Bye [/INST]",
    "mistral-v3": "[INST] Sys\n\nHello[/INST] Hi</s>[INST] Bye[/INST]",
    "mistral-v3-tekken": "[INST]Sys\n\nHello[/INST] Hi </s>[INST]Bye[/INST]",
    "mistral-v7": "[SYSTEM_PROMPT] Sys[/SYSTEM_PROMPT][INST] Hello[/INST]  Hi </s>"
    "[INST] Bye[/INST]",
    "mistral-v7-tekken": "[SYSTEM_PROMPT]Sys[/SYSTEM_PROMPT][INST]Hello[/INST] Hi </s>"
    "[INST]Bye[/INST]",
    "monarch": "system\nSys</s>\n<s>user\nHello</s>\n<s>assistant\n Hi </s>\n<s>user\nBye</s>\n"
    "<s>assistant\n",
    "openchat": "Sys<|end_of_turn|>GPT4 Correct User: Hello<|end_of_turn|>GPT4 Correct Assistant: "
    " Hi <|end_of_turn|>GPT4 Correct User: Bye<|end_of_turn|>GPT4 Correct Assistant:",
    "orion": "Human: Sys\n\nHello\n\nAssistant: </s> Hi </s>Human: Bye\n\nAssistant: </s>",
    "pangu-embedded": "[unused9]系统：Sys[unused10][unused9]用户：Hello[unused10]"
    "[unused9]助手： Hi [unused10][unused9]用户：Bye[unused10][unused9]助手：",
    "phi3": "<|system|>\nSys<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\n Hi <|end|>\n"
    "<|user|>\nBye<|end|>\n<|assistant|>\n",
    "phi4": "<|im_start|>system<|im_sep|>Sys<|im_end|><|im_start|>user<|im_sep|>Hello<|im_end|>"
    "<|im_start|>assistant<|im_sep|> Hi <|im_end|><|im_start|>user<|im_sep|>Bye<|im_end|>"
    "<|im_start|>assistant<|im_sep|>",
    "rwkv-world": "System: Sys\n\nUser: Hello\n\nAssistant: Hi\n\nUser: Bye\n\nAssistant:",
    "seed_oss": "<seed:bos>system\nSys<seed:eos><seed:bos>user\nHello<seed:eos>"
    "<seed:bos>assistant\nHi<seed:eos><seed:bos>user\nBye<seed:eos><seed:bos>assistant\n",
    "smolvlm": "<|im_start|>Sys\n\nUser: Hello<end_of_utterance>\nAssistant:  Hi "
    "<end_of_utterance>\nUser: Bye<end_of_utterance>\nAssistant:",
    "vicuna": "Sys\n\nUSER: Hello\nASSISTANT:  Hi </s>\nUSER: Bye\nASSISTANT:",
    "vicuna-orca": "SYSTEM: Sys\nUSER: Hello\nASSISTANT:  Hi </s>\nUSER: Bye\nASSISTANT:",
    "yandex": " Пользователь: Hello\n\n Ассистент:  Hi \n\n Пользователь: Bye\n\n Ассистент:[SEP]",
    "zephyr": "<|system|>\nSys<|endoftext|>\n<|user|>\nHello<|endoftext|>\n<|assistant|>\n Hi "
    "<|endoftext|>\n<|user|>\nBye<|endoftext|>\n<|assistant|>\n",
}
EXPECTED["granite-4.0"] = EXPECTED["granite"]


def test_every_format_is_tested() -> None:
    assert sorted(EXPECTED) == sorted(NAMED) == list(NAMED)


@pytest.mark.parametrize("name", NAMED)
def test_formats(name: str) -> None:
    template = ChatTemplate.named(name)
    assert template.render(CONVERSATION) == EXPECTED[name]
    assert template.source == f"the built-in chat template {name}"


@pytest.mark.parametrize("name", NAMED)
def test_what_asks_for_an_answer_can_be_left_out(name: str) -> None:
    asked = EXPECTED[name]
    told = ChatTemplate.named(name).render(CONVERSATION, add_generation_prompt=False)
    assert asked.startswith(told)
    assert told.count("Bye") == 1


def test_special_cases() -> None:
    user = [{"role": "user", "content": "{{ 'x' }} 'quoted' \\n"}]
    assert ChatTemplate.named("bailing2").render(user).startswith("<role>SYSTEM</role>detailed")
    assert ChatTemplate.named("pangu-embedded").render(user).startswith("[unused9]系统：[unused10]")
    assert ChatTemplate.named("llama2").render(user) == "[INST] {{ 'x' }} 'quoted' \\n [/INST]"
    call = [*user, {"role": "assistant_tool_call", "content": "f()"}]
    assert "<|start_of_role|>assistant_tool_call<|end_of_role|><|tool_call|>f()" in (
        ChatTemplate.named("granite").render(call)
    )
    assert "<|start_of_role|>assistant<|end_of_role|><|tool_call|>f()" in (
        ChatTemplate.named("granite-4.0").render(call)
    )


def test_a_name_that_is_none() -> None:
    with pytest.raises(UsageError, match="no chat template 'gpt5'; there are: bailing, "):
        ChatTemplate.named("gpt5")
