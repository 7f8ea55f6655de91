"""Jinja's filters and tests, metered: each is guarded before it runs and weighed after."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2.filters import FILTERS, make_attrgetter
from jinja2.runtime import Context
from jinja2.tests import TESTS
from jinja2.utils import pass_context

from pyllama.templates import guards
from pyllama.templates.functions import tojson
from pyllama.templates.guards import TEXT_METHODS, Guard, columns
from pyllama.templates.limits import CURRENT, LimitError

_SLOW_TEXT = 16 * 1024
_SLOW_OPTIONS = 1024
_CHARACTER_IN_LIST = 80


# These guards name their parameters as the filters do: a template can name them, too.


def _text(guard: Guard) -> Guard:
    """A guard that takes a string, for a filter that makes a string of its value first."""

    def guarded(value: object, *args: object, **names: object) -> int:
        return guard(value if isinstance(value, str) else str(value), *args, **names)

    return guarded


def _centered(value: str, width: object = 80) -> int:
    return TEXT_METHODS["center"](value, width)


def _indented(s: str, width: object = 4, *_: object, **__: object) -> int:
    step = len(width) if isinstance(width, str) else columns(width)
    return 4 * (len(s) + (s.count("\n") + 1) * step)


def _batched(value: object, linecount: object = 0, *_: object, **__: object) -> int:
    return _sequence(value) + columns(linecount)


def _sliced(value: object, slices: object = 0, *_: object, **__: object) -> int:
    return _sequence(value) + columns(slices)


def _rounded(_: object, precision: object = 0, *__: object, **___: object) -> int:
    return columns(precision)


def _sequence(value: object, *_: object, **__: object) -> int:
    """Filters that take a string apart make a long list of short strings."""
    return _CHARACTER_IN_LIST * len(value) if isinstance(value, str) else 0


def _slow(value: object, *args: object, **names: object) -> int:
    """Filters of many passes, quadratic at worst; fine for a title, not for a book."""
    meter = CURRENT.get()
    if meter.weigh(value) > _SLOW_TEXT or meter.weigh([*args, *names.values()]) > _SLOW_OPTIONS:
        raise LimitError("it put a long text through a slow filter")
    return 0


def _formatted(text: object, *args: object, **names: object) -> int:
    return guards.percent(CURRENT.get(), str(text), [*args, *names.values()])


def _joined(items: Iterable[object], d: object = "", *_: object, **__: object) -> int:
    return _sequence(items) + guards.joined(CURRENT.get(), str(d), items)


_ANY: Guard | None = None
"""What comes out is about as large as what goes in."""

_GUARDS: dict[str, Guard | None] = {
    "abs": _ANY,
    "attr": _ANY,
    "batch": _batched,
    "capitalize": _ANY,
    "center": _text(_centered),
    "count": _ANY,
    "d": _ANY,
    "default": _ANY,
    "dictsort": _ANY,
    "e": _ANY,
    "escape": _ANY,
    "filesizeformat": _ANY,
    "first": _ANY,
    "float": _ANY,
    "forceescape": _ANY,
    "format": _formatted,
    "groupby": _sequence,
    "indent": _text(_indented),
    "int": _ANY,
    "items": _ANY,
    "join": _joined,
    "last": _ANY,
    "length": _ANY,
    "list": _sequence,
    "lower": _ANY,
    "map": _ANY,
    "max": _ANY,
    "min": _ANY,
    "pprint": _slow,
    "random": _ANY,
    "reject": _ANY,
    "rejectattr": _ANY,
    "replace": _text(TEXT_METHODS["replace"]),
    "reverse": _ANY,
    "round": _rounded,
    "safe": _ANY,
    "select": _ANY,
    "selectattr": _ANY,
    "slice": _sliced,
    "sort": _sequence,
    "string": _ANY,
    "striptags": _slow,
    "sum": _sequence,
    "title": _sequence,
    "tojson": _ANY,
    "trim": _text(TEXT_METHODS["strip"]),
    "truncate": _ANY,
    "unique": _ANY,
    "upper": _ANY,
    "urlencode": _ANY,
    "urlize": _slow,
    "wordcount": _sequence,
    "wordwrap": _slow,
    "xmlattr": _slow,
}
"""The filters there are; one that a later Jinja adds is not known to be harmless."""


@pass_context
def _total(
    context: Context, iterable: Iterable[object], attribute: str | int | None = None, start: Any = 0
) -> Any:
    """The sum, added up by the operator that is metered: lists can be added, too."""
    if isinstance(start, str):
        raise TypeError("strings cannot be summed")
    if attribute is not None:
        iterable = map(make_attrgetter(context.environment, attribute), iterable)
    operate = context.environment.call_binop  # type: ignore[attr-defined]
    return functools.reduce(lambda total, item: operate(context, "+", total, item), iterable, start)


def metered_filters() -> dict[str, Callable[..., Any]]:
    """All filters by name."""
    own = {"sum": _total, "tojson": tojson}
    return {
        name: _metered_filter({**FILTERS, **own}[name], guard) for name, guard in _GUARDS.items()
    }


def metered_tests() -> dict[str, Callable[..., Any]]:
    """All tests by name: what follows ``is``."""
    return {name: _metered_test(test) for name, test in TESTS.items()}


def _metered_filter(function: Callable[..., Any], guard: Guard | None) -> Callable[..., Any]:
    # Jinja's decorators leave this mark; the context is then passed before the value
    passed = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def metered(*args: Any, **names: Any) -> Any:
        meter = CURRENT.get()
        values = list(args)
        if guard is _joined and isinstance(values[passed], Iterator):
            values[passed] = list(values[passed])
        if guard is not None:
            meter.allow(guard(*values[passed:], **names))
        result = function(*values, **names)
        return drained(result) if isinstance(result, Iterator) else meter.keep(result)

    return metered


def drained(items: Iterator[Any]) -> Iterator[Any]:
    """The same items, all made already: lazy filters could be stacked without end."""
    meter = CURRENT.get()
    done: list[Any] = []
    for item in items:
        meter.spend(8)
        done.append(meter.keep(item))
    return iter(done)


def _metered_test(function: Any) -> Callable[..., Any]:
    @functools.wraps(function)
    def metered(*args: Any, **names: Any) -> Any:
        CURRENT.get().tick()
        return function(*args, **names)

    return metered


def method_size(receiver: str, method: str, args: tuple[Any, ...], names: Mapping[str, Any]) -> int:
    """Bytes that a method of a string will make; see ``guards.TEXT_METHODS``."""
    if method == "join":
        return _joined(args[0], receiver) if args else 0
    guard = TEXT_METHODS.get(method)
    return guard(receiver, *args, **names) if guard else 0
