"""Options whose value is one of a few words."""

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
