"""Options whose value is one of a few words, or several values between commas."""

from __future__ import annotations

from collections.abc import Sequence

from pyllama.errors import UsageError

ON_OFF_AUTO = ("on", "off", "auto")

_MEANINGS = dict.fromkeys(("enabled", "true", "1"), "on")
_MEANINGS |= dict.fromkeys(("disabled", "false", "0"), "off")
_MEANINGS["-1"] = "auto"


def choose(text: str, option: str, words: Sequence[str]) -> str:
    """The word that a text is, or means: on, off and auto have llama.cpp's other spellings, too.

    Raises UsageError, which lists the words, for any other text.
    """
    given = text.lower()
    word = given if given in words else _MEANINGS.get(given, given)
    if word not in words:
        listed = " or ".join((", ".join(words[:-1]), words[-1]))
        raise UsageError(f"{option} is {text!r}; give {listed}")
    return word


def together(options: Sequence[str]) -> str:
    """Several options as the subject of a sentence: ``-p and -f both``."""
    return f"{' and '.join(options)} {'both' if len(options) == 2 else 'all'}"


def items(option: str, text: str) -> list[str]:
    """What stands between the commas; in quotes an item may contain some, as in CSV (RFC 4180).

    Raises UsageError, which names the option, for a text that is no such line.
    """
    import csv

    try:
        return next(csv.reader([text]), [])
    except csv.Error as error:
        raise UsageError(f"{option} {text!r}: {error}") from None
