"""The tokenizer of a model, as its GGUF file describes it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pyllama.errors import UsageError
from pyllama.gguf.wording import quoted
from pyllama.tokenizers.detokenizing import Pieces, StreamDecoder, clean_spaces
from pyllama.tokenizers.encoders import BUILDERS, Parts, PartsEncoder
from pyllama.tokenizers.huggingface import KEY, read_huggingface_encoder
from pyllama.tokenizers.keys import PREFIX, Keys
from pyllama.tokenizers.partition import Partition
from pyllama.tokenizers.policy import Policy, default_policy, read_policy
from pyllama.tokenizers.pretokenizers import DEFAULT, PRE_TOKENIZERS, PreTokenizer
from pyllama.tokenizers.special import SpecialTokens, classify, read_special_tokens
from pyllama.tokenizers.vocabulary import TokenType, Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from pyllama.gguf import GGUFFile

log = logging.getLogger(__name__)

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class TextEncoder(Protocol):
    """Encodes whole texts, with the special tokens in them; safe to share between threads."""

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """The ids of ``text``, which is valid Unicode; see ``Tokenizer.encode``."""


@dataclass(frozen=True, eq=False, repr=False)
class Tokenizer:
    """Text to token ids and back; immutable, so that any number of threads can share it.

    Attributes:
        model: the kind of tokenizer, ``llama`` (SentencePiece), ``gpt2`` and so on.
        pre: the pre-tokenizer; ``default`` where the file names none.
        vocabulary: the tokens and their types.
        policy: what is added to a text, and the special tokens.
        end_of_generation: ids that end an answer.
    """

    model: str
    pre: str
    vocabulary: Vocabulary
    policy: Policy
    end_of_generation: frozenset[int]
    _encoder: TextEncoder
    _pieces: Pieces

    @classmethod
    def from_gguf(cls, file: GGUFFile) -> Tokenizer:
        """The tokenizer of an open model; raises ``ModelError``, see ``from_metadata``."""
        return cls.from_metadata(file.metadata, str(file.path))

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any], source: str) -> Tokenizer:
        """The tokenizer that ``metadata`` describes; ``source``: the file's name in errors.

        Arrays of numbers are NumPy arrays, arrays of strings any sequence of ``str``. Raises
        ``ModelError`` for a vocabulary that is missing, malformed or of an unknown kind.
        """
        keys = Keys(metadata, source)
        model = _read_model(keys)
        pre, rules = _read_pre_tokenizer(keys, model)
        default = default_policy(model, rules)
        vocabulary = read_vocabulary(keys)
        roles = read_special_tokens(keys, vocabulary, default.roles)
        vocabulary, ends = classify(vocabulary, roles)
        policy = read_policy(keys, default, roles, rules)
        return cls(
            model=model,
            pre=pre,
            vocabulary=vocabulary,
            policy=policy,
            end_of_generation=ends,
            _encoder=_text_encoder(model, Parts(keys, vocabulary, policy, rules)),
            _pieces=Pieces(vocabulary, byte_level=rules is not None and rules.byte_level),
        )

    @property
    def n_vocab(self) -> int:
        """How many tokens there are."""
        return len(self.vocabulary)

    @property
    def special(self) -> SpecialTokens:
        """The ids of all special tokens by role."""
        return self.policy.roles

    @property
    def bos(self) -> int | None:
        """The beginning of a sequence."""
        return self.special.bos

    @property
    def eos(self) -> int | None:
        """The end of a sequence."""
        return self.special.eos

    @property
    def eot(self) -> int | None:
        """The end of a turn."""
        return self.special.eot

    @property
    def unk(self) -> int | None:
        """What stands for text that no token covers."""
        return self.special.unk

    @property
    def pad(self) -> int | None:
        """Padding."""
        return self.special.pad

    @property
    def add_bos(self) -> bool:
        """Whether ``encode`` puts ``bos`` first."""
        return self.policy.add_bos

    @property
    def add_eos(self) -> bool:
        """Whether ``encode`` puts ``eos`` last."""
        return self.policy.add_eos

    def encode(
        self, text: str, *, add_special: bool = True, parse_special: bool = False
    ) -> list[int]:
        """The ids of ``text``.

        Args:
            text: any; a lone surrogate counts as U+FFFD.
            add_special: add what the model wants at the beginning and the end.
            parse_special: the texts of control tokens become those tokens. Leave it off for text
                that is not trusted. User-defined tokens are always found.
        """
        text = _LONE_SURROGATE.sub("\ufffd", text)
        ids = list(self.policy.prefix) if add_special else []
        ids += self._encoder.encode(text, parse_special=parse_special)
        return ids + list(self.policy.suffix) if add_special else ids

    def decode(self, ids: Iterable[int], *, special: bool = False, clean: bool = False) -> str:
        """The text of ``ids``; bytes that are no UTF-8 become U+FFFD.

        Args:
            ids: tokens in range, else ``UsageError``.
            special: show control tokens.
            clean: remove spaces before punctuation if the model asks for it. Nice to look at, but
                the text is then no longer the one that was encoded.
        """
        tokens = list(ids)
        pieces = [self.piece(token, special=special) for token in tokens]
        first = next((i for i, piece in enumerate(pieces) if piece), None)
        if self.policy.space_prefix and first is not None:
            normal = self.vocabulary.types[tokens[first]] == TokenType.NORMAL
            pieces[first] = pieces[first].removeprefix(b" ") if normal else pieces[first]
        text = b"".join(pieces).decode("utf-8", "replace")
        return clean_spaces(text) if clean and self.policy.clean_spaces else text

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token, perhaps half a character; ``UsageError`` if it is out of range.

        Control tokens are empty unless ``special``.
        """
        self._check(token)
        return self._pieces.piece(token, special=special)

    def stream(self, special: bool = False) -> StreamDecoder:
        """A decoder that is fed one id at a time; ``special``: show control tokens."""
        return StreamDecoder(partial(self.piece, special=special))

    def token(self, token: int) -> str:
        """The token's text in the vocabulary, such as ``▁the``; ``UsageError`` if out of range."""
        self._check(token)
        return self.vocabulary.texts[token]

    def doubles_bos(self, ids: Sequence[int]) -> bool:
        """Whether ``ids`` begin with two ``bos``: the text brought one along, and one was added."""
        return self.add_bos and len(ids) > 1 and ids[0] == ids[1] == self.bos

    def _check(self, token: int) -> None:
        if not 0 <= token < len(self.vocabulary):
            raise UsageError(f"token {token} is outside the vocabulary of {self.n_vocab} tokens")


