"""Adapters of a model: ``--lora FILE,...`` and ``--lora-scaled FILE:SCALE,...``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands.words import items
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.lora import Lora

LoraFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--lora",
        metavar="FILE",
        help="LoRA adapters, by commas (a name with a comma in quotes). Repeatable.",
        show_default=False,
    ),
]
ScaledLoraFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--lora-scaled",
        metavar="FILE:SCALE",
        help="The same, of which so much is added; 1 is all of an adapter. Repeatable.",
        show_default=False,
    ),
]


def loras(plain: Iterable[str] | None, scaled: Iterable[str] | None) -> list[Lora]:
    """The adapters that both options name; UsageError for what cannot be read."""
    from pyllama.lora import Lora

    whole = [Lora(item) for item in _each("--lora", plain)]
    return whole + [Lora(*_scaled(item)) for item in _each("--lora-scaled", scaled)]


def _each(option: str, given: Iterable[str] | None) -> Iterator[str]:
    for text in given or ():
        for item in items(option, text):
            if not item:
                raise UsageError(f"{option} {text!r} has an empty name between its commas")
            yield item


def _scaled(item: str) -> tuple[str, float]:
    path, colon, number = item.rpartition(":")
    try:
        scale = float(number)
    except ValueError:
        scale = math.nan
    if not (path and colon and math.isfinite(scale)):
        raise UsageError(f"--lora-scaled {item!r} is not FILE:SCALE with a number for SCALE")
    return path, scale
