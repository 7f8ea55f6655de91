"""``pyllama graph``: what a model computes, how it is planned, and where the time goes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options, output
from pyllama.commands.inspect import File
from pyllama.commands.loading import context_size, load_model
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.commands.graph_views import Step
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
    sizes = {
        "--tokens": tokens,
        "--ctx-size": ctx_size,
        "--threads": threads if threads > 0 else None,
    }
    types = {"--cache-type-k": cache_type_k, "--cache-type-v": cache_type_v}
    _check_needs({**sizes, **types}, "--plan or --profile", there=plan or profile)
    runs = {"--depth": depth, "--repetitions": repetitions, "--by": by}
    _check_needs(runs, "--profile", there=profile)
    if by is not None and (plan or format is Format.DOT):
        other = "--plan" if plan else "--format dot"
        raise UsageError(f"--by adds times up, but {other} shows every launch; leave one out")
    from pyllama.commands import graph_views

    model = load_model(file, isa)
    if not plan and not profile:
        output.write(graph_views.graph(model, format))
        return
    step = _step(model, tokens or 1, depth or 0, ctx_size, threads, (cache_type_k, cache_type_v))
    measured = _measure(model, step, repetitions) if profile else None
    if measured is None or plan or format is Format.DOT:
        output.write(graph_views.plan(model, step, measured, format))
    else:
        output.write(graph_views.profile(model, step, measured, format, by or By.KIND))


def _check_needs(options: Mapping[str, object], needed: str, *, there: bool) -> None:
    """UsageError for options that were given and mean nothing without another."""
    given = [name for name, value in options.items() if value is not None]
    if given and not there:
        raise UsageError(f"{', '.join(given)} needs {needed}")


def _step(
    model: Model,
    tokens: int,
    depth: int,
    context: int | None,
    threads: int,
    cache_types: tuple[str | None, str | None],
) -> Step:
    from pyllama.cache import cache_layout
    from pyllama.commands.graph_views import Step
    from pyllama.threads import default_threads

    size = context_size(context, model.config.context_length)
    if context is not None and tokens + depth > size:
        raise UsageError(f"--tokens {tokens} and --depth {depth} do not fit into -c {size}")
    key_type, value_type = (type or "f16" for type in cache_types)
    size = max(size, tokens + depth)
    return Step(
        tokens,
        depth,
        size,
        threads if threads > 0 else default_threads()[0],
        cache_layout(size, 1, key_type, value_type),
    )


def _measure(model: Model, step: Step, repetitions: int | None) -> Profile:
    import numpy as np

    from pyllama.interrupt import interruptible
    from pyllama.profile import profile
    from pyllama.session import Session

    session = Session(
        model,
        context=step.context,
        ubatch=max(1, min(step.depth, UBATCH)),
        threads=step.threads,
        cache_type=step.layout.key_type,
        cache_type_v=step.layout.value_type,
    )
    with interruptible(session.abort):
        if step.depth:
            session.evaluate(np.random.default_rng(0).integers(0, model.n_vocab, step.depth))
        return profile(session, step.tokens, repetitions)
