"""How a model on a hub is named: ``USER/MODEL[:QUANT]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyllama.errors import UsageError

_MAX_NAME = 96
_NAME = r"\w(?:[\w.-]*\w)?"
_REFERENCE = re.compile(rf"(?P<repo>{_NAME}/{_NAME})(?::(?P<quant>{_NAME}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """A repository, and the quantization that is wanted of it (None: the best there is)."""

    repo: str
    quant: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read ``USER/MODEL[:QUANT]``; UsageError where it is something else.

        The rules for names are the hub's: letters, digits and ``-_.``, at most 96 of them, with
        neither ``--`` nor ``..`` in them and no ``.git`` at the end.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None or not _allowed(match["repo"]):
            raise UsageError(f"{text!r} names no repository; give USER/MODEL or USER/MODEL:QUANT")
        return cls(match["repo"], match["quant"])


def _allowed(repo: str) -> bool:
    too_long = any(len(name) > _MAX_NAME for name in repo.split("/"))
    return not (too_long or "--" in repo or ".." in repo or repo.endswith(".git"))
