"""Lists of values on the command line, as llama-bench reads them."""

from __future__ import annotations

import pytest

from pyllama.commands.bench_lists import MAX_NUMBER, numbers, pairs, words
from pyllama.errors import UsageError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["512"], (512,)),
        (["512,0,128"], (512, 0, 128)),
        (["1", "2,3"], (1, 2, 3)),
        (["1-4"], (1, 2, 3, 4)),
        (["16-64+16"], (16, 32, 48, 64)),
        (["16-60+16"], (16, 32, 48)),
        (["1-16*2"], (1, 2, 4, 8, 16)),
        (["1-20*3,5"], (1, 3, 9, 5)),
        (["7-7"], (7,)),
        (["8-4"], ()),
        ([str(MAX_NUMBER)], (MAX_NUMBER,)),
        (["0-2147483647+2147483647"], (0, MAX_NUMBER)),
    ],
)
def test_numbers(given: list[str], expected: tuple[int, ...]) -> None:
    assert numbers("-p", given) == expected


def test_an_option_that_was_not_given() -> None:
    assert numbers("-p", None) is None
    assert words(None) is None
    assert pairs("-pg", None) == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "give numbers and ranges"),
        ("1,", "give numbers and ranges"),
        ("x", "give numbers and ranges"),
        ("-1", "give numbers and ranges"),
        ("1-", "give numbers and ranges"),
        ("1-2+", "give numbers and ranges"),
        ("1-2/3", "give numbers and ranges"),
        ("1 ", "give numbers and ranges"),
        ("\u0663", "give numbers and ranges"),
        ("1-4+0", "does not grow"),
        ("1-4*1", "does not grow"),
        ("0-4*2", "does not grow"),
        ("2147483648", "at most 2147483647"),
        ("9" * 5000, "at most 2147483647"),
        ("0-2147483647", "at most 10000 values"),
    ],
)
def test_what_is_no_list(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=rf"-p .*{problem}"):
        numbers("-p", [text])


def test_pairs_and_words() -> None:
    assert pairs("-pg", ["512,128", "8,0"]) == ((512, 128), (8, 0))
    assert words(["f16,q8_0", "bf16"]) == ("f16", "q8_0", "bf16")


@pytest.mark.parametrize("text", ["512", "1,2,3", "1,x", "-1,2", "", "1-4,2"])
def test_what_is_no_pair(text: str) -> None:
    with pytest.raises(UsageError, match="invalid parameter for argument: -pg"):
        pairs("-pg", [text])
