"""The tokenizer of a checkpoint itself, run by the library that it was made with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pyllama.convert.vocabulary.document import Document
from pyllama.tokenizers.huggingface import load

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library


class Original(Protocol):
    """Encodes as the checkpoint's own tokenizer does, without adding anything to a text."""

    @property
    def parses_special(self) -> bool:
        """Whether it takes the texts of control tokens for those tokens."""

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, which is valid Unicode."""


@dataclass(frozen=True, slots=True)
class HuggingFaceOriginal:
    """A tokenizer of the ``tokenizers`` library."""

    library: Library
    parses_special: bool = True

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, which is valid Unicode."""
        ids: list[int] = self.library.encode(text, add_special_tokens=False).ids
        return ids


@dataclass(frozen=True, slots=True)
class SentencePieceOriginal:
    """A model of the ``sentencepiece`` library."""

    processor: Any
    parses_special: bool = False

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, which is valid Unicode."""
        ids: list[int] = self.processor.encode(text)
        return ids


def huggingface_original(document: Document) -> HuggingFaceOriginal:
    """The tokenizer that a document describes; ``ConversionError`` if the library rejects it."""
    try:
        return HuggingFaceOriginal(load(document.content))
    except ValueError as error:
        remedy = "update the package tokenizers, or get the checkpoint again"
        raise document.error(str(error), remedy) from error


def sentencepiece_original(path: Path) -> SentencePieceOriginal | None:
    """The model in a file; ``None`` where the library is not installed or rejects it."""
    try:
        import sentencepiece
    except ImportError:
        return None
    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(path.read_bytes())
    except (OSError, RuntimeError):
        return None
    return SentencePieceOriginal(processor)
