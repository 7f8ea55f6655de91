"""``pyllama graph``: what a model computes, how it is planned, and where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options, output
from pyllama.commands.inspect import File
from pyllama.commands.loading import context_size, load_model
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.commands.graph_views import View
    from pyllama.graph.cpu import CacheLayout, Mode
    from pyllama.model import Model
    from pyllama.profile import Profile

UBATCH = 512
"""Tokens at a time of those that come before the step."""


class Format(StrEnum):
    """How to write it."""

    TEXT = "text"
    JSON = "json"
    DOT = "dot"


class By(StrEnum):
    """What to add times up by."""

    KIND = "kind"
    OP = "op"
    LAYER = "layer"


Plan = Annotated[
    bool, typer.Option("--plan", help="Show the launches of a step, its memory and barriers.")
]
Profiled = Annotated[
    bool, typer.Option("--profile", help="Run the step and show the time of its ops.")
]
GroupBy = Annotated[
    By | None,
    typer.Option("--by", help="Add times up by kind, op or layer.", show_default="kind"),
]
OutputFormat = Annotated[
    Format, typer.Option("--format", help="Text, one JSON object, or input for Graphviz.")
]
Tokens = Annotated[
    int | None,
    typer.Option("--tokens", metavar="N", min=1, help="Tokens of the step.", show_default="1"),
]
Depth = Annotated[
    int | None,
    typer.Option(
        "-d", "--depth", metavar="N", min=0, help="Tokens before the step.", show_default="0"
    ),
]
Repetitions = Annotated[
    int | None,
    typer.Option(
        "-r",
        "--repetitions",
        metavar="N",
        min=1,
        help="How often to run the step.",
        show_default="as often as fits into a second",
    ),
]
CacheTypeK = Annotated[
    str | None,
    typer.Option(
        "-ctk", "--cache-type-k", metavar="TYPE", help="Type of cached keys.", show_default="f16"
    ),
]
CacheTypeV = Annotated[
    str | None,
    typer.Option(
        "-ctv", "--cache-type-v", metavar="TYPE", help="Type of cached values.", show_default="f16"
    ),
]


@dataclass(frozen=True)
class Step:
    """The step that a plan or a profile is about: ``tokens`` after ``depth`` others."""

    tokens: int
    depth: int
    context: int
    threads: int
    layout: CacheLayout
    mode: Mode


def graph(
    file: File = None,
    plan: Plan = False,
    profile: Profiled = False,
    by: GroupBy = None,
    format: OutputFormat = Format.TEXT,
    tokens: Tokens = None,
    depth: Depth = None,
    repetitions: Repetitions = None,
    ctx_size: options.Context = None,
    cache_type_k: CacheTypeK = None,
    cache_type_v: CacheTypeV = None,
    threads: options.Threads = -1,
    isa: options.Isa = None,
    verbose: options.Verbose = False,
) -> None:
    """Show the ops that a model computes; with --plan or --profile, one native step of them.

    A step of one token generates text, one of many reads a prompt. Shapes are in the order of the
    file, innermost dimension first. GB/s count weights and cached keys and values.
    """
    output.start_log(verbose=verbose)
    types = {"--cache-type-k": cache_type_k, "--cache-type-v": cache_type_v}
    sizes = {"--tokens": tokens, "--ctx-size": ctx_size, "--threads": None if threads < 1 else threads}
    _need(plan or profile, "--plan or --profile", sizes | types)
    _need(profile, "--profile", {"--depth": depth, "--repetitions": repetitions, "--by": by})
    if by is not None and (plan or format is Format.DOT):
        raise UsageError(f"--by adds times up, {'--plan' if plan else '--format dot'} does not")
    model = load_model(file, isa)
    ...
