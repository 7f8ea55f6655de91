"""The options of ``pyllama chat`` that no other command has."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from pyllama.commands import options, output
from pyllama.commands.prompt import read_prompt
from pyllama.commands.report import table
from pyllama.commands.template_options import TemplateOptions
from pyllama.commands.terminal import is_typed
from pyllama.commands.words import ON_OFF_AUTO, choose
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.conversation import Conversation, Transcript


@dataclass(frozen=True)
class OpeningOptions:
    """How the conversation begins, and whether it goes on."""

    prompt: Annotated[
        str | None,
        typer.Option(
            "-p", "--prompt", metavar="TEXT", help="The first message.", show_default=False
        ),
    ] = None
    file: options.PromptFile = None
    escape: options.Escape = True
    single_turn: Annotated[
        bool, typer.Option("-st", "--single-turn", help="End after the first answer.")
    ] = False

    def first_message(self) -> str | None:
        """The message of ``-p`` or ``-f``, or all of a stdin that nobody types, if one is all there
        is to answer; None where there is no such. See ``read_prompt``.
        """
        is_given = self.prompt is not None or self.file is not None
        if not is_given and (is_typed() or not self.single_turn):
            return None
        return read_prompt(self.prompt, self.file, escape=self.escape).text


@dataclass(frozen=True)
class ConversationOptions(TemplateOptions):
    """What the conversation is written with, and what is seen of the thoughts in it."""

    thinking: ClassVar[Mapping[str, bool | None]] = {**TemplateOptions.thinking, "hide": None}

    reasoning: Annotated[
        str,
        typer.Option(
            "-rea",
            "--reasoning",
            metavar="on|off|hide|auto",
            envvar="LLAMA_ARG_REASONING",
            help="Let the model think first, or not; hide folds its thoughts. auto: as it likes.",
        ),
    ] = "auto"

    @property
    def shows_reasoning(self) -> bool:
        """Whether thoughts are shown."""
        return self.reasoning != "hide"


@dataclass(frozen=True)
class DisplayOptions:
    """What is shown, and how."""

    markdown: Annotated[
        bool | None,
        typer.Option(
            "--markdown/--no-markdown",
            help="Render answers at a terminal, or show them as they are.",
            show_default="yes, but not what the built-in model writes: Python",
        ),
    ] = None
    show_timings: Annotated[
        bool,
        typer.Option(
            "--show-timings/--no-show-timings",
            envvar="LLAMA_ARG_SHOW_TIMINGS",
            help="Show the speed after each answer.",
        ),
    ] = True
    show_prompt: Annotated[
        bool,
        typer.Option(
            "--show-prompt/--no-show-prompt",
            help="Show on stderr what the template makes of the conversation, and its tokens.",
        ),
    ] = False
    color: Annotated[
        str,
        typer.Option(
            "-co",
            "--color",
            metavar="on|off|auto",
            help="Colour at a terminal; auto: unless NO_COLOR is set.",
        ),
    ] = "auto"
    simple_io: Annotated[
        bool,
        typer.Option("--simple-io", help="No line editing and nothing rendered, only text."),
    ] = False

    def check(self) -> None:
        """Raises UsageError for a word that is not known."""
        self._colours()

    @property
    def is_coloured(self) -> bool:
        """Whether there are colours on stdout."""
        return output.is_coloured(sys.stdout, self._colours())

    def _colours(self) -> str:
        return choose(self.color, "--color", ON_OFF_AUTO)


@dataclass(frozen=True)
class KeepingOptions:
    """Where conversations are kept, and which one goes on."""

    id: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID]",
            help="With --resume: the conversation, or how its name begins.",
            show_default="the latest",
        ),
    ] = None
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a conversation that was saved.")
    ] = False
    list: Annotated[bool, typer.Option("--list", help="List the saved conversations and exit.")] = (
        False
    )
    save: Annotated[
        bool,
        typer.Option(
            "--save/--no-save", help="Save the conversation while it happens; see PYLLAMA_STATE."
        ),
    ] = True
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the conversation as text, anew after each answer.",
            show_default=False,
        ),
    ] = None

    def check(self) -> None:
        """Raises UsageError for a name that nobody asked for."""
        if self.id is not None and not self.resume:
            raise UsageError(
                f"{self.id!r} is no option; --resume {self.id} goes on with that conversation, "
                "-p TEXT sends a message"
            )

    def open(self) -> tuple[Transcript | None, Conversation]:
        """The conversation that goes on, or a new one, and where it is kept already.

        Raises UsageError where there is none to resume, FileError for a damaged file.
        """
        from pyllama.conversation import Conversation, Transcripts

        if not self.resume:
            return None, Conversation()
        transcript, conversation = Transcripts().open(self.id or "")
        return (transcript if self.save else None), conversation

    def write_list(self) -> None:
        """Write the saved conversations, the latest first."""
        from pyllama.conversation import Transcripts

        rows = [
            (summary.header.id, f"{summary.turns}", summary.header.model, _first(summary.opening))
            for summary in Transcripts().summaries()
        ]
        output.write(table(("id", "turns", "model", "first message"), rows, right=("turns",)))


def _first(text: str) -> str:
    """The first words of a message."""
    words = " ".join(text.split())
    return words if len(words) <= _WORDS else words[: _WORDS - 3] + "..."


_WORDS = 50
"""Characters of them."""
