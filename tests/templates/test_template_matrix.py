"""Real templates over all conversations and options: the same text, or refusal, as transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from template_data import CONVERSATIONS, OPTIONS, OUR_OWN, Conversation

from pyllama.errors import PyllamaError
from pyllama.templates import ChatTemplate, functions

NOON = datetime(2025, 5, 1, 12)
SPECIAL: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>"}
NAMES = (
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use",
    "HuggingFaceTB-SmolLM3-3B",
    "LFM2-8B-A1B",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
    "Qwen-QwQ-32B",
    "Qwen-Qwen2.5-7B-Instruct",
    "Qwen-Qwen3-0.6B",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "google-gemma-2-2b-it",
    "ibm-granite-granite-3.3-2B-Instruct",
    "llama-cpp-deepseek-r1",
    "meta-llama-Llama-3.1-8B-Instruct",
    "meta-llama-Llama-3.2-3B-Instruct",
    "microsoft-Phi-3.5-mini-instruct",
    "mistralai-Mistral-Nemo-Instruct-2407",
    "openai-gpt-oss-120b",
)

Apply = Callable[..., str]


@pytest.fixture(scope="module")
def apply() -> Iterator[Apply]:
    """transformers' ``apply_chat_template``, at noon."""
    rendering = pytest.importorskip("transformers.utils.chat_template_utils")
    fast = pytest.importorskip("transformers").PreTrainedTokenizerFast
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer = fast(tokenizer_object=words, **SPECIAL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "datetime", SimpleNamespace(now=lambda: NOON))

        def applied(conversation: Conversation, template: str, **options: Any) -> str:
            text = tokenizer.apply_chat_template(
                conversation, chat_template=template, tokenize=False, **options
            )
            assert isinstance(text, str)
            return text

        yield applied


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "now", lambda: NOON)


def outcome(render: Callable[[], str], refusal: type[Exception]) -> str | None:
    """The text, or None for a refusal."""
    try:
        return render()
    except refusal:
        return None


def differences(text: str, apply: Apply) -> Iterator[str]:
    """Where the two do not agree about a template."""
    template = ChatTemplate.parse(text)
    for title, conversation in CONVERSATIONS.items():
        for option, options in OPTIONS.items():
            want = outcome(lambda: apply(conversation, text, **options), Exception)  # noqa: B023
            got = outcome(
                lambda: template.render(conversation, **SPECIAL, **options),  # noqa: B023
                PyllamaError,
            )
            if got != want:
                yield f"{title} / {option}: {got!r}, not {want!r}"


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_transformers(name: str, shared: Path, apply: Apply) -> None:
    text = (shared / "templates" / f"{name}.jinja").read_text("utf-8")
    assert list(differences(text, apply)) == []


def test_no_real_template_is_left_out(shared: Path) -> None:
    assert sorted(NAMES) == sorted(path.stem for path in (shared / "templates").glob("*.jinja"))


@pytest.mark.parametrize("text", OUR_OWN.values(), ids=OUR_OWN)
def test_equal_to_transformers_on_our_own(text: str, apply: Apply) -> None:
    assert list(differences(text, apply)) == []


def test_the_matrix_has_both_texts_and_refusals(apply: Apply) -> None:
    text = OUR_OWN["strict"]
    outcomes = {
        outcome(lambda: apply(conversation, text), Exception) is None  # noqa: B023
        for conversation in CONVERSATIONS.values()
    }
    assert outcomes == {True, False}
