"""The functions that chat templates expect beside Jinja's own, as transformers defines them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime

from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

from pyllama.templates.guards import columns
from pyllama.templates.limits import CURRENT, LimitError

_LONGEST_DATE_FORMAT = 1000


class RefusalError(Exception):
    """The template itself says that it cannot render this conversation."""


def raise_exception(message: object) -> None:
    """Refuse the conversation, with the template's own words."""
    raise RefusalError(str(message))


def now() -> datetime:
    """The local time, of which templates write the date."""
    return datetime.now()


def strftime_now(form: str) -> str:
    """The local time in a format of ``strftime``."""
    if len(form) > _LONGEST_DATE_FORMAT:
        raise LimitError("it has a very long date format")
    return now().strftime(form)


def tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """``value`` as JSON; unlike Jinja's own filter, ``<``, ``>``, ``&`` and ``'`` stay."""
    if isinstance(indent, int | str):
        columns(len(indent) if isinstance(indent, str) else indent)
    encoder = json.JSONEncoder(
        ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
    if indent is None and separators is None:  # all in one call: no larger than what was weighed
        return encoder.encode(value)
    meter = CURRENT.get()
    pieces: list[str] = []
    for piece in encoder.iterencode(value):
        meter.spend(len(piece))
        pieces.append(piece)
    return "".join(pieces)


class DictFactory:
    """``dict(...)`` in a template; the class itself would give access to Python's inside."""

    def __call__(self, pairs: object = (), /, **names: object) -> dict[object, object]:
        """Like ``dict``, but one pair at a time: keys can be chosen so that each takes long."""
        result: dict[object, object] = {}
        meter = CURRENT.get()
        for key, value in _pairs(pairs):
            meter.tick()
            result[key] = value
        return result | names

    def fromkeys(self, keys: Iterable[object], value: object = None) -> dict[object, object]:
        """A dict that maps every key to the same value."""
        return self((key, value) for key in keys)


def _pairs(value: object) -> Iterable[tuple[object, object]]:
    if isinstance(value, Mapping):
        return value.items()
    if not isinstance(value, Iterable):
        raise TypeError(f"'{type(value).__name__}' object is not iterable")
    return value


class TemplateNamespace(Namespace):
    """Jinja's ``namespace`` without names that could reach Python's inside."""

    def __init__(*args: object, **names: object) -> None:
        """Take what ``dict`` takes; even ``self`` can be a name."""
        namespace, *rest = args
        attributes = DictFactory()(*rest, **names)
        CURRENT.get().keep(attributes)
        for name in attributes:
            _check_name(name)
        Namespace.__init__(namespace, attributes)

    def __setitem__(self, name: str, value: object) -> None:
        _check_name(name)
        Namespace.__setitem__(self, name, value)

    def __repr__(self) -> str:
        return "<Namespace>"  # in full, namespaces that hold namespaces could be endless


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot have the name {name!r}")
