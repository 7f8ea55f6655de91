"""Where templates come from, and the special tokens that they see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyllama.errors import ModelError, TemplateError, UsageError
from pyllama.gguf import GGUFFile
from pyllama.templates import NAMED, ChatTemplate, parse_variables, template_names
from pyllama.tokenizers import Tokenizer

USER = [{"role": "user", "content": "Hi"}]
KEY = "tokenizer.chat_template"
DEFAULT, TOOLS, RAG = "default: {{ bos_token }}", "tools", "rag"


def tokenizer(**keys: Any) -> Tokenizer:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": [2, 3, 3, *[6] * 256],
        **{f"tokenizer.ggml.{key}": value for key, value in keys.items()},
    }
    return Tokenizer.from_metadata(metadata, "model.gguf")


def test_the_models_template() -> None:
    template = ChatTemplate.from_metadata({KEY: DEFAULT}, tokenizer(add_bos_token=False))
    assert (template.text, template.source) == (DEFAULT, f"the model: {KEY}")
    assert not template.is_fallback
    assert template.render(USER) == "default: <s>"


def test_several_templates() -> None:
    metadata = {
        KEY: DEFAULT,
        f"{KEY}.tool_use": TOOLS,
        f"{KEY}.rag_2": RAG,
        f"{KEY}s": ["rag-2", "tool_use"],
    }
    assert template_names(metadata) == ("default", "rag-2", "tool_use")
    for name, text in (("default", DEFAULT), ("tool_use", TOOLS), ("rag-2", RAG)):
        assert ChatTemplate.from_metadata(metadata, name=name).text == text
    with pytest.raises(UsageError, match="no chat template 'x'; it has: default, rag-2, tool_use"):
        ChatTemplate.from_metadata(metadata, name="x")


def test_default_and_tool_use_stand_in_for_each_other() -> None:
    only_default = {KEY: DEFAULT}
    assert ChatTemplate.from_metadata(only_default, name="tool_use").text == DEFAULT
    only_tools = {f"{KEY}.tool_use": TOOLS}
    template = ChatTemplate.from_metadata(only_tools, source="m.gguf")
    assert (template.text, template.source) == (TOOLS, f"m.gguf: {KEY}.tool_use")


def test_a_model_without_a_template_gets_chatml() -> None:
    assert template_names({}) == ()
    for name in ("default", "tool_use"):
        template = ChatTemplate.from_metadata({}, name=name)
        assert template.is_fallback
        assert template.text == NAMED["chatml"]
    assert not ChatTemplate.named("chatml").is_fallback
    with pytest.raises(UsageError, match="has no chat template 'rag'; it has: none"):
        ChatTemplate.from_metadata({}, name="rag")


def test_metadata_that_is_no_template() -> None:
    with pytest.raises(ModelError, match=r"m\.gguf: tokenizer\.chat_template is not a string"):
        ChatTemplate.from_metadata({KEY: 7}, source="m.gguf")
    with pytest.raises(TemplateError, match=r"m\.gguf: tokenizer\.chat_template, line 1: "):
        ChatTemplate.from_metadata({KEY: "{% if %}"}, source="m.gguf")
    assert template_names({KEY: DEFAULT, f"{KEY}s": 3}) == ("default",)


def test_options() -> None:
    assert ChatTemplate.from_option(" zephyr\n").text == NAMED["zephyr"]
    assert ChatTemplate.from_option("{{ messages[0].content }}!").render(USER) == "Hi!"
    with pytest.raises(UsageError, match="there is no chat template 'chatlm'; there are: bail"):
        ChatTemplate.from_option("chatlm")
    with pytest.raises(TemplateError, match="--chat-template, line 1: "):
        ChatTemplate.from_option("{% if %}")


def test_variables_of_an_option() -> None:
    assert parse_variables('{"enable_thinking": false}') == {"enable_thinking": False}
    for text, problem in (
        ("{", "are no JSON: "),
        ("[" * 100_000, "are no JSON: "),
        ("[1]", "must be a JSON object"),
        ('{"tools": []}', "'tools' is set by pyllama itself"),
    ):
        with pytest.raises(UsageError, match=problem):
            parse_variables(text)


def test_special_tokens_are_variables() -> None:
    text = "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token is defined }}"
    plain = ChatTemplate.parse(text)
    assert plain.render(USER) == "|||False"
    with_tokens = ChatTemplate.parse(text, tokenizer=tokenizer(add_bos_token=False))
    assert with_tokens.render(USER) == "<s>|</s>|<unk>|False"
    assert with_tokens.render(USER, bos_token="<b>") == "<b>|</s>|<unk>|False"


def test_what_the_tokenizer_adds_is_not_written_too() -> None:
    adds, adds_not = tokenizer(add_bos_token=True), tokenizer(add_bos_token=False)
    text = "{{ bos_token }}Hi<s>"
    for tokens in (adds, adds_not):
        ids = tokens.encode(
            ChatTemplate.parse(text, tokenizer=tokens).render(USER), parse_special=True
        )
        assert ids.count(1) == 2
        assert ids[0] == 1
        assert not tokens.doubles_bos(ids)
    assert ChatTemplate.parse(text, tokenizer=adds).render(USER) == "Hi<s>"
    assert ChatTemplate.parse(" <s>", tokenizer=adds).render(USER) == " <s>"
    continued = ChatTemplate.parse("{{ bos_token + messages[0].content }}", tokenizer=adds)
    assert continued.render(USER, continue_final_message=True) == "Hi"


@pytest.mark.parametrize("name", ["llama-bpe", "llama-spm", "phi-3", "qwen2", "deepseek-llm"])
def test_no_real_vocabulary_gets_two_beginnings(name: str, shared: Path) -> None:
    with GGUFFile.open(shared / "vocabs" / f"ggml-vocab-{name}.gguf") as file:
        tokens = Tokenizer.from_gguf(file)
        template = ChatTemplate.from_gguf(file, tokens)
    for chosen in (template, ChatTemplate.parse("{{ bos_token }}x", tokenizer=tokens)):
        ids = tokens.encode(chosen.render(USER), parse_special=True)
        assert not tokens.doubles_bos(ids)
        assert [token for token in ids if token == tokens.bos] in ([], ids[:1])
