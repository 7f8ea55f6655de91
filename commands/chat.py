"""``pyllama chat``: a conversation at the terminal, or over a pipe."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from pyllama.commands import foreign
from pyllama.commands.chat_lines import open_lines
from pyllama.commands.chat_options import (
    ConversationOptions,
    DisplayOptions,
    KeepingOptions,
    OpeningOptions,
)
from pyllama.commands.chat_settings import Settings
from pyllama.commands.constraint_options import ConstraintOptions
from pyllama.commands.groups import grouped
from pyllama.commands.log_options import LogOptions
from pyllama.commands.machine_options import MachineOptions
from pyllama.commands.model_options import ModelOptions, OverrideOptions
from pyllama.commands.sampling_options import SamplingOptions
from pyllama.commands.text_options import LimitOptions

if TYPE_CHECKING:
    from pyllama.commands.chat_lines import Lines
    from pyllama.commands.chat_talk import Talk
    from pyllama.session import Session

log = logging.getLogger(__name__)


@grouped(foreign.CHAT)
def chat(
    source: ModelOptions,
    opening: OpeningOptions,
    template: ConversationOptions,
    keeping: KeepingOptions,
    display: DisplayOptions,
    limit: LimitOptions,
    sampling: SamplingOptions,
    constraints: ConstraintOptions,
    machine: MachineOptions,
    overrides: OverrideOptions,
    logs: LogOptions,
) -> None:
    """Talk with a model: messages are typed, or are lines of stdin, and answers go to stdout.

    Every conversation is saved as it happens; --resume goes on with one. /help shows what can be
    done besides talking. Without a terminal each line is a message, and the end of stdin the end.
    """
    del logs  # started already
    if source.cache_list:
        source.list_cached()
        return
    if machine.list_devices:
        machine.write_devices()
        return
    if keeping.list:
        keeping.write_list()
        return
    if display.markdown is None:
        display = replace(display, markdown=not source.is_builtin)
    settings = Settings(sampling, constraints, limit, template, display, opening.escape)
    settings.check()
    keeping.check()
    first = opening.first_message()
    system = template.system(escape=opening.escape)
    transcript, conversation = keeping.open()
    model = overrides.load(source.find(), machine.isa)
    lines = open_lines(display, edits=first is None or not opening.single_turn, keeps=keeping.save)
    talk = _talk(machine.open(model), settings, keeping, lines)
    if transcript is not None and transcript.header.model != model.name:
        past = transcript.header.model
        log.warning("this conversation was with %s, and goes on with %s", past, model.name)
    talk.begin_anew(conversation, transcript)
    if system is not None and system != conversation.system:
        conversation.instruct(system)
    talk.write_text()
    _go_on(talk, first, only_one=opening.single_turn)


def _talk(session: Session, settings: Settings, keeping: KeepingOptions, lines: Lines) -> Talk:
    """A talk in which nothing was said yet."""
    from pyllama.commands.chat_talk import Talk
    from pyllama.conversation import Chat, Conversation, Transcripts

    template = settings.template.template(session.model)
    shifts = settings.limit.context_shift
    return Talk(
        Chat(session, template, Conversation(), shifts=shifts),
        settings,
        lines,
        Transcripts() if keeping.save else None,
        keeping.output,
    )


def _go_on(talk: Talk, first: str | None, *, only_one: bool) -> None:
    from pyllama.commands.chat_loop import answer_lines, converse
    from pyllama.commands.terminal import is_typed

    if is_typed() and not only_one:
        converse(talk, first)
    else:
        answer_lines(talk, first, only_one=only_one)
