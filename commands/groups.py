"""Options in groups: a command takes frozen dataclasses, Typer sees one option for each field.

    @dataclass(frozen=True)
    class Sizes:
        ctx_size: Annotated[int, typer.Option("-c", "--ctx-size")] = 0

    @grouped()
    def run(sizes: Sizes) -> None: ...

Options of llama.cpp that have no meaning here, or are not supported, are rows of a table
(`pyllama.commands.foreign`); they become options too, and are answered before the command runs.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from typing import Any, get_type_hints

import typer

from pyllama.commands.environment import overridden
from pyllama.commands.foreign import Foreign, answer
from pyllama.commands.log_options import LogOptions
from pyllama.commands.parsing import repeated

log = logging.getLogger(__name__)

Command = Callable[..., None]


def grouped(foreign: Sequence[Foreign] = ()) -> Callable[[Command], Command]:
    """Make a function of option groups one that Typer can read; the log is started before it runs.

    One of the groups must be LogOptions, so that what is said about options goes where it belongs.
    The documentation finds the table in the function's attribute ``foreign``.
    """

    def decorate(command: Command) -> Command:
        groups = {name: hint for name, hint in get_type_hints(command).items() if name != "return"}

        @functools.wraps(command)
        def flat(context: typer.Context, **given: Any) -> None:
            made = {name: _made(group, given) for name, group in groups.items()}
            next(group for group in made.values() if isinstance(group, LogOptions)).start()
            overridden(context)
            _warn_of_repeated(context)
            answer(foreign, given)
            command(**made)

        own = [parameter for group in groups.values() for parameter in _parameters(group)]
        others = [_parameter(o.key, o.annotation, None) for o in foreign]
        parameters = [_parameter("context", typer.Context, Parameter.empty), *own, *others]
        flat.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        flat.__annotations__ = {p.name: p.annotation for p in parameters}
        flat.foreign = foreign  # type: ignore[attr-defined]
        return flat

    return decorate


def _warn_of_repeated(context: typer.Context) -> None:
    for name in repeated(context):
        log.warning("%s is given several times: only the last value is used", name)


def _made(group: type[Any], given: dict[str, Any]) -> Any:
    return group(**{field.name: given[field.name] for field in fields(group)})


def _parameters(group: type[Any]) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        default = Parameter.empty if field.default is MISSING else field.default
        yield _parameter(field.name, hints[field.name], default)


def _parameter(name: str, annotation: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
