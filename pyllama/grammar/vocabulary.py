"""The vocabulary of a model as llguidance wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from llguidance import LLTokenizer
from llguidance._tokenizer import TokenizerWrapper

if TYPE_CHECKING:
    from pyllama.tokenizers.tokenizer import Tokenizer

_MADE: WeakKeyDictionary[Tokenizer, LLTokenizer] = WeakKeyDictionary()


class _Tokens:
    """The bytes of each token, and one token more, after them, that ends the text.

    What ends the text is decided outside (see ``Grammar``): a model may have several such tokens,
    or none. Control tokens have no bytes, so no grammar lets them through: they would be text that
    the reader of the output never sees.
    """

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer) -> None:
        ends = tokenizer.end_of_generation
        self.tokens = [
            b"" if token in ends else tokenizer.piece(token) for token in range(tokenizer.n_vocab)
        ]
        self.eos_token_id = len(self.tokens)
        self.tokens.append(b"")
        self.special_token_ids = [self.eos_token_id]

    def __call__(self, _text: bytes | str) -> list[int]:
        """No tokens; asked for only where texts are forced, which grammars here never do."""
        return []


def token_trie(tokenizer: Tokenizer) -> LLTokenizer:
    """The vocabulary, made once for each tokenizer (0.5 s for 128k tokens).

    Slices, which llguidance can prepare for, would double that time and save 1 ms now and then.
    """
    made = _MADE.get(tokenizer)
    if made is None:
        wrapper = TokenizerWrapper(_Tokens(tokenizer))
        made = _MADE[tokenizer] = LLTokenizer(wrapper, n_vocab=tokenizer.n_vocab + 1, slices=[])
    return made
