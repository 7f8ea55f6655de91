"""Turns of a chat: what the model reads, what is evaluated, and what is kept of the answer."""

from __future__ import annotations

import pytest
from scripted_chat import CHATML, ScriptedSession, byte_tokenizer, greedy, scripted

from pyllama.conversation import Answer, Channel, Chat, Message, Turn
from pyllama.errors import CapacityError, PyllamaError
from pyllama.generation import Limits

THINKING = CHATML.replace("assistant\n", "assistant\n<think>\n")


def ask(chat: Chat, text: str, limits: Limits | None = None) -> tuple[str, Turn]:
    chat.conversation.ask(text)
    return reply(chat, limits)


def reply(chat: Chat, limits: Limits | None = None) -> tuple[str, Turn]:
    with chat.answer(chat.prompt(), greedy(), limits) as answer:
        text = "".join(piece.text for piece in answer)
    return text, answer.turn


def stop_after(answer: Answer, text: str, error: BaseException) -> None:
    said = ""
    with answer:
        for piece in answer:
            said += piece.text
            if said == text:
                raise error


def evaluated(session: ScriptedSession) -> str:
    """All that was evaluated since this was asked last."""
    tokens = [token for step in session.evaluated for token in step]
    session.evaluated.clear()
    return str(session.model.tokenizer.decode(tokens, special=True))


def test_only_what_is_new_is_evaluated() -> None:
    chat, session = scripted("Hello.", "Fine.")
    assert ask(chat, "Hi")[0] == "Hello."
    opening = "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert evaluated(session) == opening + "Hello."
    text, turn = ask(chat, "How?")
    assert text == "Fine."
    assert (
        evaluated(session)
        == "<|im_end|>\n<|im_start|>user\nHow?<|im_end|>\n<|im_start|>assistant\nFine."
    )
    assert (turn.finish, turn.tokens, turn.reasoning) == ("stop", 5, 0)
    assert (
        turn.reused
        == len(session.model.tokenizer.encode(opening + "Hello.", parse_special=True)) - 1
    )
    assert turn.first_token is not None


def test_an_answer_is_held_as_the_model_wrote_it() -> None:
    """The text would be encoded to other tokens; they are not evaluated again."""
    tokenizer = byte_tokenizer(words=["Hello"])
    word = tokenizer.vocabulary.ids["Hello"]
    chat, session = scripted([word], "Fine.", tokenizer=tokenizer)
    assert ask(chat, "Hi")[0] == "Hello"
    evaluated(session)
    ask(chat, "How?")
    assert evaluated(session).startswith("<|im_end|>\n<|im_start|>user\nHow?")
    assert chat.held.count(word) == 1


def test_asking_again_and_otherwise_evaluates_the_difference() -> None:
    chat, session = scripted("One.", "Two.", "Three.", "Four.", "Five.")
    ask(chat, "Hi")
    ask(chat, "Count")
    evaluated(session)
    chat.conversation.take_back_answer()
    assert reply(chat)[0] == "Three."
    assert evaluated(session) == "\nThree.", "the last token of the prompt, and the answer"
    chat.conversation.take_back_turn()
    assert ask(chat, "Continue")[0] == "Four."
    assert evaluated(session) == "ntinue<|im_end|>\n<|im_start|>assistant\nFour."
    chat.conversation.take_back_turn()
    ask(chat, "Hm")
    assert evaluated(session).startswith("Hm<|im_end|>")


def test_the_system_message_is_part_of_the_prompt() -> None:
    chat, _ = scripted("A")
    chat.conversation.instruct("Be brief.")
    chat.conversation.ask("Hi")
    prompt = chat.prompt()
    assert prompt.text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi")
    tokens = chat.session.model.tokenizer.decode(prompt.tokens[: prompt.opening], special=True)
    assert tokens == "<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PyllamaError("broken")])
