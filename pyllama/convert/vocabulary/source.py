"""What is known of a tokenizer once its files are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyllama.convert.vocabulary.document import AddedToken
from pyllama.convert.vocabulary.frame import Frame
from pyllama.convert.vocabulary.originals import Original
from pyllama.convert.vocabulary.tokens import Token


@dataclass(frozen=True, slots=True)
class Reading:
    """One tokenizer in GGUF's terms.

    Attributes:
        model: ``tokenizer.ggml.model``.
        tokens: those of the model itself, by id.
        pre: ``tokenizer.ggml.pre``; ``None`` where no name says how the original cuts a text.
        merges: ``left right``, the best first; ``None`` where the kind has none.
        scored: whether the scores of the tokens mean something.
        escaped_spaces: a space is U+2581.
        keys: further ``tokenizer.ggml.*`` keys, without the prefix.
        exact: whether these keys say all that the original does; if not, it is stored whole.
        roles: ids of special tokens that the tokenizer itself names, by role.
        warnings: what differs from the original.
    """

    model: str
    tokens: Mapping[int, Token]
    pre: str | None = "default"
    merges: Sequence[str] | None = None
    scored: bool = False
    escaped_spaces: bool = False
    keys: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = True
    roles: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One tokenizer as it was found.

    Attributes:
        path: its file.
        reading: what it is in GGUF's terms.
        added: the tokens beside those of the model.
        frame: what it puts around a text; ``None`` where its format does not say.
        whole: its JSON, where ``reading`` does not say all.
        read_original: loads the tokenizer itself; see ``Vocabulary.original``.
    """

    path: Path
    reading: Reading
    added: tuple[AddedToken, ...]
    frame: Frame | None
    whole: str | None
    read_original: Callable[[], Original | None]
