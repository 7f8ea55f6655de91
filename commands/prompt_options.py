"""The prompt: a text to continue, or, with a chat template, a message to answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options
from pyllama.commands.prompt import Prompt, read_prompt
from pyllama.commands.template_options import TemplateOptions
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.model import Model

log = logging.getLogger(__name__)


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
class ChatOptions(TemplateOptions):
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

    @property
    def is_used(self) -> bool:
        """Whether there is a conversation."""
        return bool(self.conversation) or self.single_turn

    def check(self) -> None:
        """Raises UsageError, naming both, where options contradict each other."""
        if self.single_turn and self.conversation is False:
            raise UsageError("-st and -no-cnv contradict: the one asks for a conversation's turn")
        super().check()
        systems = (self.system_prompt, self.system_prompt_file)
        if not self.is_used and systems != (None, None):
            raise UsageError("-sys and -sysf need -cnv or -st: only a conversation has a system")
        given = (self.chat_template, self.chat_template_file, self.chat_template_kwargs)
        if not self.is_used and given != (None, None, None):
            log.warning("--chat-template has no effect without -cnv or -st")

    def render(self, model: Model, prompt: Prompt, *, escape: bool) -> Prompt:
        """The prompt as the template writes it, what asks for the answer included."""
        template = self.template(model)
        messages = [{"role": "user", "content": prompt.text}]
        system = self.system(escape=escape)
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        text = template.render(template.adapt(messages), **self.variables())
        return Prompt(text, prompt.source)
