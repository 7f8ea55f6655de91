"""``pyllama run``: continue a prompt, or answer a message, once."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING

from pyllama.commands import foreign, output
from pyllama.commands.constraint_options import ConstraintOptions
from pyllama.commands.groups import grouped
from pyllama.commands.log_options import LogOptions
from pyllama.commands.machine_options import MachineOptions
from pyllama.commands.model_options import ModelOptions, OverrideOptions
from pyllama.commands.perf import Loading, perf_block
from pyllama.commands.prompt_options import ChatOptions, PromptOptions
from pyllama.commands.sampling_options import SamplingOptions
from pyllama.commands.text_options import CacheOptions, LimitOptions, ResultOptions
from pyllama.errors import CapacityError, PromptError

if TYPE_CHECKING:
    from pyllama.commands.prompt import Prompt
    from pyllama.commands.results import Writer
    from pyllama.generation import Generation, Limits
    from pyllama.sampling import Sampler
    from pyllama.session import Session
    from pyllama.tokenizers import Tokenizer

log = logging.getLogger(__name__)


@grouped(foreign.RUN)
def run(
    source: ModelOptions,
    given: PromptOptions,
    chat: ChatOptions,
    limit: LimitOptions,
    sampling: SamplingOptions,
    constraints: ConstraintOptions,
    result: ResultOptions,
    machine: MachineOptions,
    overrides: OverrideOptions,
    cache: CacheOptions,
    logs: LogOptions,
) -> None:
    """Continue a prompt: write it and the text that the model adds to stdout.

    With -cnv or -st the prompt is a message, and what is written is the answer to it.
    """
    del logs  # started already
    if source.cache_list:
        source.list_cached()
        return
    if machine.list_devices:
        machine.write_devices()
        return
    for group in (chat, constraints, limit, result, cache, machine):
        group.check()
    sampling.check(escape=given.escape)
    prompt = given.read()
    path = source.find()
    start = perf_counter()
    model = overrides.load(path, machine.isa)
    session = machine.open(model)
    tokenizer = model.tokenizer  # made here: its tables are part of the loading
    loading = Loading.begun(start)
    if chat.is_used:
        prompt = chat.render(model, prompt, escape=given.escape)
    tokens = _encode(tokenizer, prompt, verbose=given.verbose_prompt)
    sampler = constraints.sampler(model, sampling, escape=given.escape)
    work = _Work(session, tokens, cache)
    limits = limit.limits(tokenizer, tokens, escape=given.escape)
    generation = work.start(prompt, sampler, limits, result)
    writer = result.writer(
        prompt.text if given.shows(by_default=not chat.is_used) else "",
        {
            "model": str(path),
            "prompt": prompt.text,
            "prompt_tokens": tokens,
            "seed": sampler.seed,
        },
        tokenizer,
        loading,
    )
    try:
        work.write(generation, writer)
    finally:
        if result.perf:
            output.note(perf_block(generation.timings, loading.seconds, loading.elapsed()))


def _encode(tokenizer: Tokenizer, prompt: Prompt, *, verbose: bool) -> list[int]:
    tokens = tokenizer.encode(prompt.text, add_special=True, parse_special=True)
    if tokenizer.doubles_bos(tokens):
        log.warning("%s begins with a BOS token, and one was added: there are two", prompt.source)
    if verbose:
        from pyllama.commands.results import listing

        output.note(listing(tokenizer, tokens))
    return tokens


class _Work:
    """A session that continues tokens, and the file that keeps what it has evaluated."""

    def __init__(self, session: Session, tokens: list[int], options: CacheOptions) -> None:
        self._session, self._tokens, self._options = session, tokens, options
        self._cache = options.open()
        self._cached = self._cache.restore(session, tokens) if self._cache else 0

    def start(
        self, prompt: Prompt, sampler: Sampler, limits: Limits, result: ResultOptions
    ) -> Generation:
        """Begin; a prompt that cannot be used is named by its source."""
        from pyllama.generation import generate

        log.info(
            "generate: n_ctx = %d, n_prompt = %d, n_cached = %d, n_predict = %d, n_keep = %d",
            self._session.context,
            len(self._tokens),
            self._cached,
            limits.max_tokens,
            limits.keep,
        )
        try:
            return generate(
                self._session,
                self._tokens,
                sampler,
                limits=limits,
                cached=self._cached,
                logprobs=result.logprobs,
                special=result.special,
            )
        except (CapacityError, PromptError) as error:
            raise type(error)(f"{prompt.source}: {error}") from error

    def write(self, generation: Generation, writer: Writer) -> None:
        """Write the result as it is made, and the file."""
        from pyllama.generation import Finish, FinishReason, Prefilled
        from pyllama.interrupt import interruptible

        try:
            with interruptible(self._session.abort):
                writer.begin()
                for event in generation:
                    writer.add(event)
                    if isinstance(event, Prefilled) and self._cached < len(self._tokens) - 1:
                        self._save(self._tokens)
            if self._options.prompt_cache_all:
                self._save(generation.tokens)
        finally:
            writer.end()
        if isinstance(event, Finish) and event.reason is FinishReason.CONTEXT:
            log.warning("the context of %d tokens is full (-c)", self._session.context)

    def _save(self, tokens: list[int]) -> None:
        if self._cache is not None and not self._options.prompt_cache_ro:
            self._cache.save(self._session, tokens)
