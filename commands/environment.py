"""Options from the environment: ``LLAMA_ARG_*``, as llama.cpp names and spells them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer

log = logging.getLogger(__name__)

_PREFIX, _NEGATED = "LLAMA_ARG_", "LLAMA_ARG_NO_"
_POSITIVE = frozenset({"LLAMA_ARG_NO_HOST"})
"""``--no-host`` is an option of its own, and no negation of a server's ``--host``."""

_SPELLINGS = {"enabled": "true", "disabled": "false"}


@contextmanager
def spelled() -> Iterator[None]:
    """In the block, variables that say yes or no are spelled as the option parser expects.

    ``enabled`` and ``disabled`` become true and false; ``LLAMA_ARG_NO_X``, whatever its value,
    becomes ``LLAMA_ARG_X=false``.
    """
    before = dict(os.environ)
    os.environ.update(_changes(before))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _changes(variables: Mapping[str, str]) -> dict[str, str]:
    changes = {
        name: _SPELLINGS[value.lower()]
        for name, value in variables.items()
        if name.startswith(_PREFIX) and value.lower() in _SPELLINGS
    }
    negated = (name for name in variables if name.startswith(_NEGATED) and name not in _POSITIVE)
    return changes | {_PREFIX + name.removeprefix(_NEGATED): "false" for name in negated}


def overridden(context: typer.Context) -> None:
    """Warn of variables that the command line overrules."""
    for parameter in context.command.params:
        names = parameter.envvar or ()
        for variable in (names,) if isinstance(names, str) else names:
            source = context.get_parameter_source(parameter.name or "")
            if source is not None and source.name == "COMMANDLINE" and os.environ.get(variable):
                log.warning(
                    "the environment variable %s is set, but will be overwritten by the command "
                    "line argument %s",
                    variable,
                    parameter.opts[-1],
                )
