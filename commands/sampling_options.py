"""How the next token is chosen: the numbers of the sampling chain, and its order.

Fields are named as those of SamplingParams, which checks their ranges. None stands for what the
model's file says, or for the default.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from pyllama.commands.prompt import argument_text
from pyllama.errors import UsageError

log = logging.getLogger(__name__)


def _number(*names: str, help: str, env: str | None = None, model_or: str | None = None) -> Any:
    """An option with a number. model_or: the default where the model's file has no other one."""
    shown = f"{model_or}, or what the model's file says" if model_or else True
    return typer.Option(*names, metavar="N", envvar=env, help=help, show_default=shown)


def _texts(*names: str, metavar: str, help: str, default: str | bool = False) -> Any:
    """An option with a text, or with several."""
    return typer.Option(*names, metavar=metavar, help=help, show_default=default)


@dataclass(frozen=True)
class SamplingOptions:
    """The chain."""

    seed: Annotated[
        int, _number("-s", "--seed", help="Seed of the random choices; -1 for another each time.")
    ] = -1
    samplers: Annotated[
        str | None,
        _texts(
            "--samplers",
            metavar="NAMES",
            help="The samplers in their order, separated by semicolons.",
            default="penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature",
        ),
    ] = None
    sampler_seq: Annotated[
        str | None,
        _texts(
            *("--sampler-seq", "--sampling-seq"),
            metavar="LETTERS",
            help="The same by letters.",
            default="edskypmxt",
        ),
    ] = None
    logit_bias: Annotated[
        list[str] | None,
        _texts(
            *("-l", "--logit-bias"),
            metavar="TOKEN(+|-)BIAS",
            help="Add to the logit of a token id: 15043+1, 15043-inf. Repeatable, or by commas.",
        ),
    ] = None
    dry_sequence_breaker: Annotated[
        list[str] | None,
        _texts(
            "--dry-sequence-breaker",
            metavar="TEXT",
            help="DRY: a text that no repetition reaches over; none for no such. Repeatable.",
            default=r"\n : \" *",
        ),
    ] = None
    temperature: Annotated[
        float | None,
        _number(
            "--temp",
            "--temperature",
            env="LLAMA_ARG_TEMPERATURE",
            help="Temperature; 0 always takes the likeliest token.",
            model_or="0.8",
        ),
    ] = None
    top_k: Annotated[
        int | None,
        _number(
            "--top-k",
            help="Consider the N likeliest tokens; 0 for all.",
            model_or="40",
            env="LLAMA_ARG_TOP_K",
        ),
    ] = None
    top_p: Annotated[
        float | None,
        _number(
            "--top-p",
            env="LLAMA_ARG_TOP_P",
            help="Consider the likeliest tokens that together have this probability; 1 for all.",
            model_or="0.95",
        ),
    ] = None
    min_p: Annotated[
        float | None,
        _number(
            "--min-p",
            env="LLAMA_ARG_MIN_P",
            help="Consider tokens at least N times as likely as the likeliest; 0 for all.",
            model_or="0.05",
        ),
    ] = None
    xtc_probability: Annotated[
        float | None,
        _number(
            "--xtc-probability",
            help="How often the likeliest of several good tokens are left out; 0 is off.",
            model_or="0",
        ),
    ] = None
    xtc_threshold: Annotated[
        float | None,
        _number(
            "--xtc-threshold",
            help="Probability that makes a token a good one; above 0.5 turns XTC off.",
            model_or="0.1",
        ),
    ] = None
    repeat_penalty: Annotated[
        float | None,
        _number(
            "--repeat-penalty",
            env="LLAMA_ARG_REPEAT_PENALTY",
            help="Makes tokens of the recent text less likely; 1 is off.",
            model_or="1",
        ),
    ] = None
    repeat_last_n: Annotated[
        int | None,
        _number(
            "--repeat-last-n",
            help="How many tokens are the recent text; 0 turns all penalties off.",
            model_or="64",
        ),
    ] = None
    mirostat: Annotated[
        int | None,
        _number(
            "--mirostat",
            help="Mirostat 1 or 2 instead of the other samplers; 0 is off.",
            model_or="0",
        ),
    ] = None
    mirostat_lr: Annotated[
        float | None,
        _number("--mirostat-lr", help="Mirostat: how fast it learns.", model_or="0.1"),
    ] = None
    mirostat_ent: Annotated[
        float | None,
        _number(
            "--mirostat-ent", help="Mirostat: the surprise in bits that it aims at.", model_or="5"
        ),
    ] = None
    presence_penalty: Annotated[
        float,
        _number(
            "--presence-penalty",
            env="LLAMA_ARG_PRESENCE_PENALTY",
            help="Subtracted from the logit of tokens of the recent text.",
        ),
    ] = 0.0
    frequency_penalty: Annotated[
        float,
        _number(
            "--frequency-penalty",
            env="LLAMA_ARG_FREQUENCY_PENALTY",
            help="Subtracted for each time that a token occurs in the recent text.",
        ),
    ] = 0.0
    typical_p: Annotated[
        float,
        _number(
            "--typical",
            "--typical-p",
            help="Consider the most typical tokens up to this probability; 1 for all.",
        ),
    ] = 1.0
    top_n_sigma: Annotated[
        float,
        _number(
            "--top-nsigma",
            "--top-n-sigma",
            help="Consider logits at most N standard deviations below the best; -1 for all.",
        ),
    ] = -1.0
    dry_multiplier: Annotated[
        float,
        _number("--dry-multiplier", help="DRY: strength of the penalty on repetitions; 0 is off."),
    ] = 0.0
    dry_base: Annotated[
        float,
        _number("--dry-base", help="DRY: growth of the penalty with each repeated token."),
    ] = 1.75
    dry_allowed_length: Annotated[
        int,
        _number("--dry-allowed-length", help="DRY: length of a repetition that is still free."),
    ] = 2
    dry_penalty_last_n: Annotated[
        int,
        _number("--dry-penalty-last-n", help="DRY: how many recent tokens are searched; 0 is off."),
    ] = 64
    dynatemp_range: Annotated[
        float,
        _number(
            "--dynatemp-range", help="The temperature varies by N with the uncertainty; 0 is off."
        ),
    ] = 0.0
    dynatemp_exponent: Annotated[
        float,
        _number("--dynatemp-exp", help="Exponent of the uncertainty in that."),
    ] = 1.0
    adaptive_target: Annotated[
        float,
        _number("--adaptive-target", help="Prefer tokens near this probability; negative is off."),
    ] = -1.0
    adaptive_decay: Annotated[
        float,
        _number("--adaptive-decay", help="How long that remembers."),
    ] = 0.9

    def params(self, *, escape: bool) -> Mapping[str, object]:
        """The fields of SamplingParams that they set, None for those that the model may set.

        Raises UsageError for what cannot be read, and for an order that is given twice.
        """
        from pyllama.sampling import parse_logit_bias, parse_sampler_sequence, parse_samplers

        if self.samplers is not None and self.sampler_seq is not None:
            raise UsageError("--samplers and --sampler-seq both give the order; leave one out")
        given = asdict(self)
        letters, breakers = given.pop("sampler_seq"), given.pop("dry_sequence_breaker")
        if self.samplers is not None:
            given["samplers"] = parse_samplers(self.samplers)
        elif letters is not None:
            given["samplers"] = parse_sampler_sequence(letters)
        biases = [bias for text in self.logit_bias or () for bias in text.split(",")]
        given["logit_bias"] = tuple(parse_logit_bias(bias) for bias in biases)
        if breakers is not None:
            option = "--dry-sequence-breaker"
            texts = (argument_text(text, option, escape=escape) for text in breakers)
            given["dry_sequence_breakers"] = tuple(text for text in texts if text != "none")
        return given

    def check(self, *, escape: bool) -> None:
        """Raises UsageError for values out of range, before a model is loaded.

        Warns of what is given for a sampler that the order leaves out.
        """
        from pyllama.sampling import SamplingParams

        given = self.params(escape=escape).items()
        params = SamplingParams(**{name: x for name, x in given if x is not None})  # type: ignore[arg-type]
        if idle := params.left_out:
            log.warning("the samplers' order leaves out the one of %s: no effect", ", ".join(idle))
