"""A grammar at work: which tokens continue a text that follows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from llguidance import LLMatcher, LLParserLimits
from numpy.typing import NDArray

from pyllama.errors import GrammarError
from pyllama.grammar.gbnf import parse_gbnf
from pyllama.grammar.json_schema import schema_to_lark
from pyllama.grammar.lark import to_lark
from pyllama.grammar.vocabulary import token_trie

if TYPE_CHECKING:
    from pyllama.tokenizers.tokenizer import Tokenizer

_LIMITS = LLParserLimits(step_max_items=1_000_000, max_items_in_row=20_000, verbose_errors=False)
"""Every character is an item to the parser, so a step takes more of them than by default."""


class Grammar:
    """A grammar, and how far one text has come in it; ``source``: its name in errors.

    A token is allowed if the text can still become one that matches. The tokens that end the
    generation are allowed exactly where the text matches. Control tokens never are.
    """

    def __init__(self, lark: str, tokenizer: Tokenizer, source: str) -> None:
        self.source = source
        self._n_vocab = tokenizer.n_vocab
        self._ends = tokenizer.end_of_generation
        self._begun = False
        self._finished = False
        self._matcher = LLMatcher(
            token_trie(tokenizer),
            LLMatcher.grammar_from_lark(lark),
            log_level=0,
            limits=_LIMITS,
        )
        if self._matcher.is_error():
            raise GrammarError(source, self._problem())

    @classmethod
    def parse_gbnf(cls, text: str, tokenizer: Tokenizer, source: str = "grammar") -> Self:
        """A grammar in llama.cpp's format, see ``pyllama.grammar.gbnf``.

        Raises GrammarError for text that is none, with line and column.
        """
        return cls(to_lark(parse_gbnf(text, source)), tokenizer, source)

    @classmethod
    def from_json_schema(
        cls,
        schema: str | Mapping[str, Any],
        tokenizer: Tokenizer,
        source: str = "JSON schema",
    ) -> Self:
        """The JSON texts that satisfy a schema, given as text or parsed.

        Properties come in the order of the schema, and no others unless it allows them. Raises
        GrammarError for text that is no JSON, with line and column; for no schema; and for one
        that says what grammars cannot.
        """
        return cls(schema_to_lark(schema, source), tokenizer, source)

    @property
    def may_end(self) -> bool:
        """Whether the text matches as it is."""
        return not self._matcher.is_error() and self._matcher.is_accepting()

    @property
    def is_finished(self) -> bool:
        """Whether the text matches and nothing can follow it, or its end was accepted."""
        if self._finished or not self.may_end:
            return self._finished
        # The matcher knows this after each token; only before the first one it has to be asked.
        return self._matcher.is_stopped() or not (self._begun or self._continuations().any())

    def allows(self, token: int) -> bool:
        """Whether ``token`` may come next."""
        if token in self._ends:
            return self.may_end
        if self._finished or not 0 <= token < self._n_vocab or self._matcher.is_stopped():
            return False
        return bool(self._matcher.validate_tokens([token]) == 1)

    def mask(self) -> NDArray[np.bool_]:
        """Which tokens may come next: (n_vocab,).

        Raises GrammarError where there are none.
        """
        mask = self._continuations()
        mask[list(self._ends)] = self.may_end
        if not mask.any():
            raise GrammarError(self.source, self._dead_end())
        return mask

    def _continuations(self) -> NDArray[np.bool_]:
        """Which tokens continue the text."""
        if self._finished or self._matcher.is_stopped():
            return np.zeros(self._n_vocab, np.bool_)
        packed = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(packed, count=self._n_vocab, bitorder="little").view(np.bool_)

    def accept(self, token: int) -> None:
        """Move on by one token; raises GrammarError where it is not allowed."""
        if not self.allows(token):
            raise GrammarError(self.source, f"token {token} is not allowed here")
        self._begun = True
        if token in self._ends:
            self._finished = True
        elif not self._matcher.consume_token(token):
            raise GrammarError(self.source, self._problem())

    def reset(self) -> None:
        """Back to the beginning of the text."""
        self._begun = False
        self._finished = False
        self._matcher.reset()

    def _dead_end(self) -> str:
        if self.may_end:
            return "the text is complete, but the model has no token that ends it"
        if "TooComplex" in self._matcher.stop_reason():
            return f"too many ways to continue the text; simplify it ({self._problem()})"
        return "no token of the model can continue the text"

    def _problem(self) -> str:
        """llguidance's message in one line, without places in a text that nobody wrote."""
        lines = [line.strip() for line in self._matcher.get_error().splitlines()] or [""]
        if lines[0].startswith("panic"):  # llguidance counts symbols in 16 bits
            return "the grammar is too large"
        problem = re.sub(r"^at \d+\(\d+\): (failed to compile JSON schema: )?", "", lines[0])
        return f"{problem} {lines[-1]}" if problem.endswith(":") else problem
