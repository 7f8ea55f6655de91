"""How the arguments of a subcommand are read, beyond what Typer does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand

_REPEATED = "pyllama.repeated"


class Command(TyperCommand):
    """Remembers which options are given several times although only the last value counts."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments into the context."""
        order = self.make_parser(ctx).parse_args(args=list(args))[2]
        counts = Counter(
            o for o in order if not (getattr(o, "multiple", True) or getattr(o, "is_flag", True))
        )
        ctx.meta[_REPEATED] = [option.opts[-1] for option, count in counts.items() if count > 1]
        return super().parse_args(ctx, args)


def repeated(context: typer.Context) -> Sequence[str]:
    """The names of these options."""
    names: Sequence[str] = context.meta.get(_REPEATED, ())
    return names
