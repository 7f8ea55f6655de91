"""A conversation as it goes on at the command line: what is asked, shown, and kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pyllama.commands import output
from pyllama.commands.chat_lines import PROMPT, Lines
from pyllama.commands.chat_settings import Settings
from pyllama.commands.chat_view import PlainView, TerminalView, View
from pyllama.commands.report import visible
from pyllama.commands.terminal import can_redraw, unechoed
from pyllama.conversation import Channel, Chat, Conversation, Piece, Transcript, Transcripts
from pyllama.conversation.chat import INTERRUPTED
from pyllama.conversation.records import USER
from pyllama.generation import FinishReason
from pyllama.gguf.atomic import AtomicFile
from pyllama.interrupt import interruptible

if TYPE_CHECKING:
    from pyllama.conversation import Answer, Prompt, Turn
    from pyllama.model import Model
    from pyllama.sampling import Sampler

_ENDS = {
    INTERRUPTED: "[interrupted]",
    FinishReason.LENGTH: "[as many tokens as -n allows]",
    FinishReason.CONTEXT: "[the context of {} tokens is full: make room with /undo or /clear, or "
    "begin with a larger one (-c) or with --context-shift]",
}
"""What is said about answers that did not end by themselves."""

_BEFORE = "[interrupted: /regen and /edit ask again, another message takes its place]"
"""The same, where nothing came of the answer."""


@dataclass
class Talk:
    """Everything that a command of the chat may look at or change."""

    chat: Chat
    settings: Settings
    lines: Lines
    transcripts: Transcripts | None
    """Where conversations are saved; None for nowhere."""
    text_file: Path | None
    """Of ``-o``."""
    transcript: Transcript | None = None
    attached: list[str] = field(default_factory=list)
    """Files that the next message begins with."""
    last: Turn | None = None
    total_new: int = 0
    total_reused: int = 0
    answers: int = 0
    is_over: bool = False

    @property
    def model(self) -> Model:
        """The model that answers."""
        return self.chat.session.model

    @property
    def conversation(self) -> Conversation:
        """What was said."""
        return self.chat.conversation

    def ask(self, text: str) -> None:
        """Send a message, behind the files that were read for it, and show the answer."""
        self.conversation.ask("\n".join([*self.attached, text]))
        self.attached.clear()
        self.answer()

    def answer(self) -> None:
        """Show an answer to the last question.

        Raises KeyboardInterrupt after Ctrl-C; what came until then is kept. Otherwise what a
        prompt, a sampler and a generation raise.
        """
        self.chat.variables = self.settings.template.variables()
        prompt = self.chat.prompt()
        if self.settings.display.show_prompt:
            self.show_prompt(prompt)
        limits = self.settings.limit.limits(
            self.model.tokenizer, prompt.tokens, escape=self.settings.escape
        )
        answer = self.chat.answer(prompt, self._sampler(), limits)
        self.answers += 1
        try:
            with answer, unechoed(), interruptible(self.chat.session.abort):
                self._show(answer, prompt)
        finally:
            self._account(answer.turn)
            self.write_text()

    def begin_anew(self, conversation: Conversation, transcript: Transcript | None) -> None:
        """Go on with this conversation, in this transcript, or in a new one."""
        if transcript is None and self.transcripts is not None:
            transcript = self.transcripts.begin(self.model.name)
        self.transcript = transcript
        if transcript is not None:
            conversation.journal = transcript.append
        self.chat.begin_anew(conversation)
        self.attached.clear()
        self.last = None

    def recall(self) -> None:
        """Show the last turn."""
        asked = self.conversation.last_question
        for message in self.conversation.messages[asked:]:
            if message.role == USER:
                output.tell(PROMPT + visible(message.content))
                continue
            view = self._view()
            if message.reasoning:
                view.add(Piece(Channel.REASONING, message.reasoning))
            view.add(Piece(Channel.ANSWER, message.content))
            view.end()

    def show_prompt(self, prompt: Prompt) -> None:
        """What the model reads, as text and as tokens."""
        from pyllama.commands.results import listing

        output.tell(f"{prompt.text}\n{listing(self.model.tokenizer, prompt.tokens)}")

    def write_text(self) -> None:
        """The file of ``-o``, as llama.cpp writes it; FileError where that fails."""
        if self.text_file is None:
            return
        with AtomicFile(self.text_file) as file:
            for message in self.conversation.messages:
                said = f"{message.role.capitalize()}:\n{message.content}\n\n"
                file.write(said.encode("utf-8", "replace"))

    def _show(self, answer: Answer, prompt: Prompt) -> None:
        view = self._view()
        view.begin(prompt)
        try:
            for piece in answer:
                view.add(piece)
        finally:
            view.end()

    def _view(self) -> View:
        display, reasoning = self.settings.display, self.settings.template.shows_reasoning
        if display.simple_io or not can_redraw():
            return PlainView(reasoning=reasoning)
        return TerminalView(
            markdown=bool(display.markdown), reasoning=reasoning, colours=display.is_coloured
        )

    def _sampler(self) -> Sampler:
        """One for each answer: with a seed of its own, which follows from the seed that is set."""
        sampling = self.settings.sampling
        if sampling.seed >= 0:
            sampling = replace(sampling, seed=(sampling.seed + self.answers) % 2**32)
        return self.settings.constraints.sampler(self.model, sampling, escape=self.settings.escape)

    def _account(self, turn: Turn) -> None:
        self.last = turn
        self.total_new += turn.timings.prompt.tokens
        self.total_reused += turn.reused
        if turn.finish == INTERRUPTED and not turn.tokens:
            output.aside(_BEFORE)
        elif turn.finish in _ENDS:
            output.aside(_ENDS[turn.finish].format(self.chat.session.context))
        if self.settings.display.show_timings and turn.tokens:
            output.aside(speed_line(turn))


def speed_line(turn: Turn) -> str:
    """How fast the prompt was read and the answer written, in llama.cpp's words."""
    prompt, answer = turn.timings.prompt, turn.timings.eval
    reading = prompt.tokens / prompt.seconds if prompt.seconds else 0.0
    writing = answer.tokens / answer.seconds if answer.seconds else 0.0
    return f"[ Prompt: {reading:.1f} t/s | Generation: {writing:.1f} t/s ]"
