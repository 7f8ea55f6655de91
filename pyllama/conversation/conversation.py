"""A conversation: the system message, and questions and answers in turn."""

from __future__ import annotations

from collections.abc import Callable

from pyllama.conversation.records import ASSISTANT, USER, Kept, Message, Record, Said, System


def _forget(_record: Record) -> None:
    """The journal of a conversation that nobody keeps."""


class Conversation:
    """What was said until now. Every change is a record, which also goes to the ``journal``."""

    def __init__(self, journal: Callable[[Record], None] = _forget) -> None:
        self.system: str | None = None
        self.messages: list[Message] = []
        self.journal = journal

    def apply(self, record: Record) -> None:
        """Make a change that the journal knows already. Questions and answers alternate: a message
        of the same role as the last one takes its place.
        """
        match record:
            case System(content):
                self.system = content
            case Kept(count):
                del self.messages[count:]
            case Said(message):
                if self.messages and self.messages[-1].role == message.role:
                    del self.messages[-1]
                if self.messages or message.role == USER:
                    self.messages.append(message)

    def ask(self, text: str) -> None:
        """The user says something. A question that was not answered is replaced."""
        self._change(Said(Message(USER, text)))

    def answer(self, message: Message) -> None:
        """The model has answered."""
        assert message.role == ASSISTANT
        self._change(Said(message))

    def instruct(self, system: str | None) -> None:
        """Set the system message; None for none."""
        self._change(System(system))

    def take_back_answer(self) -> bool:
        """Let the last question be unanswered; False where there is no question."""
        return self._take_back(self.last_question + 1)

    def take_back_turn(self) -> bool:
        """Forget the last question and its answer; False where there is none."""
        return self._take_back(self.last_question)

    @property
    def last_question(self) -> int:
        """Where in the messages the last question stands; -1 where there is none."""
        found = (n for n in reversed(range(len(self.messages))) if self.messages[n].role == USER)
        return next(found, -1)

    @property
    def is_answered(self) -> bool:
        """Whether nothing is left to be answered."""
        return not self.messages or self.messages[-1].role == ASSISTANT

    @property
    def turns(self) -> int:
        """How many questions there are."""
        return sum(message.role == USER for message in self.messages)

    def records(self) -> list[Record]:
        """The shortest way from an empty conversation to this one."""
        system: list[Record] = [] if self.system is None else [System(self.system)]
        return system + [Said(message) for message in self.messages]

    def _take_back(self, count: int) -> bool:
        if self.last_question < 0:
            return False
        if count < len(self.messages):
            self._change(Kept(count))
        return True

    def _change(self, record: Record) -> None:
        self.apply(record)
        self.journal(record)
