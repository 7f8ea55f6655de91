"""The chat template: which one, what it is told, and the system message."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from pyllama.commands.prompt import argument_text, decode, read_file
from pyllama.commands.words import choose
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.model import Model
    from pyllama.templates import ChatTemplate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TemplateOptions:
    """What a conversation is written with."""

    thinking: ClassVar[Mapping[str, bool | None]] = {"on": True, "off": False, "auto": None}
    """What the words of --reasoning tell the template; None for nothing."""

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

    def check(self) -> None:
        """Raises UsageError, naming both, where options contradict each other."""
        if None not in (self.system_prompt, self.system_prompt_file):
            raise UsageError("-sys and -sysf both give the system message; leave one of them")
        if None not in (self.chat_template, self.chat_template_file):
            raise UsageError("--chat-template and --chat-template-file both give the template")
        self._thinks()

    def _thinks(self) -> bool | None:
        return self.thinking[choose(self.reasoning, "--reasoning", tuple(self.thinking))]

    def variables(self) -> dict[str, Any]:
        """What the template is told besides the messages; its own option comes first."""
        from pyllama.templates import parse_variables

        variables = {
            "enable_thinking": self._thinks(),
            "reasoning_effort": self.reasoning_effort,
        }
        given = {name: value for name, value in variables.items() if value is not None}
        return given | parse_variables(self.chat_template_kwargs or "{}")

    def system(self, *, escape: bool) -> str | None:
        """The system message, where one is given; FileError for a file that cannot be read."""
        if self.system_prompt is not None:
            return argument_text(self.system_prompt, "-sys", escape=escape)
        if self.system_prompt_file is None:
            return None
        data, source = read_file(self.system_prompt_file)
        return decode(data.removesuffix(b"\n"), source)

    def template(self, model: Model) -> ChatTemplate:
        """The template; a warning is logged where it is but a guess. Raises what it raises."""
        template = self._template(model)
        if template.is_fallback:
            log.warning(
                "%s has no chat template: using ChatML, which it may not understand; "
                "--chat-template gives another one",
                model.path,
            )
        log.info("chat template: %s", template.source)
        return template

    def _template(self, model: Model) -> ChatTemplate:
        from pyllama.templates import ChatTemplate

        if self.chat_template is not None:
            return ChatTemplate.from_option(self.chat_template, model.tokenizer)
        if self.chat_template_file is not None:
            text = decode(*read_file(self.chat_template_file))
            source = str(self.chat_template_file)
            return ChatTemplate.parse(text, source=source, tokenizer=model.tokenizer)
        return ChatTemplate.from_metadata(model.metadata, model.tokenizer, source=str(model.path))
