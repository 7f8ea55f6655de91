"""Options of llama.cpp that pyllama knows, but that do nothing here.

Some have no meaning on a CPU, or for weights that are read in place: scripts may go on giving them,
and a note on stderr says that they are without effect. The others ask for something that pyllama
does not do, and are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from pyllama.commands import output
from pyllama.commands.words import choose
from pyllama.errors import UsageError


@dataclass(frozen=True, slots=True)
class Foreign:
    """One option, and why it does nothing."""

    names: tuple[str, ...]
    why: str
    metavar: str | None = None
    """Of its value; None for a flag."""
    env: str | None = None
    is_refused: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """What its value may be; none where it may be anything."""
        return tuple(self.metavar.split("|")) if self.metavar and "|" in self.metavar else ()

    @property
    def key(self) -> str:
        """The name of the parameter."""
        return "foreign_" + self.names[-1].partition("/")[0].lstrip("-").replace("-", "_")

    @property
    def annotation(self) -> Any:
        """What Typer makes the option from."""
        kind = bool if self.metavar is None else str
        option = typer.Option(*self.names, metavar=self.metavar, envvar=self.env, hidden=True)
        return Annotated[kind | None, option]


def answer(options: Sequence[Foreign], given: Mapping[str, Any]) -> None:
    """Say about each of the options that was given what there is to say.

    Raises UsageError for one that is refused, and for a value that llama.cpp does not know either.
    """
    for option in options:
        value = given[option.key]
        if value is None or (option.is_refused and value is False):
            continue
        name = option.names[-1]
        if option.words:
            choose(value, name, option.words)
        if option.is_refused:
            raise UsageError(f"{name} is not supported: {option.why}")
        output.note(f"note: {name} has no effect: {option.why}")


_NO_GPU = "pyllama computes on the CPU"
_IN_PLACE = "weights are mapped and read in place"
_PAGES = "the operating system keeps the pages of the file that are in use"
_SYSTEM = "the operating system places threads and memory"
_ONE_TEXT = "there is one sequence"
_LOADING = "auto|none|mmap|mlock|mmap+mlock|dio"

_COMPUTING = (
    Foreign(("-ngl", "--gpu-layers", "--n-gpu-layers"), _NO_GPU, "N", "LLAMA_ARG_N_GPU_LAYERS"),
    Foreign(("-sm", "--split-mode"), _NO_GPU, "none|layer|row|tensor", "LLAMA_ARG_SPLIT_MODE"),
    Foreign(("-ts", "--tensor-split"), _NO_GPU, "SHARES", "LLAMA_ARG_TENSOR_SPLIT"),
    Foreign(("-mg", "--main-gpu"), _NO_GPU, "N", "LLAMA_ARG_MAIN_GPU"),
    Foreign(("-dev", "--device"), _NO_GPU, "NAMES", "LLAMA_ARG_DEVICE"),
    Foreign(("-ot", "--override-tensor"), _NO_GPU, "RULES", "LLAMA_ARG_OVERRIDE_TENSOR"),
    Foreign(("-cmoe", "--cpu-moe"), _NO_GPU, None, "LLAMA_ARG_CPU_MOE"),
    Foreign(("-ncmoe", "--n-cpu-moe"), _NO_GPU, "N", "LLAMA_ARG_N_CPU_MOE"),
    Foreign(("-ncffn", "--n-cpu-ffn"), _NO_GPU, "N", "LLAMA_ARG_N_CPU_FFN"),
    Foreign(("-kvo/-nkvo", "--kv-offload/--no-kv-offload"), _NO_GPU, None, "LLAMA_ARG_KV_OFFLOAD"),
    Foreign(("--op-offload/--no-op-offload",), _NO_GPU),
    Foreign(("-fit", "--fit"), _NO_GPU, "on|off", "LLAMA_ARG_FIT"),
    Foreign(("-fitt", "--fit-target"), _NO_GPU, "MIB", "LLAMA_ARG_FIT_TARGET"),
    Foreign(("-fitc", "--fit-ctx"), _NO_GPU, "N", "LLAMA_ARG_FIT_CTX"),
    Foreign(("--mlock",), _PAGES, None, "LLAMA_ARG_MLOCK"),
    Foreign(("--mmap/--no-mmap",), _IN_PLACE, None, "LLAMA_ARG_MMAP"),
    Foreign(("--direct-io/--no-direct-io",), _IN_PLACE, None, "LLAMA_ARG_DIO"),
    Foreign(("-lm", "--load-mode"), _IN_PLACE, _LOADING, "LLAMA_ARG_LOAD_MODE"),
    Foreign(("-lzm", "--lazy-mode"), _IN_PLACE, "on|off|auto", "LLAMA_ARG_LAZY_MODE"),
    Foreign(("--repack/-nr", "--repack/--no-repack"), _IN_PLACE, None, "LLAMA_ARG_REPACK"),
    Foreign(("--no-host",), _IN_PLACE, None, "LLAMA_ARG_NO_HOST"),
    Foreign(("--prio",), _SYSTEM, "N"),
    Foreign(("--poll",), _SYSTEM, "N"),
    Foreign(("--prio-batch",), _SYSTEM, "N"),
    Foreign(("--poll-batch",), _SYSTEM, "N"),
    Foreign(("-kvu/-no-kvu", "--kv-unified/--no-kv-unified"), _ONE_TEXT, None),
    Foreign(
        ("--swa-full",), "the cache always holds the whole context", None, "LLAMA_ARG_SWA_FULL"
    ),
    Foreign(
        ("-dt", "--defrag-thold"), "the cache does not fragment", "N", "LLAMA_ARG_DEFRAG_THOLD"
    ),
)
"""Where and how it is computed: options of every command that runs a model."""

_NO_EFFECT = (
    *_COMPUTING,
    Foreign(
        ("--jinja/--no-jinja",), "templates are always rendered by Jinja", None, "LLAMA_ARG_JINJA"
    ),
    Foreign(("-np", "--parallel"), _ONE_TEXT, "N", "LLAMA_ARG_N_PARALLEL"),
    Foreign(("--prefill-assistant/--no-prefill-assistant",), "the prompt is the user's", None),
    Foreign(("-bs", "--backend-sampling"), _NO_GPU, None, "LLAMA_ARG_BACKEND_SAMPLING"),
)

_ONE_SHOT = "pyllama run answers once and ends; pyllama chat is a conversation"
_AS_IT_IS = "what the model thinks is written as it comes"
_SPECULATIVE = "there is no speculative decoding"


def _refused(why: str, *names: str, metavar: str | None = None) -> Foreign:
    return Foreign(names, why, metavar, is_refused=True)


_NO_SENSES = "models get text alone"

_NO_EFFECT_IN_RUN = (
    Foreign(
        ("--skip-chat-parsing/--no-skip-chat-parsing",),
        *("the answer is written as the model writes it", None, "LLAMA_ARG_SKIP_CHAT_PARSING"),
    ),
    Foreign(
        ("--reasoning-preserve/--no-reasoning-preserve",),
        *("there is one turn", None, "LLAMA_ARG_REASONING_PRESERVE"),
    ),
    Foreign(("--simple-io",), "input and output are always simple", None),
    Foreign(("-co", "--color"), "the text is the same with and without a terminal", "on|off|auto"),
)

_REFUSED_IN_RUN = (
    _refused(_ONE_SHOT, "-i", "--interactive"),
    _refused(_ONE_SHOT, "-if", "--interactive-first"),
    _refused(_ONE_SHOT, "-mli", "--multiline-input"),
    _refused(_ONE_SHOT, "--in-prefix", metavar="TEXT"),
    _refused(_ONE_SHOT, "--in-suffix", metavar="TEXT"),
    _refused(_ONE_SHOT, "--in-prefix-bos"),
    _refused(_AS_IT_IS, "--reasoning-format", metavar="FORMAT"),
    _refused(_AS_IT_IS, "--reasoning-budget", metavar="N"),
    _refused(_AS_IT_IS, "--reasoning-budget-message", metavar="TEXT"),
    _refused("use --output-format json for the result", "--log-jsonl/--no-log-jsonl"),
    _refused(_NO_SENSES, "-mm", "--mmproj", metavar="FILE"),
    _refused(_NO_SENSES, "-mmu", "--mmproj-url", metavar="URL"),
    _refused("pyllama --install-completion lets the shell complete names", "--completion-bash"),
)

_NO_CONTROL_VECTORS = (
    _refused("there are no control vectors", "--control-vector", metavar="FILES"),
    _refused("there are no control vectors", "--control-vector-scaled", metavar="FILES"),
)

_REFUSED = (
    *_NO_CONTROL_VECTORS,
    _refused("use --rope-scaling yarn for a longer context", "-gan", "--grp-attn-n", metavar="N"),
    _refused("use --rope-scaling yarn for a longer context", "-gaw", "--grp-attn-w", metavar="N"),
    _refused("--perf shows the counts", "-ptc", "--print-token-count", metavar="N"),
    _refused("models come from -hf, -mu or -m", "-dr", "--docker-repo", metavar="NAME"),
    _refused("it computes on this machine alone", "--rpc", metavar="SERVERS"),
    _refused(_SPECULATIVE, "-md", "--model-draft", metavar="FILE"),
    _refused(_SPECULATIVE, "-hfd", "--hf-repo-draft", metavar="REPO"),
    _refused(_SPECULATIVE, "-ngld", "--gpu-layers-draft", "--n-gpu-layers-draft", metavar="N"),
    _refused(_SPECULATIVE, "-devd", "--device-draft", metavar="NAMES"),
    _refused(_SPECULATIVE, "--spec-type", metavar="TYPE"),
    _refused(
        *(_SPECULATIVE, "--spec-draft-type-k", "-ctkd", "--cache-type-k-draft"), metavar="TYPE"
    ),
    _refused(
        *(_SPECULATIVE, "--spec-draft-type-v", "-ctvd", "--cache-type-v-draft"), metavar="TYPE"
    ),
)

_TALKS = "a chat always is a conversation"
_BY_TOKENS = "thoughts are told from the answer by the model's own tokens"

_NO_EFFECT_IN_CHAT = (
    Foreign(("-cnv", "--conversation"), _TALKS),
    Foreign(("-i", "--interactive"), _TALKS),
    Foreign(("-if", "--interactive-first"), _TALKS),
    Foreign(("-mli", "--multiline-input"), "a \\ at the end of a line continues the message"),
    Foreign(("--perf/--no-perf",), "--show-timings and /stats show the speed", None),
    Foreign(("--skip-chat-parsing",), _BY_TOKENS, None),
    Foreign(("--reasoning-format",), _BY_TOKENS, "FORMAT"),
)
_REFUSED_IN_CHAT = (
    _refused("pyllama run continues a text", "-no-cnv", "--no-conversation"),
    _refused("the template writes what surrounds a message", "--in-prefix", metavar="TEXT"),
    _refused("the template writes what surrounds a message", "--in-suffix", metavar="TEXT"),
    _refused("the model thinks as long as it likes", "--reasoning-budget", metavar="N"),
    _refused("the model is computed here", "--server-base", metavar="URL"),
    _refused(_NO_SENSES, "-mm", "--mmproj", metavar="FILE"),
    _refused(_NO_SENSES, "--image", metavar="FILE"),
    _refused(_NO_SENSES, "--audio", metavar="FILE"),
)

RUN: tuple[Foreign, ...] = (*_NO_EFFECT, *_NO_EFFECT_IN_RUN, *_REFUSED_IN_RUN, *_REFUSED)
"""What ``pyllama run`` answers in this way."""

CHAT: tuple[Foreign, ...] = (*_NO_EFFECT, *_NO_EFFECT_IN_CHAT, *_REFUSED_IN_CHAT, *_REFUSED)
"""What ``pyllama chat`` answers in this way."""

PERPLEXITY: tuple[Foreign, ...] = (
    *_COMPUTING,
    Foreign(("-np", "--parallel"), "chunks that fit into -ub are evaluated side by side", "N"),
    *_NO_CONTROL_VECTORS,
)
"""What ``pyllama perplexity`` answers in this way."""