def _text_encoder(model: str, parts: Parts) -> TextEncoder:
    whole = read_huggingface_encoder(parts.keys, parts.vocabulary)
    if whole is not None:
        return whole
    partition = Partition(parts.vocabulary, parts.keys.metadata)
    return PartsEncoder(partition, BUILDERS[model](parts))


def _read_model(keys: Keys) -> str:
    model = keys.text("model")
    if model is None:
        raise keys.error(f"{PREFIX}model is missing", "the model has no vocabulary")
    if model not in BUILDERS:
        known = ", ".join(BUILDERS)
        raise keys.error(f"unknown tokenizer {quoted(model)}", f"pyllama knows: {known}")
    return model


def _read_pre_tokenizer(keys: Keys, model: str) -> tuple[str, PreTokenizer | None]:
    """Name and rules of the pre-tokenizer; only BPE has rules."""
    pre = model if model == "gemma4" else keys.text("pre")
    if model not in ("gpt2", "gemma4"):
        return pre or DEFAULT, None
    if not pre and KEY not in keys.metadata:
        log.warning(
            "%s: %spre is missing: text may be cut differently than in training, and answers get"
            " worse; convert the model again",
            keys.source,
            PREFIX,
        )
    pre = pre or DEFAULT
    if pre not in PRE_TOKENIZERS and KEY in keys.metadata:
        return pre, PRE_TOKENIZERS[DEFAULT]  # the tokenizer is there itself, whatever its name
    if pre not in PRE_TOKENIZERS:
        raise keys.error(
            f"unknown pre-tokenizer {quoted(pre)}",
            "a newer pyllama may know it; with another one the model would not work well",
        )
    return pre, PRE_TOKENIZERS[pre]
