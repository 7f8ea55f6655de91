"""``tokenizer.json`` of the Hugging Face library, and other formats written as such a document.

    {"added_tokens": [{"id", "content", "special", ...}], "normalizer": step or null,
     "pre_tokenizer": step or null, "post_processor": ..., "decoder": ...,
     "model": {"type": "BPE" | "Unigram" | "WordPiece", "vocab": ..., ...}}

A step is ``{"type": name, ...}``; those of the type ``Sequence`` hold more steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pyllama.convert.documents import parse_object, read_bytes
from pyllama.errors import ConversionError
from pyllama.gguf.wording import quoted

MAX_BYTES = 1 << 28
"""Of a file with a vocabulary; that of a million tokens has some 100 MB."""
MAX_ID = 1 << 26
AGAIN = "get the checkpoint again"

Step = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token beside those of the model; ``special``: it is not part of what the model says."""

    id: int
    text: str
    special: bool


@dataclass(frozen=True)
class Document:
    """A tokenizer as the library describes it; every access checks what it reads.

    Raises ``ConversionError``, which names ``path``, for what is not of the format.
    """

    path: Path
    content: Mapping[str, Any]

    def error(self, problem: str, remedy: str = AGAIN) -> ConversionError:
        """An error about this file."""
        return ConversionError(self.path, problem, remedy)

    @cached_property
    def model(self) -> Mapping[str, Any]:
        """The section of that name."""
        model = self.content.get("model")
        if not isinstance(model, dict):
            raise self.error("has no model")
        return model

    @cached_property
    def kind(self) -> str:
        """``BPE``, ``Unigram``, ``WordPiece``, or what else the file says."""
        kind = self.model.get("type")
        if kind is None:  # as the library's first versions wrote it
            return "BPE" if "merges" in self.model else "WordPiece"
        return kind if isinstance(kind, str) else quoted(repr(kind))

    @cached_property
    def normalizers(self) -> tuple[Step, ...]:
        """The steps that change a text."""
        return self._steps("normalizer", "normalizers")

    @cached_property
    def pre_tokenizers(self) -> tuple[Step, ...]:
        """The steps that cut a text."""
        return self._steps("pre_tokenizer", "pretokenizers")

    @cached_property
    def post_processors(self) -> tuple[Step, ...]:
        """The steps that add tokens to a text."""
        return self._steps("post_processor", "processors")

    @cached_property
    def added_tokens(self) -> tuple[AddedToken, ...]:
        """The tokens beside those of the model, in the file's order."""
        listed = self.content.get("added_tokens") or []
        if not isinstance(listed, list):
            raise self.error("added_tokens is no list")
        return tuple(self._added_token(entry) for entry in listed)

    @cached_property
    def vocab(self) -> dict[str, int]:
        """Ids by text, of BPE and WordPiece; no id stands for two texts."""
        vocab = self.model.get("vocab")
        if not isinstance(vocab, dict):
            raise self.error("model.vocab is no object of tokens and ids")
        texts: dict[int, str] = {}
        for text, id in vocab.items():
            other = texts.setdefault(self.checked_id(id, text), text)
            if other != text:
                raise self.error(f"tokens {quoted(other)} and {quoted(text)} both have the id {id}")
        return vocab

    @property
    def unknown_text(self) -> str | None:
        """The text of the unknown token, of BPE and WordPiece."""
        text = self.model.get("unk_token")
        return text if isinstance(text, str) else None

    def checked_id(self, id: object, text: str) -> int:
        """``id`` if it can be the id of the token ``text``, and that text can be in a file."""
        if not is_unicode(text):
            raise self.error(f"token {quoted(text)} is not UTF-8")
        if isinstance(id, bool) or not isinstance(id, int) or not 0 <= id < MAX_ID:
            raise self.error(f"token {quoted(text)} has {quoted(repr(id))} for its id")
        return id

    def _added_token(self, entry: object) -> AddedToken:
        match entry:
            case {"id": id, "content": str(text), **rest}:
                return AddedToken(self.checked_id(id, text), text, rest.get("special") is True)
        raise self.error("an added token has no id or no content")

    def _steps(self, section: str, inner: str) -> tuple[Step, ...]:
        """The steps of a section, sequences unfolded."""
        steps: list[Step] = []
        waiting = [self.content.get(section)]
        while waiting:
            step = waiting.pop()
            if step is None:
                continue
            if not isinstance(step, dict):
                raise self.error(f"{section} is no object")
            if step.get("type") != "Sequence":
                steps.append(step)
                continue
            children = step.get(inner)
            if not isinstance(children, list):
                raise self.error(f"a sequence in {section} has no {inner}")
            waiting += reversed(children)
        return tuple(steps)


def added_entry(id: int, text: str, special: bool = True) -> dict[str, Any]:
    """An entry of ``added_tokens`` that is found wherever its text stands."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": id, "content": text, "special": special, **flags}


def is_unicode(text: str) -> bool:
    """Whether ``text`` is free of the half characters that JSON can spell."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_document(path: Path) -> Document:
    """The tokenizer in a file ``tokenizer.json``. Raises ``FileError``, ``ConversionError``."""
    return Document(path, parse_object(path, read_bytes(path, MAX_BYTES)))
