"""What ``/set`` changes while a conversation goes on: options, by their names, parsed by the same
parser as those of the command line, and checked by the same checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import typer

from pyllama.commands.chat_options import ConversationOptions, DisplayOptions
from pyllama.commands.constraint_options import ConstraintOptions
from pyllama.commands.sampling_options import SamplingOptions
from pyllama.commands.text_options import LimitOptions
from pyllama.commands.words import choose
from pyllama.errors import UsageError

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "sampling": tuple(field.name for field in fields(SamplingOptions)),
    "constraints": ("ignore_eos",),
    "limit": ("predict", "reverse_prompt", "keep"),
    "display": ("markdown", "show_timings", "show_prompt"),
    "template": ("reasoning", "reasoning_effort", "chat_template_kwargs"),
}
"""The groups, and which of their options can be changed."""


@dataclass
class Settings:
    """The options that an answer depends on."""

    sampling: SamplingOptions
    constraints: ConstraintOptions
    limit: LimitOptions
    template: ConversationOptions
    display: DisplayOptions
    escape: bool = True

    def check(self) -> None:
        """Raises UsageError for values out of range, and for options that contradict."""
        for group in (self.constraints, self.limit, self.template, self.display):
            group.check()
        self.template.variables()
        self.sampling.check(escape=self.escape)

    def change(self, name: str, text: str) -> None:
        """Set an option; UsageError, and nothing changes, where the command line would refuse."""
        group, option = _find(name)
        before = getattr(self, group)
        setattr(self, group, replace(before, **{option.name: _parsed(option, name, text)}))
        try:
            self.check()
        except UsageError:
            setattr(self, group, before)
            raise

    def rows(self) -> Iterator[tuple[str, str]]:
        """All options by name, and their values."""
        for group, option in _options():
            value = getattr(getattr(self, group), option.name)
            yield _long(option), "the model's" if value is None else _shown(value)

    def row(self, name: str) -> tuple[str, str]:
        """The same of one option; UsageError where there is none of the name."""
        wanted = _long(_find(name)[1])
        return next(row for row in self.rows() if row[0] == wanted)


def setting_names() -> list[str]:
    """What can be set."""
    return [_long(option) for _, option in _options()]


def _command() -> Any:
    from pyllama.commands.program import program

    tree: Any = program()
    return tree.commands["chat"]


def _options() -> Iterator[tuple[str, Any]]:
    """The group and the parser's option of each that can be changed."""
    known = {option.name: option for option in _command().params}
    for group, names in _GROUPS.items():
        for name in names:
            yield group, known[name]


def _find(name: str) -> tuple[str, Any]:
    word = name.lstrip("-").replace("_", "-")
    for group, option in _options():
        if {f"-{word}", f"--{word}"} & set(option.opts):
            return group, option
    raise UsageError(f"there is no setting {name!r}; /set shows all")


def _long(option: Any) -> str:
    """Its first long name."""
    return str(next(name for name in option.opts if name.startswith("--"))[2:])


def _parsed(option: Any, name: str, text: str) -> object:
    arguments = ["--" + _long(option), text]
    if option.is_flag:
        is_on = choose(text, name, ("on", "off")) == "on"
        arguments = (option.opts if is_on else option.secondary_opts)[-1:]
    try:
        return _command().make_context("chat", arguments).params[option.name]
    except typer.BadParameter as error:
        raise UsageError(f"{name}: {error.message}") from error


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return " ".join(map(repr, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
