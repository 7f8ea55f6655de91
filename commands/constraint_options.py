"""Which tokens may be chosen at all: the end of the text, a grammar, a JSON schema."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands.sampling_options import SamplingOptions

if TYPE_CHECKING:
    from pyllama.model import Model
    from pyllama.sampling import Sampler

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConstraintOptions:
    """What the text must be like."""

    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Never choose a token that ends the text.")
    ] = False

    def sampler(self, model: Model, sampling: SamplingOptions, *, escape: bool) -> Sampler:
        """The sampler of a text; what it is made of is logged."""
        from pyllama.sampling import Sampler, SamplingParams, suppressed_tokens

        given = sampling.params(escape=escape)
        params = SamplingParams.for_model(model.path, model.metadata, given)
        tokenizer = model.tokenizer
        banned = suppressed_tokens(model.path, model.metadata, model.n_vocab)
        if self.ignore_eos:
            banned |= tokenizer.end_of_generation
        sampler = Sampler.from_params(params, tokenizer=tokenizer, banned=banned)
        log.info("sampler seed: %d", sampler.seed)
        log.info("sampler params: %s", params)
        log.info("sampler chain: %s", sampler)
        return sampler
