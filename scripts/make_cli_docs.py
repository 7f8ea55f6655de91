"""Write docs/cli.md, the reference of all commands, from what their --help says.

    python scripts/make_cli_docs.py

Run it when a command or an option changes; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pyllama.commands.foreign import Foreign
from pyllama.commands.program import program

PATH = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

INTRODUCTION = """\
# The command line

Written by `scripts/make_cli_docs.py` from what `pyllama COMMAND --help` says.

Names and defaults are llama.cpp's. `--name=VALUE` and `--some_name` are understood too. An option
with a variable can be given by the environment; the command line comes first. The result is on
stdout, everything else on stderr. Exit codes: 0 success, 1 a failure explained in one line, 2 wrong
usage, 130 interrupted. `pyllama --install-completion` lets the shell complete names.
"""

HEADINGS = {
    False: """\
### Options of llama.cpp without effect

They are accepted, and a note says why they change nothing.
""",
    True: """\
### Options of llama.cpp that are refused
""",
}
"""Of the tables; by whether the options are refused."""


def document() -> str:
    """The whole reference."""
    group: Any = program()
    parts = [INTRODUCTION]
    for name, command in group.commands.items():
        parts.append(f"## pyllama {name}\n\n{_paragraphs(command.help)}\n{_options(command)}")
        foreign = getattr(command.callback, "foreign", ())
        for is_refused, heading in HEADINGS.items():
            options = [option for option in foreign if option.is_refused is is_refused]
            if options:
                parts.append(f"{heading}\n{_foreign(options)}")
    return "\n".join(parts)


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")) + "\n"


def _options(command: Any) -> str:
    shown = (p for p in command.params if p.param_type_name == "argument" or not p.hidden)
    rows = ((_names(p), p.help or "", _default(p), _variables(p)) for p in shown)
    return _table(("option", "meaning", "default", "variable"), rows)


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = ", ".join(parameter.opts)
    negative = " / " + ", ".join(parameter.secondary_opts) if parameter.secondary_opts else ""
    metavar = f" {parameter.metavar}" if parameter.metavar else ""
    return f"`{names}{negative}{metavar}`"


def _default(parameter: Any) -> str:
    shown = getattr(parameter, "show_default", True)
    if isinstance(shown, str):
        return shown
    value = parameter.default
    if not shown or value is None or value is False or callable(value):
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return "yes" if value is True else f"{getattr(value, 'value', value)}"


def _variables(parameter: Any) -> str:
    names = parameter.envvar or ()
    return ", ".join(f"`{name}`" for name in ((names,) if isinstance(names, str) else names))


def _foreign(options: Iterable[Foreign]) -> str:
    rows = ((f"`{', '.join(option.names)}`", option.why) for option in options)
    return _table(("option", "why"), rows)


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def lines() -> Iterator[tuple[str, ...]]:
        yield titles
        yield ("---",) * len(titles)
        yield from rows

    escaped = ([cell.replace("|", "\\|") for cell in row] for row in lines())
    return "".join(f"| {' | '.join(cells)} |\n" for cells in escaped)


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
