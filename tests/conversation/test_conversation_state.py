"""A conversation is what its records make of an empty one."""

from __future__ import annotations

import json

import pytest

from pyllama.conversation import Conversation, Kept, Message, Record, Said, System
from pyllama.conversation.records import ASSISTANT, from_document, to_document


def texts(conversation: Conversation) -> list[str]:
    return [message.content for message in conversation.messages]


def talked() -> tuple[Conversation, list[Record]]:
    journal: list[Record] = []
    conversation = Conversation(journal.append)
    conversation.instruct("Be brief.")
    for question, answer in (("a", "A"), ("b", "B")):
        conversation.ask(question)
        conversation.answer(Message(ASSISTANT, answer, "hm", "stop"))
    return conversation, journal


def test_replaying_the_journal_gives_the_conversation() -> None:
    conversation, journal = talked()
    conversation.take_back_turn()
    conversation.ask("c")
    again = Conversation()
    for record in journal:
        again.apply(from_document(json.loads(json.dumps(to_document(record)))))
    assert (again.system, again.messages) == (conversation.system, conversation.messages)
    assert journal.count(Kept(2)) == 1
    shortest = Conversation()
    for record in conversation.records():
        shortest.apply(record)
    assert (shortest.system, shortest.messages) == (again.system, again.messages)


def test_questions_and_answers_alternate() -> None:
    conversation = Conversation()
    conversation.answer(Message(ASSISTANT, "nobody asked"))
    assert not conversation.messages
    conversation.ask("a")
    conversation.ask("b")
    assert texts(conversation) == ["b"], "a question that was not answered is replaced"
    assert not conversation.is_answered
    conversation.answer(Message(ASSISTANT, "B"))
    conversation.answer(Message(ASSISTANT, "C"))
    assert texts(conversation) == ["b", "C"]


def test_taking_back() -> None:
    conversation, journal = talked()
    assert conversation.take_back_answer()
    assert texts(conversation) == ["a", "A", "b"]
    assert conversation.take_back_answer(), "there is a question"
    assert journal[-1] == Kept(3)
    assert len(journal) == 6, "nothing changed the second time"
    assert conversation.take_back_turn()
    assert conversation.take_back_turn()
    assert not conversation.take_back_turn()
    assert not conversation.take_back_answer()
    assert (conversation.system, conversation.turns) == ("Be brief.", 0)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"role": "system", "content": "x"},
        {"role": "user", "content": 1},
        {"role": "user", "content": ["a"]},
        {"role": "assistant", "content": "a", "reasoning": None},
        {"keep": -1},
        {"keep": True},
        {"keep": "1"},
        {"system": 3},
    ],
)
def test_what_is_no_record(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"no |neither"):
        from_document(document)


def test_records_say_no_more_than_there_is() -> None:
    assert to_document(Said(Message("user", "a"))) == {"role": "user", "content": "a"}
    assert to_document(System(None)) == {"system": None}
    assert from_document({"system": None}) == System(None)
