"""How large the parts of a split model may be; shared by ``split`` and ``convert``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.gguf.parts import Limits

MaxTensors = Annotated[
    int | None,
    typer.Option(
        "--split-max-tensors",
        metavar="N",
        min=0,
        help="Tensors in a part; 0 for any number.",
        show_default=False,
    ),
]
MaxSize = Annotated[
    str | None,
    typer.Option(
        "--split-max-size",
        metavar="N[K|M|G]",
        help="Bytes in a part: thousands, millions or billions of them.",
        show_default=False,
    ),
]
MetadataFirst = Annotated[
    bool,
    typer.Option("--no-tensor-first-split", help="Let the first part hold metadata alone."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]

_SIZE = re.compile(r"(\d{1,15})([KMG]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def limits(tensors: int | None, size: str | None, metadata_first: bool) -> Limits:
    """The limits that the options give; UsageError for a size that is none."""
    from pyllama.gguf.parts import Limits

    return Limits(n_bytes(size) or None, tensors or None, metadata_first)


def n_bytes(text: str | None) -> int:
    """Bytes of a size such as ``2G``; 0 for none."""
    if text is None:
        return 0
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--split-max-size {text!r:.40} is no size such as 500M or 2G")
    return int(match[1]) * _UNITS[match[2].upper()]
