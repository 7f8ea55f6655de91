"""What a run measures with what: two results can be compared only where this agrees."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from pyllama.perplexity.windows import Windows
from pyllama.session import Session

_VOCABULARY = "tokenizer.ggml."
_FILE_NAMES = ("model", "text", "base")


@dataclass(frozen=True)
class Header:
    """The circumstances of a run.

    Attributes:
        measure: ``perplexity``, ``kl-divergence``, ``hellaswag``, ``winogrande`` or
            ``multiple-choice``.
        model, model_hash: the file's name and the fingerprint of its configuration and weights.
        tokenizer_hash: SHA-256 of all that decides how texts become tokens.
        text, text_hash: the file's name, and SHA-256 of its text; of a base file its tokens.
        tokens: of the whole text, or of all tasks.
        context: tokens of a window.
        stride: between windows that overlap; 0 for chunks.
        items: windows or tasks that are measured.
        bos: whether a window's first token is evaluated as the one that begins a sequence.
        base, base_hash: what the model is compared with, where it is.
        isa, cache_types, ubatch, pyllama: what computed it.
    """

    measure: str
    model: str
    model_hash: str
    tokenizer_hash: str
    text: str
    text_hash: str
    tokens: int
    context: int
    stride: int
    items: int
    bos: bool
    base: str | None
    base_hash: str | None
    isa: str
    cache_types: str
    ubatch: int
    pyllama: str

    @property
    def fields(self) -> dict[str, Any]:
        """By name, as JSON has them."""
        return asdict(self)

    @property
    def identity(self) -> dict[str, Any]:
        """What a result depends on: files may have other names, as long as they hold the same."""
        return {name: value for name, value in self.fields.items() if name not in _FILE_NAMES}


@dataclass(frozen=True)
class Source:
    """A text: the name of its file, and SHA-256 of what it holds."""

    name: str
    hash: str

    @classmethod
    def of(cls, name: str, data: bytes) -> Source:
        """Of a text's bytes."""
        return cls(name, hashlib.sha256(data).hexdigest())


def describe(
    measure: str,
    session: Session,
    source: Source,
    *,
    tokens: int,
    items: int,
    windows: Windows | None = None,
    base: Source | None = None,
) -> Header:
    """The header of a run; without ``windows`` it is one of tasks."""
    model, layout = session.model, session.layout
    is_strided = windows is not None and windows.step != windows.size
    return Header(
        measure=measure,
        model=model.path.name,
        model_hash=model.fingerprint.hex(),
        tokenizer_hash=tokenizer_hash(model.metadata),
        text=source.name,
        text_hash=source.hash,
        tokens=tokens,
        context=session.context if windows is None else windows.size,
        stride=windows.step if windows is not None and is_strided else 0,
        items=items,
        bos=model.tokenizer.add_bos if windows is None else windows.bos is not None,
        base=base.name if base else None,
        base_hash=base.hash if base else None,
        isa=model.library.isa.name,
        cache_types=f"{layout.key_type} {layout.value_type}",
        ubatch=session.ubatch,
        pyllama=version("pyllama"),
    )


def tokenizer_hash(metadata: Mapping[str, Any]) -> str:
    """SHA-256 of a GGUF file's vocabulary: tokens, their scores and types, settings."""
    digest = hashlib.sha256()
    for key in sorted(metadata):
        if key.startswith(_VOCABULARY):
            digest.update(f"{key}\0".encode())
            digest.update(_bytes(metadata[key]))
    return digest.hexdigest()


def _bytes(value: Any) -> bytes:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, str | int | float):
        return f"{value}\0".encode("utf-8", "surrogatepass")
    return b"".join(_bytes(part) for part in value)
