"""Tasks with several answers: their files, which are chosen, and what is judged."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import pytest

from pyllama import builtin
from pyllama.errors import CapacityError, FileError, PyllamaError
from pyllama.model import Model
from pyllama.perplexity.tasks import (
    Candidate,
    CandidateScores,
    Task,
    read_hellaswag,
    read_multiple_choice,
    read_winogrande,
    wilson_interval,
)
from pyllama.perplexity.tasks.candidates import common_prefix, judged_after_prefix
from pyllama.perplexity.tasks.selection import drawn_by_floats, drawn_by_integers
from pyllama.session import Session
from pyllama.tokenizers import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Model.load(builtin.path()).tokenizer


def test_choices_are_those_of_llama_perplexity() -> None:
    # libstdc++: std::mt19937(1) with std::uniform_int_distribution, and with float products
    assert drawn_by_integers(range(60), 5) == INTEGERS
    assert drawn_by_floats(range(130), 5) == FLOATS
    assert sorted(drawn_by_integers("abc", 10)) == list("abc")
    assert sorted(drawn_by_floats("abc", 10)) == list("abc")


def test_prefixes_leave_a_token_to_judge() -> None:
    assert common_prefix([[1, 2, 3], [1, 2, 4, 5]]) == 2
    assert common_prefix([[1, 2], [1, 2, 3]]) == 1
    assert common_prefix([[7], [8]]) == 0
    first, second = judged_after_prefix([[5, 6], [7, 8]])
    assert (first, second) == (Candidate((5, 6), 1, 2), Candidate((7, 8), 1, 2))


def test_hellaswag(tokenizer: Tokenizer) -> None:
    text = "A man sits.\n2\nHe runs.\nHe eats.\nHe stands.\nHe is.\n"
    (task,) = read_hellaswag(text, "x", tokenizer, 400)
    assert task.right == {2}
    assert task.candidates[1].tokens == tuple(tokenizer.encode("A man sits. He eats."))
    assert len({candidate.first for candidate in task.candidates}) == 1
    assert len(read_hellaswag(text * 5, "x", tokenizer, 3)) == 3


@pytest.mark.parametrize("text", ["a\nb\n", "c\n4\na\nb\nc\nd\n", "c\nx\na\nb\nc\nd\n", ""])
def test_hellaswag_of_another_form(text: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(FileError, match="a task is six lines"):
        read_hellaswag(text, "x", tokenizer, 400)


def test_winogrande(tokenizer: Tokenizer) -> None:
    text = '0,"Sarah met Maria, so _ always got the easier cases.",Sarah,Maria,2\n'
    (task,) = read_winogrande(text, "x", tokenizer, 0)
    assert task.right == {1}
    behind = " always got the easier cases."
    for candidate, name in zip(task.candidates, ("Sarah", "Maria"), strict=True):
        assert candidate.tokens == tuple(tokenizer.encode(f"Sarah met Maria, so {name}{behind}"))
        assert candidate.first == len(tokenizer.encode(f"Sarah met Maria, so {name}"))
        assert candidate.last == len(candidate.tokens) - 1


def test_winogrande_with_little_behind_the_choice(tokenizer: Tokenizer) -> None:
    (task,) = read_winogrande("0,I saw _.,Bob,Tim,1", "x", tokenizer, 0)
    first, second = task.candidates
    assert first.first == second.first == common_prefix([first.tokens, second.tokens])


@pytest.mark.parametrize(
    "text",
    ["", "0,no gap,a,b,1", "0,a _,b,1", "0,a _,b,c,3", '0,"a _,b,c,1', "0,a _,b,c,1\n\n1,x"],
)
def test_winogrande_of_another_form(text: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(FileError, match="x: "):
        read_winogrande(text, "x", tokenizer, 0)


def packed(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()


def answers(texts: Sequence[str], labels: Sequence[int]) -> bytes:
    parts = b"".join(packed(text) for text in texts)
    return struct.pack("<I", len(texts)) + parts + struct.pack(f"<{len(labels)}i", *labels)


def questions(count: int) -> bytes:
    tasks = [
        packed(f"What is {i}?") + answers(["one", "two"], [i % 2, 1 - i % 2]) + answers([], [])
        for i in range(count)
    ]
    starts = np.cumsum([4 + 4 * count, *map(len, tasks)])[:-1]
    return struct.pack(f"<I{count}I", count, *starts) + b"".join(tasks)


def test_multiple_choice(tokenizer: Tokenizer) -> None:
    tasks = read_multiple_choice(questions(6), "x", tokenizer, 0)
    assert [set(task.right) for task in tasks] == [{1}, {0}] * 3
    assert tasks[4].candidates[0].tokens == tuple(tokenizer.encode("What is 4? one"))
    some = read_multiple_choice(questions(6), "x", tokenizer, 3)
    assert some == [tasks[i] for i in drawn_by_floats(range(6), 3)]


@pytest.mark.parametrize("cut", [0, 3, 7, 30, 50, 60, -1])
def test_multiple_choice_that_ends_early(cut: int, tokenizer: Tokenizer) -> None:
    with pytest.raises(FileError, match="x: "):
        read_multiple_choice(questions(2)[:cut], "x", tokenizer, 0)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (struct.pack("<II", 2**32 - 1, 0), "tasks do not fit"),
        (struct.pack("<I", 0), "0 tasks do not fit"),
        (struct.pack("<II", 1, 8) + packed("Q") + struct.pack("<I", 101), "101 answers: too many"),
        (struct.pack("<II", 1, 8) + struct.pack("<I", 2**31), "ends in the middle of a task"),
        (struct.pack("<II", 1, 8) + packed("Q") + answers([], []) * 2, "no question or an empty"),
        (struct.pack("<II", 1, 8) + packed("Q") + answers([""], [1]) * 2, "or an empty answer"),
    ],
)
def test_multiple_choice_of_another_form(data: bytes, problem: str, tokenizer: Tokenizer) -> None:
    with pytest.raises(FileError, match=problem):
        read_multiple_choice(data, "x", tokenizer, 0)


def tasks(n_vocab: int, count: int) -> list[Task]:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        start = rng.integers(0, n_vocab, 5).tolist()
        texts = [start + rng.integers(0, n_vocab, n).tolist() for n in (3, 1, 4)]
        made.append(Task(judged_after_prefix(texts), frozenset({0})))
    return made


def test_scores_are_means_of_log_probabilities(tiny: Model) -> None:
    session = Session(tiny, context=16, ubatch=64, threads=1, sequences=7)
    given = tasks(tiny.n_vocab, 5)
    records = list(CandidateScores(session, given).records(0))
    assert len(records) == 5
    for task, record in zip(given, records, strict=True):
        for candidate, found in zip(task.candidates, record["log_probs"], strict=True):
            session.reset()
            logits = session.evaluate(candidate.tokens, all_logits=True).astype(np.float64)
            logits -= np.logaddexp.reduce(logits, axis=1, keepdims=True)
            judged = range(candidate.first, candidate.last)
            expected = np.mean([logits[i - 1, candidate.tokens[i]] for i in judged])
            assert found == pytest.approx(expected, abs=1e-5)
    later = list(CandidateScores(session, given).records(3))
    assert [r["log_probs"].tobytes() for r in later] == [
        r["log_probs"].tobytes() for r in records[3:]
    ]


def test_tasks_that_do_not_fit(tiny: Model) -> None:
    session = Session(tiny, context=8, ubatch=16, threads=1, sequences=3)
    with pytest.raises(CapacityError, match="task 1 takes 9 tokens, but the context has 8"):
        CandidateScores(session, tasks(tiny.n_vocab, 1))
    session = Session(tiny, context=16, ubatch=16, threads=1, sequences=2)
    with pytest.raises(CapacityError, match="task 1 has 3 candidates: too many"):
        CandidateScores(session, tasks(tiny.n_vocab, 1))
    nothing = Task((Candidate((1,), 1, 1),), frozenset({0}))
    with pytest.raises(PyllamaError, match="task 1 has a candidate without anything to judge"):
        CandidateScores(session, [nothing])


def test_wilson_interval() -> None:
    assert wilson_interval(1, 2) == pytest.approx((0.0945312, 0.9054688), abs=1e-6)
    low, high = wilson_interval(0, 10)
    assert (low, high) == pytest.approx((0, 0.2775), abs=1e-4)


INTEGERS = [25, 59, 42, 55, 0]
FLOATS = [54, 128, 92, 118, 0]
