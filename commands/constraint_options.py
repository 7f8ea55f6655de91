"""Which tokens may be chosen at all: the end of the text, a grammar, a JSON schema."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands.prompt import argument_text, decode, read_file
from pyllama.commands.sampling_options import SamplingOptions
from pyllama.commands.words import together
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.grammar import Grammar
    from pyllama.model import Model
    from pyllama.sampling import Sampler
    from pyllama.tokenizers import Tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConstraintOptions:
    """What the text must be like."""

    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Never choose a token that ends the text.")
    ] = False

    grammar: Annotated[
        str | None,
        typer.Option(
            "--grammar",
            metavar="GBNF",
            help="Grammar that the text must follow, in llama.cpp's format.",
            show_default=False,
        ),
    ] = None
    grammar_file: Annotated[
        Path | None,
        typer.Option(
            "--grammar-file", metavar="FILE", help="File with the grammar.", show_default=False
        ),
    ] = None
    json_schema: Annotated[
        str | None,
        typer.Option(
            "-j",
            "--json-schema",
            metavar="JSON",
            help="JSON schema that the text must satisfy; {} for any JSON.",
            show_default=False,
        ),
    ] = None
    json_schema_file: Annotated[
        Path | None,
        typer.Option(
            "-jf",
            "--json-schema-file",
            metavar="FILE",
            help="File with the schema.",
            show_default=False,
        ),
    ] = None

    def check(self) -> None:
        """Raises UsageError, naming them, where several say what the text must be like."""
        named = {
            "--grammar": self.grammar,
            "--grammar-file": self.grammar_file,
            "--json-schema": self.json_schema,
            "--json-schema-file": self.json_schema_file,
        }
        given = [name for name, value in named.items() if value is not None]
        if len(given) > 1:
            raise UsageError(f"{together(given)} constrain the text; leave one of them")

    def sampler(self, model: Model, sampling: SamplingOptions, *, escape: bool) -> Sampler:
        """The sampler of a text; what it is made of is logged."""
        from pyllama.sampling import Sampler, SamplingParams, suppressed_tokens

        given = sampling.params(escape=escape)
        params = SamplingParams.for_model(model.path, model.metadata, given)
        tokenizer = model.tokenizer
        banned = suppressed_tokens(model.path, model.metadata, model.n_vocab)
        if self.ignore_eos:
            banned |= tokenizer.end_of_generation
        grammar = self._grammar(tokenizer)
        sampler = Sampler.from_params(params, tokenizer, grammar, banned, model.library)
        log.info("sampler seed: %d", sampler.seed)
        log.info("sampler params: %s", params)
        log.info("sampler chain: %s", sampler)
        return sampler

    def _grammar(self, tokenizer: Tokenizer) -> Grammar | None:
        """What the text must follow; GrammarError, with line and column, where it is malformed."""
        text = _text(self.grammar, "--grammar", self.grammar_file)
        schema = _text(self.json_schema, "--json-schema", self.json_schema_file)
        if text is None and schema is None:
            return None
        from pyllama.grammar import Grammar

        if text is not None:
            return Grammar.parse_gbnf(text[0], tokenizer, source=text[1])
        assert schema is not None
        return Grammar.from_json_schema(schema[0], tokenizer, source=schema[1])


def _text(value: str | None, option: str, file: Path | None) -> tuple[str, str] | None:
    """What was given, and its name."""
    if value is not None:
        return argument_text(value, option, escape=False), option
    if file is None:
        return None
    data, source = read_file(file)
    return decode(data, source), source
