"""The figures of ``/stats``."""

from __future__ import annotations

from collections.abc import Iterator

from pyllama.commands.chat_talk import Talk, speed_line


def stats(talk: Talk) -> Iterator[tuple[str, str]]:
    """Names and values: of the conversation, then of its last answer."""
    chat = talk.chat
    if talk.transcript is not None:
        yield "conversation", talk.transcript.header.id
    yield "model", talk.model.name
    yield "turns", f"{talk.conversation.turns}"
    if chat.forgotten_turns:
        yield "forgotten turns", f"{chat.forgotten_turns} (--context-shift)"
    yield "context", f"{len(chat.held):,} of {chat.session.context:,} tokens"
    yield "prompts so far", f"{talk.total_new:,} new + {talk.total_reused:,} reused tokens"
    if (turn := talk.last) is None:
        return
    yield "last prompt", f"{turn.new:,} new + {turn.reused:,} reused tokens"
    thoughts = f", {turn.reasoning:,} of them thoughts" if turn.reasoning else ""
    yield "last answer", f"{turn.tokens:,} tokens{thoughts}; ended by: {turn.finish}"
    if turn.first_token is not None:
        yield "first token after", f"{turn.first_token * 1e3:.1f} ms"
    yield "speed", speed_line(turn).strip("[ ]")
