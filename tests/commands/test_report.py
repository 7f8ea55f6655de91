"""Tables and JSON, with text that files may contain."""

from __future__ import annotations

import json

import pytest

from pyllama.commands.report import facts, printable, size_text, table, to_json


def test_columns_are_as_wide_as_their_longest_cell() -> None:
    text = table(("name", "n"), [("a", "1"), ("longer", "1000")], right=("n",))
    assert text == "name       n\na          1\nlonger  1000\n"


def test_no_blanks_at_the_end_of_a_line() -> None:
    assert table(("a", "b"), [("long", ""), ("", "x")]) == "a     b\nlong\n      x\n"


def test_facts_line_up() -> None:
    assert facts([("a", "1"), ("long", "2")]) == "a     1\nlong  2\n"
    assert facts([]) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 東", "plain é 東"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[2J\x9b", r"\x1b[2J\x9b"),
        ("\udcff", r"\udcff"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert table(("x",), [(text,)]) == f"x\n{shown}\n"


def test_json_is_valid_whatever_the_text() -> None:
    text = to_json({"é\x9b\udcff": "\x00\x1b\x7f\u2028東"})
    assert text == '{"é\\u009b\\ufffd": "\\u0000\\u001b\\u007f\u2028東"}\n'
    assert json.loads(text) == {"é\x9b\ufffd": "\x00\x1b\x7f\u2028東"}
    text.encode("utf-8")


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"x": float("nan")})


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.00 KiB"), (807 << 20, "807.00 MiB"),
     (5 << 50, "5120.00 TiB")],
)  # fmt: skip
def test_sizes(n_bytes: int, text: str) -> None:
    assert size_text(n_bytes) == text
