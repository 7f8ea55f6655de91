"""``pyllama run`` with a chat template: the prompt is a message, and stdout is the answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_runner import Result, call
from tiny_model import write_model

from pyllama.gguf import GGUFFile

PLAIN = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}(answer)"
ARGUMENTS = ("--no-perf", "-s", "1")


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose template begins with the BOS token that the tokenizer adds as well."""
    path = tmp_path_factory.mktemp("chat") / "chatty.gguf"
    return write_model(path, {"tokenizer.chat_template": "{{ bos_token }}" + PLAIN})


def prompt_of(result: Result) -> str:
    """The rendered prompt, which ``--display-prompt -n 0`` writes."""
    assert result.code == 0, result
    return result.out.decode().removesuffix("\n")


def run(model: Path, *options: str | Path) -> Result:
    length = () if "-n" in options else ("-n", "6")
    return call("run", "-m", model, *ARGUMENTS, *length, *options)


def test_the_answer_is_that_to_the_rendered_text(chatty: Path) -> None:
    rendered = "[user]Hi(answer)"
    expected = run(chatty, "-p", rendered, "--no-display-prompt").out
    for option in ("-cnv", "-st", "--conversation", "--single-turn"):
        result = run(chatty, "-p", "Hi", option)
        assert (result.code, result.out, result.err) == (0, expected, "")
    shown = run(chatty, "-p", "Hi", "-st", "--display-prompt")
    assert shown.out == rendered.encode() + expected


def test_one_bos_token_is_enough(chatty: Path) -> None:
    result = run(chatty, "-p", "Hi", "-st", "--verbose-prompt", "-n", "0")
    assert "number of tokens in prompt = 18" in result.err
    assert result.err.count("'<s>'") == 1
    assert "BOS" not in result.err


def test_without_the_options_the_prompt_is_a_text(chatty: Path) -> None:
    assert prompt_of(run(chatty, "-p", "Hi", "-n", "0")) == "Hi"
    assert prompt_of(run(chatty, "-p", "Hi", "-n", "0", "-no-cnv")) == "Hi"


def test_system_messages(chatty: Path, tmp_path: Path) -> None:
    file = tmp_path / "system.txt"
    file.write_text("Be\\x21\n")
    common = ("-p", "Hi", "-st", "--display-prompt", "-n", "0")
    expected = "[system]Be![user]Hi(answer)"
    assert prompt_of(run(chatty, *common, "-sys", r"Be\x21")) == expected
    assert prompt_of(run(chatty, *common, "-sysf", file)) == "[system]Be\\x21[user]Hi(answer)"


def test_other_templates(chatty: Path, tmp_path: Path) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{{ word }}: {{ messages[0].content }}")
    common = ("-p", "Hi", "-cnv", "--display-prompt", "-n", "0")
    variables = ("--chat-template-kwargs", '{"word": "Q"}')
    assert prompt_of(run(chatty, *common, "--chat-template-file", file, *variables)) == "Q: Hi"
    literal = run(chatty, *common, "--chat-template", "<{{ messages[0].content }}>")
    assert prompt_of(literal) == "<Hi>"
    named = prompt_of(run(chatty, *common, "--chat-template", "vicuna"))
    assert "USER: Hi" in named
    unused = run(chatty, "-p", "Hi", "--chat-template", "vicuna")
    assert unused.err.startswith("warning: --chat-template has no effect without -cnv")


def test_thinking_is_the_template_s_affair(chatty: Path) -> None:
    template = "{{ enable_thinking }} {{ reasoning_effort }}"
    common = ("-p", "Hi", "-st", "--display-prompt", "-n", "0", "--chat-template", template)
    assert prompt_of(run(chatty, *common)) == " "
    assert prompt_of(run(chatty, *common, "--reasoning", "off")) == "False "
    both = ("-rea", "on", "--reasoning-effort", "low")
    assert prompt_of(run(chatty, *common, *both)) == "True low"
    kwargs = ("--chat-template-kwargs", '{"enable_thinking": false}')
    assert prompt_of(run(chatty, *common, *both, *kwargs)) == "False low"


def test_a_model_without_a_template(tmp_path: Path) -> None:
    path = write_model(tmp_path / "plain.gguf")
    with GGUFFile.open(path) as file:
        assert "tokenizer.chat_template" not in file.metadata
    result = run(path, "-p", "Hi", "-st", "--display-prompt", "-n", "0")
    assert prompt_of(result) == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert result.err.startswith(f"warning: {path} has no chat template: using ChatML")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("-st", "-no-cnv"), "-st and -no-cnv contradict"),
        (("-sys", "a"), "-sys and -sysf need -cnv or -st"),
        (("-st", "-sys", "a", "-sysf", "b"), "-sys and -sysf both"),
        (("-st", "--chat-template", "a", "--chat-template-file", "b"), "--chat-template-file"),
        (("-st", "--chat-template", "nonesuch"), "nonesuch"),
        (("-st", "--chat-template-kwargs", "[]"), "JSON object"),
        (("-st", "-rea", "maybe"), "--reasoning is 'maybe'"),
    ],
)
def test_contradictions(chatty: Path, options: tuple[str, ...], complaint: str) -> None:
    result = run(chatty, "-p", "Hi", *options)
    assert (result.code, result.out) == (2, b"")
    assert complaint in result.err
    assert result.err.count("\n") == 1


def test_a_template_that_does_not_parse(chatty: Path) -> None:
    result = run(chatty, "-p", "Hi", "-st", "--chat-template", "{% for %}")
    assert (result.code, result.out) == (1, b"")
    assert "--chat-template" in result.err
    assert "line 1" in result.err
