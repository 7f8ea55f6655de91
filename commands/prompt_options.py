"""The prompt: a text to continue, or, with a chat template, a message to answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyllama.commands import options
from pyllama.commands.prompt import Prompt, argument_text, decode, read_file, read_prompt
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.model import Model
    from pyllama.templates import ChatTemplate

log = logging.getLogger(__name__)


_THINKING = {"on": True, "off": False, "auto": None}


@dataclass(frozen=True)
class PromptOptions:
    """Where the prompt comes from, and whether it is shown."""

    prompt: options.Prompt = None
    file: options.PromptFile = None
    binary_file: Annotated[
        Path | None,
        typer.Option(
            "-bf",
            "--binary-file",
            metavar="FILE",
            help="File with the prompt, taken as it is.",
            show_default=False,
        ),
    ] = None
    escape: options.Escape = True
    display_prompt: Annotated[
        bool | None,
        typer.Option(
            "--display-prompt/--no-display-prompt",
            help="Write the prompt before the text.",
            show_default="unless a chat template is used",
        ),
    ] = None
    verbose_prompt: Annotated[
        bool, typer.Option("--verbose-prompt", help="Show the prompt's tokens on stderr.")
    ] = False

    def read(self) -> Prompt:
        """The prompt; see read_prompt."""
        return read_prompt(self.prompt, self.file, escape=self.escape, binary_file=self.binary_file)

    def shows(self, *, by_default: bool) -> bool:
        """Whether the prompt is written, too."""
        return by_default if self.display_prompt is None else self.display_prompt


@dataclass(frozen=True)
class ChatOptions:
    """Whether and how the prompt becomes a conversation."""

    conversation: Annotated[
        bool | None,
        typer.Option(
            "-cnv/-no-cnv",
            "--conversation/--no-conversation",
            help="Take the prompt as a message, and answer it by the model's chat template.",
            show_default="no",
        ),
    ] = None
    single_turn: Annotated[
        bool, typer.Option("-st", "--single-turn", help="The same: there is one turn.")
    ] = False
    system_prompt: Annotated[
        str | None,
        typer.Option(
            "-sys",
            "--system-prompt",
            metavar="TEXT",
            help="System message of the conversation.",
            show_default=False,
        ),
    ] = None
    system_prompt_file: Annotated[
        Path | None,
        typer.Option(
            "-sysf",
            "--system-prompt-file",
            metavar="FILE",
            help="File with the system message; one newline at its end is dropped.",
            show_default=False,
        ),
    ] = None
    chat_template: Annotated[
        str | None,
        typer.Option(
            "--chat-template",
            metavar="NAME|JINJA",
            envvar="LLAMA_ARG_CHAT_TEMPLATE",
            help="Chat template: a short name such as chatml, or the template itself.",
            show_default="the model's",
        ),
    ] = None
    chat_template_file: Annotated[
        Path | None,
        typer.Option(
            "--chat-template-file",
            metavar="FILE",
            envvar="LLAMA_ARG_CHAT_TEMPLATE_FILE",
            help="File with the chat template.",
            show_default=False,
        ),
    ] = None
    chat_template_kwargs: Annotated[
        str | None,
        typer.Option(
            "--chat-template-kwargs",
            metavar="JSON",
            envvar=["LLAMA_ARG_CHAT_TEMPLATE_KWARGS", "LLAMA_CHAT_TEMPLATE_KWARGS"],
            help='Variables of the template, such as {"enable_thinking": false}.',
            show_default=False,
        ),
    ] = None
    reasoning: Annotated[
        str,
        typer.Option(
            "-rea",
            "--reasoning",
            metavar="on|off|auto",
            envvar="LLAMA_ARG_REASONING",
            help="Whether the model shall think first: the template's variable enable_thinking.",
        ),
    ] = "auto"
    reasoning_effort: Annotated[
        str | None,
        typer.Option(
            "--reasoning-effort",
            metavar="WORD",
            envvar="LLAMA_ARG_REASONING_EFFORT",
            help="How much: the template's variable reasoning_effort.",
            show_default="the template's",
        ),
    ] = None

    @property
    def is_used(self) -> bool:
        """Whether there is a conversation."""
        return bool(self.conversation) or self.single_turn

    def check(self) -> None:
        """Raises UsageError, naming both, where options contradict each other."""
        if self.single_turn and self.conversation is False:
            raise UsageError("-st and -no-cnv contradict: the one asks for a conversation's turn")
        systems = (self.system_prompt, self.system_prompt_file)
        if None not in systems:
            raise UsageError("-sys and -sysf both give the system message; leave one of them")
        if None not in (self.chat_template, self.chat_template_file):
            raise UsageError("--chat-template and --chat-template-file both give the template")
        if self.reasoning not in _THINKING:
            raise UsageError(f"--reasoning is {self.reasoning!r}; give on, off or auto")
        if not self.is_used and systems != (None, None):
            raise UsageError("-sys and -sysf need -cnv or -st: only a conversation has a system")
        given = (self.chat_template, self.chat_template_file, self.chat_template_kwargs)
        if not self.is_used and given != (None, None, None):
            log.warning("--chat-template has no effect without -cnv or -st")

    def render(self, model: Model, prompt: Prompt, *, escape: bool) -> Prompt:
        """The prompt as the template writes it, what asks for the answer included."""
        template = self._template(model)
        if template.is_fallback:
            log.warning(
                "%s has no chat template: using ChatML, which it may not understand; "
                "--chat-template gives another one",
                model.path,
            )
        messages = [{"role": "user", "content": prompt.text}]
        system = self._system(escape=escape)
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        text = template.render(template.adapt(messages), **self._variables())
        log.info("chat template: %s", template.source)
        return Prompt(text, prompt.source)

    def _variables(self) -> dict[str, Any]:
        """What the template is told besides the messages; its own option comes first."""
        from pyllama.templates import parse_variables

        variables = {
            "enable_thinking": _THINKING[self.reasoning],
            "reasoning_effort": self.reasoning_effort,
        }
        given = {name: value for name, value in variables.items() if value is not None}
        return given | parse_variables(self.chat_template_kwargs or "{}")

    def _system(self, *, escape: bool) -> str | None:
        if self.system_prompt is not None:
            return argument_text(self.system_prompt, "-sys", escape=escape)
        if self.system_prompt_file is None:
            return None
        data, source = read_file(self.system_prompt_file)
        return decode(data.removesuffix(b"\n"), source)

    def _template(self, model: Model) -> ChatTemplate:
        from pyllama.templates import ChatTemplate

        if self.chat_template is not None:
            return ChatTemplate.from_option(self.chat_template, model.tokenizer)
        if self.chat_template_file is not None:
            text = decode(*read_file(self.chat_template_file))
            source = str(self.chat_template_file)
            return ChatTemplate.parse(text, source=source, tokenizer=model.tokenizer)
        return ChatTemplate.from_metadata(model.metadata, model.tokenizer, source=str(model.path))
