"""A vocabulary as it goes into a GGUF file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyllama.convert.vocabulary.chat_templates import template_keys
from pyllama.convert.vocabulary.originals import Original
from pyllama.convert.vocabulary.tokens import Tokens
from pyllama.gguf.strings import NO_STRINGS
from pyllama.tokenizers.huggingface import KEY
from pyllama.tokenizers.keys import PREFIX
from pyllama.tokenizers.vocabulary import SPECIAL


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The tokenizer of a checkpoint.

    Attributes:
        model: ``tokenizer.ggml.model``, its kind.
        pre: ``tokenizer.ggml.pre``, what its pre-tokenizer is called; ``None`` without a name.
        tokens: one for each row of the embedding.
        scored: whether the scores of the tokens mean something.
        merges: ``left right``, the best first; ``None`` where the kind has none.
        keys: further ``tokenizer.ggml.*`` keys, without the prefix.
        templates: chat templates by name.
        whole: the tokenizer's own JSON, where the other keys do not say all.
        warnings: what differs from the original, one line each.
        read_original: see ``original``.
    """

    model: str
    pre: str | None
    tokens: Tokens
    scored: bool
    merges: Sequence[str] | None
    keys: Mapping[str, Any]
    templates: Mapping[str, str]
    whole: str | None
    warnings: tuple[str, ...]
    read_original: Callable[[], Original | None]

    @property
    def original(self) -> Original | None:
        """The checkpoint's own tokenizer, loaded anew; ``None`` where no library here reads it.

        Raises ``ConversionError`` where the library rejects it.
        """
        return self.read_original()

    @property
    def special_texts(self) -> list[str]:
        """The texts of the tokens that are found in a text before it is tokenized."""
        pairs = zip(self.tokens.texts, self.tokens.types.tolist(), strict=True)
        return [text for text, kind in pairs if kind in SPECIAL]

    def metadata(self) -> dict[str, Any]:
        """The ``tokenizer.*`` keys in the order of the file; arrays of numbers are NumPy's."""
        keys: dict[str, Any] = {"model": self.model}
        if self.pre is not None:
            keys["pre"] = self.pre
        keys["tokens"] = self.tokens.texts
        if self.scored:
            keys["scores"] = self.tokens.scores
        keys["token_type"] = self.tokens.types
        if self.merges is not None:
            keys["merges"] = list(self.merges) or NO_STRINGS
        metadata = {PREFIX + name: value for name, value in (keys | dict(self.keys)).items()}
        metadata |= template_keys(self.templates)
        return metadata | ({} if self.whole is None else {KEY: self.whole})
