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
    """Say about each of the options that was given what there is to say; UsageError to refuse."""
    for option in options:
        if given[option.key] is None:
            continue
        name = option.names[-1]
        if option.is_refused:
            raise UsageError(f"{name} is not supported: {option.why}")
        output.note(f"note: {name} has no effect: {option.why}")


_NO_GPU = "pyllama computes on the CPU"
_IN_PLACE = "weights are mapped and read in place"
_PAGES = "the operating system keeps the pages of the file that are in use"
_ONE_KERNEL = "attention has one implementation, which is the fast one"
_SYSTEM = "the operating system places threads and memory"

_NO_EFFECT = (
    Foreign(("-ngl", "--gpu-layers", "--n-gpu-layers"), _NO_GPU, "N", "LLAMA_ARG_N_GPU_LAYERS"),
    Foreign(("-sm", "--split-mode"), _NO_GPU, "MODE", "LLAMA_ARG_SPLIT_MODE"),
    Foreign(("-ts", "--tensor-split"), _NO_GPU, "SHARES", "LLAMA_ARG_TENSOR_SPLIT"),
    Foreign(("-mg", "--main-gpu"), _NO_GPU, "N", "LLAMA_ARG_MAIN_GPU"),
    Foreign(("-dev", "--device"), _NO_GPU, "NAMES", "LLAMA_ARG_DEVICE"),
    Foreign(("-ot", "--override-tensor"), _NO_GPU, "RULES", "LLAMA_ARG_OVERRIDE_TENSOR"),
    Foreign(("-cmoe", "--cpu-moe"), _NO_GPU, None, "LLAMA_ARG_CPU_MOE"),
    Foreign(("-ncmoe", "--n-cpu-moe"), _NO_GPU, "N", "LLAMA_ARG_N_CPU_MOE"),
    Foreign(("-kvo/-nkvo", "--kv-offload/--no-kv-offload"), _NO_GPU, None, "LLAMA_ARG_KV_OFFLOAD"),
    Foreign(("--op-offload/--no-op-offload",), _NO_GPU),
    Foreign(("-fit", "--fit"), _NO_GPU, "on|off", "LLAMA_ARG_FIT"),
    Foreign(("-fitt", "--fit-target"), _NO_GPU, "MIB", "LLAMA_ARG_FIT_TARGET"),
    Foreign(("-fitc", "--fit-ctx"), _NO_GPU, "N", "LLAMA_ARG_FIT_CTX"),
    Foreign(("-fa", "--flash-attn"), _ONE_KERNEL, "on|off|auto", "LLAMA_ARG_FLASH_ATTN"),
    Foreign(("--mlock",), _PAGES, None, "LLAMA_ARG_MLOCK"),
    Foreign(("--mmap/--no-mmap",), _IN_PLACE, None, "LLAMA_ARG_MMAP"),
    Foreign(("--direct-io/--no-direct-io",), _IN_PLACE, None, "LLAMA_ARG_DIO"),
    Foreign(("-lm", "--load-mode"), _IN_PLACE, "MODE", "LLAMA_ARG_LOAD_MODE"),
    Foreign(("-lzm", "--lazy-mode"), _IN_PLACE, "MODE"),
    Foreign(("--repack/-nr", "--repack/--no-repack"), _IN_PLACE, None, "LLAMA_ARG_REPACK"),
    Foreign(("--no-host",), _IN_PLACE, None),
    Foreign(("--numa",), _SYSTEM, "MODE", "LLAMA_ARG_NUMA"),
    Foreign(("-C", "--cpu-mask"), _SYSTEM, "MASK"),
    Foreign(("-Cr", "--cpu-range"), _SYSTEM, "RANGE"),
    Foreign(("--cpu-strict",), _SYSTEM, "0|1"),
    Foreign(("--prio",), _SYSTEM, "N"),
    Foreign(("--poll",), _SYSTEM, "N"),
    Foreign(("-Cb", "--cpu-mask-batch"), _SYSTEM, "MASK"),
    Foreign(("-Crb", "--cpu-range-batch"), _SYSTEM, "RANGE"),
    Foreign(("--cpu-strict-batch",), _SYSTEM, "0|1"),
    Foreign(("--prio-batch",), _SYSTEM, "N"),
    Foreign(("--poll-batch",), _SYSTEM, "N"),
    Foreign(("-kvu/-no-kvu", "--kv-unified/--no-kv-unified"), "there is one sequence", None),
    Foreign(("--swa-full",), "the cache always holds the whole context", None),
    Foreign(("-dt", "--defrag-thold"), "the cache does not fragment", "N"),
    Foreign(("--jinja/--no-jinja",), "templates are always rendered by Jinja", None),
    Foreign(("--skip-chat-parsing",), "the answer is written as the model writes it", None),
    Foreign(("--prefill-assistant/--no-prefill-assistant",), "the prompt is the user's", None),
    Foreign(("--simple-io",), "input and output are always simple", None),
    Foreign(("-co", "--color"), "the text is the same with and without a terminal", "on|off|auto"),
    Foreign(("-bs", "--backend-sampling"), _NO_GPU, None),
)

_ONE_SHOT = "pyllama run answers once and ends; give the text with -p, -f or standard input"
_AS_IT_IS = "what the model thinks is written as it comes"
_SPECULATIVE = "there is no speculative decoding"
_NO_ADAPTER = "merge it into the model first"


def _refused(why: str, *names: str, metavar: str | None = None) -> Foreign:
    return Foreign(names, why, metavar, is_refused=True)


_REFUSED = (
    _refused(_ONE_SHOT, "-i", "--interactive"),
    _refused(_ONE_SHOT, "-if", "--interactive-first"),
    _refused(_ONE_SHOT, "-mli", "--multiline-input"),
    _refused(_ONE_SHOT, "--in-prefix", metavar="TEXT"),
    _refused(_ONE_SHOT, "--in-suffix", metavar="TEXT"),
    _refused(_ONE_SHOT, "--in-prefix-bos"),
    _refused(_NO_ADAPTER, "--lora", metavar="FILES"),
    _refused(_NO_ADAPTER, "--lora-scaled", metavar="FILES"),
    _refused("there are no control vectors", "--control-vector", metavar="FILES"),
    _refused("there are no control vectors", "--control-vector-scaled", metavar="FILES"),
    _refused("use --rope-scaling yarn for a longer context", "-gan", "--grp-attn-n", metavar="N"),
    _refused("use --rope-scaling yarn for a longer context", "-gaw", "--grp-attn-w", metavar="N"),
    _refused("--perf shows the counts", "-ptc", "--print-token-count", metavar="N"),
    _refused("models come from -hf, -mu or -m", "-dr", "--docker-repo", metavar="NAME"),
    _refused("it computes on this machine alone", "--rpc", metavar="SERVERS"),
    _refused(_SPECULATIVE, "-md", "--model-draft", metavar="FILE"),
    _refused(_SPECULATIVE, "-hfd", "--hf-repo-draft", metavar="REPO"),
    _refused(_SPECULATIVE, "--spec-type", metavar="TYPE"),
    _refused(_AS_IT_IS, "--reasoning-format", metavar="FORMAT"),
    _refused(_AS_IT_IS, "--reasoning-budget", metavar="N"),
    _refused(_AS_IT_IS, "--reasoning-budget-message", metavar="TEXT"),
    _refused("use --output-format json for the result", "--log-jsonl"),
)

RUN: tuple[Foreign, ...] = (*_NO_EFFECT, *_REFUSED)
"""What ``pyllama run`` answers in this way."""
