"""``pyllama run``: continue a prompt, once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options, output
from pyllama.commands.loading import load_model, open_session
from pyllama.commands.prompt import Prompt, read_prompt
from pyllama.errors import CapacityError, PromptError

if TYPE_CHECKING:
    from pyllama.generate import Generation
    from pyllama.model import Model
    from pyllama.sampling import Sampler
    from pyllama.session import Session

log = logging.getLogger(__name__)

Predict = Annotated[
    int,
    typer.Option(
        "-n",
        "--predict",
        "--n-predict",
        metavar="N",
        min=-2,
        help="Tokens to generate at most; -1 until the text ends or the context is full.",
    ),
]
DisplayPrompt = Annotated[
    bool,
    typer.Option("--display-prompt/--no-display-prompt", help="Write the prompt before the text."),
]
IgnoreEos = Annotated[
    bool, typer.Option("--ignore-eos", help="Never choose a token that ends the text.")
]


def run(
    model: options.Model = None,
    prompt: options.Prompt = None,
    file: options.PromptFile = None,
    predict: Predict = -1,
    ctx_size: options.Context = None,
    threads: options.Threads = -1,
    batch_size: options.Batch = 2048,
    ubatch_size: options.Ubatch = 512,
    seed: options.Seed = -1,
    temperature: options.Temperature = None,
    top_k: options.TopK = None,
    top_p: options.TopP = None,
    min_p: options.MinP = None,
    repeat_penalty: options.RepeatPenalty = None,
    repeat_last_n: options.RepeatLastN = None,
    presence_penalty: options.PresencePenalty = 0.0,
    frequency_penalty: options.FrequencyPenalty = 0.0,
    ignore_eos: IgnoreEos = False,
    isa: options.Isa = None,
    display_prompt: DisplayPrompt = True,
    escape: options.Escape = True,
    perf: options.Perf = True,
    verbose: options.Verbose = False,
) -> None:
    """Continue a prompt: write it and the text that the model adds to stdout."""
    output.start_log(verbose=verbose)
    text = read_prompt(prompt, file, escape=escape)
    start = perf_counter()
    loaded = load_model(model, isa)
    session = open_session(
        loaded, context=ctx_size, batch=batch_size, ubatch=ubatch_size, threads=threads
    )
    load = perf_counter() - start
    given = {
        "seed": seed,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repeat_penalty": repeat_penalty,
        "repeat_last_n": repeat_last_n,
        "presence_penalty": presence_penalty,
        "frequency_penalty": frequency_penalty,
    }
    sampler = _make_sampler(loaded, given, ignore_eos=ignore_eos)
    generation = _start(session, text, sampler, predict)
    try:
        _write_text(generation, session, text.text if display_prompt else "")
    finally:
        if perf:
            from pyllama.commands.perf import perf_block

            output.note(perf_block(generation.timings, load))


def _make_sampler(model: Model, given: Mapping[str, float | None], *, ignore_eos: bool) -> Sampler:
    from pyllama.sampling import Sampler, SamplingParams

    params = SamplingParams.for_model(model.path, model.metadata, given)
    sampler = Sampler.from_params(params, model.tokenizer.end_of_generation if ignore_eos else ())
    log.info("sampler seed: %d", sampler.seed)
    log.info("sampler params: %s", params)
    log.info("sampler chain: %s", sampler)
    return sampler


def _start(session: Session, prompt: Prompt, sampler: Sampler, predict: int) -> Generation:
    """Begin the generation; a prompt that cannot be used is named by its source."""
    from pyllama.generate import generate

    tokenizer = session.model.tokenizer
    tokens = tokenizer.encode(prompt.text, add_special=True, parse_special=True)
    if tokenizer.doubles_bos(tokens):
        log.warning("%s begins with a BOS token, and one was added: there are two", prompt.source)
    log.info(
        "generate: n_ctx = %d, n_prompt = %d, n_predict = %d",
        session.context,
        len(tokens),
        predict,
    )
    try:
        return generate(session, tokens, sampler, predict)
    except (CapacityError, PromptError) as error:
        raise type(error)(f"{prompt.source}: {error}") from error


def _write_text(generation: Generation, session: Session, echo: str) -> None:
    """Write the text as it is made, and always one newline after it."""
    from pyllama.generate import Finish, FinishReason
    from pyllama.interrupt import interruptible

    reason = None
    try:
        with interruptible(session.abort):
            output.write(echo)
            for event in generation:
                output.write(event.text)
                reason = event.reason if isinstance(event, Finish) else None
    finally:
        output.write("\n")
    if reason is FinishReason.CONTEXT:
        log.warning("the context of %d tokens is full (-c)", session.context)
