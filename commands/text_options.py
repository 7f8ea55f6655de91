"""When the text ends, how it is written, and what is kept of the work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyllama.commands import options
from pyllama.commands.prompt import argument_text
from pyllama.errors import FileError, UsageError

if TYPE_CHECKING:
    from pyllama.commands.perf import Loading
    from pyllama.commands.results import Writer
    from pyllama.generation import Limits
    from pyllama.prompt_cache import PromptCache
    from pyllama.tokenizers import Tokenizer

log = logging.getLogger(__name__)

UNTIL_FULL = -2


class Format(StrEnum):
    """How the result is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True)
class LimitOptions:
    """When the text ends."""

    predict: Annotated[
        int,
        typer.Option(
            "-n",
            "--predict",
            "--n-predict",
            metavar="N",
            min=-2,
            envvar="LLAMA_ARG_N_PREDICT",
            help="Tokens to generate at most; -1 until the text ends, -2 or the context is full.",
        ),
    ] = -1
    reverse_prompt: Annotated[
        list[str] | None,
        typer.Option(
            "-r",
            "--reverse-prompt",
            metavar="TEXT",
            help="Stop before this text. Repeatable.",
            show_default=False,
        ),
    ] = None
    context_shift: Annotated[
        bool,
        typer.Option(
            "--context-shift/--no-context-shift",
            envvar="LLAMA_ARG_CONTEXT_SHIFT",
            help="When the context is full, forget half of it and read the rest again.",
        ),
    ] = False
    keep: Annotated[
        int,
        typer.Option(
            "--keep",
            metavar="N",
            min=-1,
            help="Tokens of the prompt that --context-shift does not forget; -1 for all.",
        ),
    ] = 0

    def check(self) -> None:
        """Warn of what has no effect."""
        if self.keep and not self.context_shift:
            log.warning("--keep has no effect without --context-shift")

    def limits(self, tokenizer: Tokenizer, prompt: Sequence[int], *, escape: bool) -> Limits:
        """What they mean for a prompt."""
        from pyllama.generation import Limits

        given = self.reverse_prompt or ()
        keep = self.keep + tokenizer.add_bos
        return Limits(
            max_tokens=self.predict,
            stop_strings=[argument_text(text, "-r", escape=escape) for text in given],
            shifts=self.context_shift and self.predict != UNTIL_FULL,
            keep=keep if self.keep >= 0 and keep < len(prompt) else len(prompt),
        )


@dataclass(frozen=True)
class ResultOptions:
    """How the result is written."""

    special: Annotated[
        bool, typer.Option("-sp", "--special", help="Show control tokens in the text.")
    ] = False
    output_format: Annotated[
        Format,
        typer.Option(
            "--output-format", metavar="text|json", help="The text, or one JSON object about it."
        ),
    ] = Format.TEXT
    logprobs: Annotated[
        int | None,
        typer.Option(
            "--logprobs",
            metavar="N",
            min=0,
            help="In JSON: log-probabilities of each token and of the N likeliest in its place.",
            show_default=False,
        ),
    ] = None
    perf: options.Perf = True

    def check(self) -> None:
        """Raises UsageError for what only JSON can show."""
        if self.logprobs is not None and self.output_format is not Format.JSON:
            raise UsageError("--logprobs needs --output-format json, where they can be shown")

    def writer(
        self, echo: str, about: dict[str, Any], tokenizer: Tokenizer, loading: Loading
    ) -> Writer:
        """Where the events of the generation go.

        echo: comes before the text; about: comes first in JSON.
        """
        from pyllama.commands.results import JsonWriter, TextWriter

        if self.output_format is Format.TEXT:
            return TextWriter(echo)
        return JsonWriter(tokenizer, about, loading)


@dataclass(frozen=True)
class CacheOptions:
    """The file that keeps evaluated prompts."""

    prompt_cache: Annotated[
        Path | None,
        typer.Option(
            "--prompt-cache",
            metavar="FILE",
            help="Keep the evaluated prompt in a file, and begin with what it has of the prompt.",
            show_default=False,
        ),
    ] = None
    prompt_cache_all: Annotated[
        bool, typer.Option("--prompt-cache-all", help="Keep the generated text, too.")
    ] = False
    prompt_cache_ro: Annotated[
        bool, typer.Option("--prompt-cache-ro", help="Read the file, but do not write it.")
    ] = False

    def check(self) -> None:
        """Raises UsageError, naming both, where options contradict each other; FileError for a file
        that cannot be.
        """
        if self.prompt_cache_all and self.prompt_cache_ro:
            raise UsageError("--prompt-cache-all and --prompt-cache-ro contradict; leave one out")
        for name, given in (("all", self.prompt_cache_all), ("ro", self.prompt_cache_ro)):
            if given and self.prompt_cache is None:
                raise UsageError(f"--prompt-cache-{name} needs --prompt-cache FILE")
        file = self.prompt_cache
        if file is not None and not self.prompt_cache_ro and not file.parent.is_dir():
            remedy = "make it, or name another file"
            raise FileError(file, "the directory does not exist", remedy)

    def open(self) -> PromptCache | None:
        """The file, where there shall be one."""
        if self.prompt_cache is None:
            return None
        from pyllama.prompt_cache import PromptCache

        return PromptCache(self.prompt_cache)
