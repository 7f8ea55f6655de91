"""How the next token is chosen."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options

if TYPE_CHECKING:
    from pyllama.model import Model
    from pyllama.sampling import Sampler

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SamplingOptions:
    """Fields are those of SamplingParams; None where the model's file may say something."""

    seed: options.Seed = -1
    temperature: options.Temperature = None
    top_k: options.TopK = None
    top_p: options.TopP = None
    min_p: options.MinP = None
    repeat_penalty: options.RepeatPenalty = None
    repeat_last_n: options.RepeatLastN = None
    presence_penalty: options.PresencePenalty = 0.0
    frequency_penalty: options.FrequencyPenalty = 0.0


@dataclass(frozen=True)
class ConstraintOptions:
    """Which tokens may be chosen at all."""

    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Never choose a token that ends the text.")
    ] = False


def make_sampler(
    model: Model, sampling: SamplingOptions, constraints: ConstraintOptions
) -> Sampler:
    """The sampler for a text; what it is made of is logged."""
    from pyllama.sampling import Sampler, SamplingParams

    params = SamplingParams.for_model(model.path, model.metadata, asdict(sampling))
    banned = model.tokenizer.end_of_generation if constraints.ignore_eos else ()
    sampler = Sampler.from_params(params, banned=banned)
    log.info("sampler seed: %d", sampler.seed)
    log.info("sampler params: %s", params)
    log.info("sampler chain: %s", sampler)
    return sampler