def test_an_interrupted_answer_is_kept_and_closed(error: BaseException) -> None:
    chat, session = scripted("A long answer", "Fine.")
    chat.conversation.ask("Hi")
    answer = chat.answer(chat.prompt(), greedy())
    with pytest.raises(type(error)):
        stop_after(answer, "A lo", error)
    finish = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
    assert chat.conversation.messages[-1] == Message("assistant", "A lo", finish=finish)
    assert answer.turn.finish == finish
    session._next.clear()
    evaluated(session)
    ask(chat, "Go on")
    assert evaluated(session).startswith("o<|im_end|>\n<|im_start|>user\nGo on<|im_end|>")


def test_where_nothing_came_the_question_stays_unanswered() -> None:
    chat, session = scripted("Yes.")
    chat.conversation.ask("Hi")
    session.fails_with = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        reply(chat)
    assert not chat.conversation.is_answered
    assert (chat.held, session.n_past) == ([], 0)
    assert ask(chat, "Hello")[0] == "Yes."
    assert [message.content for message in chat.conversation.messages] == ["Hello", "Yes."]


def test_leaving_early_is_an_interruption() -> None:
    chat, _ = scripted("abc")
    chat.conversation.ask("Hi")
    with chat.answer(chat.prompt(), greedy()) as answer:
        next(answer)
    assert chat.conversation.messages[-1] == Message("assistant", "a", finish="interrupted")


def test_thoughts_are_kept_apart() -> None:
    chat, _ = scripted("Hm.\n</think>\n\nYes.", template=THINKING)
    chat.conversation.ask("Hi")
    with chat.answer(chat.prompt(), greedy()) as answer:
        pieces = list(answer)
    assert {piece.channel for piece in pieces[:3]} == {Channel.REASONING}
    assert chat.conversation.messages[-1] == Message("assistant", "Yes.", "Hm.", "stop")
    assert answer.turn.reasoning == len("Hm.\n") + 1


def test_a_full_context_ends_the_answer() -> None:
    chat, _ = scripted("x" * 100, context=60)
    text, turn = ask(chat, "Hi")
    assert turn.finish == "context"
    assert 0 < len(text) < 60
    chat.conversation.ask("More")
    with pytest.raises(CapacityError, match=r"fill the context of 60; .*--context-shift forgets"):
        chat.prompt()


def test_the_oldest_turns_are_forgotten_where_that_is_asked_for() -> None:
    chat, session = scripted(*[f"Answer {n}." for n in range(9)], context=220, shifts=True)
    chat.conversation.instruct("Be brief.")
    for n in range(9):
        ask(chat, f"Question {n}?")
        assert session.n_past <= 220
    assert chat.forgotten_turns > 0
    prompt = chat.prompt()
    assert prompt.text.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nQ")
    assert f"Question {chat.forgotten_turns}?" in prompt.text
    assert f"Question {chat.forgotten_turns - 1}?" not in prompt.text
    assert chat.conversation.turns == 9, "the conversation itself is whole"
    while chat.conversation.turns > 1:
        chat.conversation.take_back_turn()
    assert "Question 0?" in chat.prompt().text, "what comes back is seen again"


def test_a_long_answer_shifts_behind_the_system_message() -> None:
    chat, session = scripted("x" * 300, context=150, shifts=True)
    chat.conversation.instruct("Be brief.")
    text, turn = ask(chat, "Hi", Limits(shifts=True, max_tokens=200))
    assert (len(text), turn.finish) == (200, "length")
    held = session.model.tokenizer.decode(chat.held, special=True)
    assert held.startswith("<s><|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")
    assert len(chat.held) == session.n_past


def test_a_question_that_alone_is_too_long() -> None:
    chat, _ = scripted("A", context=60, shifts=True)
    chat.conversation.ask("x" * 100)
    with pytest.raises(CapacityError, match="fill the context of 60") as caught:
        chat.prompt()
    assert "--context-shift" not in str(caught.value)
