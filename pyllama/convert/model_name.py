"""What a model is called: parts of its name, and the name of its file.

    meta-llama/Llama-3.2-1B-Instruct-v1.1
    organization  basename  size  finetune  version

Source: the naming convention in the GGUF specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

_SIZE = re.compile(r"(?:\d+x)?\d+(?:\.\d+)?[KMBT]", re.IGNORECASE)
_ACTIVE = re.compile(r"A\d+(?:\.\d+)?[KMBT]", re.IGNORECASE)
_VERSION = re.compile(r"v\d+(?:\.\d+)*", re.IGNORECASE)
_CACHED = re.compile(r"models--(?P<user>.+?)--(?P<model>.+)")


@dataclass(frozen=True)
class ModelName:
    """A model's name and its parts; None for those that it does not have."""

    name: str
    organization: str | None = None
    basename: str | None = None
    size: str | None = None
    finetune: str | None = None
    version: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take ``USER/MODEL`` or ``MODEL`` apart."""
        organization, _, model = text.rpartition("/")
        words = model.split("-")
        version = next((word for word in words[1:] if _VERSION.fullmatch(word)), None)
        words = [word for word in words if word != version]
        at = next((i for i, word in enumerate(words) if i and _SIZE.fullmatch(word)), len(words))
        end = at + 1 + (at + 1 < len(words) and bool(_ACTIVE.fullmatch(words[at + 1])))
        return cls(
            name=" ".join(model.replace("_", "-").split("-")),
            organization=organization or None,
            basename="-".join(words[:at]) or None,
            size="-".join(words[at:end]) or None,
            finetune="-".join(words[end:]) or None,
            version=version,
        )

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The name that a folder tells, that of its repository where it is in the hub's cache."""
        folder = folder.absolute()
        cached = _CACHED.fullmatch(folder.parent.parent.name)
        if folder.parent.name == "snapshots" and cached:
            return cls.parse(f"{cached['user']}/{cached['model']}")
        return cls.parse(folder.resolve().name or "model")

    def with_size(self, size: str) -> Self:
        """The same with a size where it has none."""
        return self if self.size else replace(self, size=size)

    def file_name(self, encoding: str) -> str:
        """``Llama-3.2-1B-Instruct-v1.1-F16.gguf`` for the encoding ``F16``."""
        stem = (self.basename or self.name, self.size, self.finetune, self.version, encoding)
        text = "-".join(part for part in stem if part)
        return re.sub(r"[\s/\\:]+", "-", text) + ".gguf"


def size_label(tensors: Iterable[tuple[str, int]], experts: int) -> str:
    """``1.2B``, or of a model with experts ``8x7.2B``; ``tensors``: names and numbers of elements.

    The second number counts the weights of one expert and those that all share.
    """
    counts = list(tensors)
    total = sum(count for _, count in counts)
    if not experts:
        return _rounded(total)
    in_experts = sum(count for name, count in counts if "_exps." in name)
    return f"{experts}x{_rounded(total - in_experts + in_experts // experts)}"


def _rounded(count: int) -> str:
    """Two digits at least: 1.2B, 8.0B, 30B, 135M."""
    for unit, scale in (("T", 10**12), ("B", 10**9), ("M", 10**6)):
        if count >= scale:
            return _digits(count / scale) + unit
    return _digits(count / 1000) + "K"


def _digits(value: float) -> str:
    return f"{value:.1f}" if round(value) < 10 else f"{value:.0f}"
