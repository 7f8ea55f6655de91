"""Where threads run: options that bind them to CPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands.words import choose
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.placement import Placement

Mask = str | None
Numa = Annotated[
    str | None,
    typer.Option(
        "--numa",
        metavar="distribute|isolate|numactl",
        envvar="LLAMA_ARG_NUMA",
        help="Place threads by memory node.",
    ),
]
_STRICT = {"0": False, "1": True}


def is_strict(text: str, option: str = "--cpu-strict") -> bool:
    """Whether each thread has a CPU of its own; UsageError for what is neither 0 nor 1."""
    return _STRICT[choose(text, option, tuple(_STRICT))]


def numa_mode(text: str | None) -> str | None:
    """The way of placing threads by memory node; UsageError for one that is none."""
    from pyllama.placement import NUMA_MODES

    return None if text is None else choose(text, "--numa", NUMA_MODES)


@dataclass(frozen=True)
class PlacementOptions:
    """CPUs of the threads of a step of one token, and of those of a batch."""

    cpu_mask: Annotated[
        Mask,
        typer.Option("-C", "--cpu-mask", metavar="MASK", help="CPUs to use, in hexadecimal."),
    ] = None
    cpu_range: Annotated[
        Mask, typer.Option("-Cr", "--cpu-range", metavar="LO-HI", help="CPUs to use.")
    ] = None
    cpu_strict: Annotated[
        str,
        typer.Option("--cpu-strict", metavar="0|1", help="Bind each thread to one of the CPUs."),
    ] = "0"
    cpu_mask_batch: Annotated[
        Mask,
        typer.Option(
            "-Cb",
            "--cpu-mask-batch",
            metavar="MASK",
            help="CPUs to use for prompts.",
            show_default="as -C and -Cr",
        ),
    ] = None
    cpu_range_batch: Annotated[
        Mask,
        typer.Option("-Crb", "--cpu-range-batch", metavar="LO-HI", help="CPUs to use for prompts."),
    ] = None
    cpu_strict_batch: Annotated[
        str | None,
        typer.Option(
            "--cpu-strict-batch",
            metavar="0|1",
            help="Bind each thread of a prompt to one of the CPUs.",
            show_default="as --cpu-strict",
        ),
    ] = None
    numa: Numa = None

    def placements(self) -> tuple[Placement, Placement]:
        """Where the threads of one token and those of a batch run.

        Raises UsageError for options that contradict each other and for CPUs that are not there.
        """
        from pyllama.placement import ANYWHERE, by_node

        cpus = self._cpus(self.cpu_mask, self.cpu_range)
        strict = is_strict(self.cpu_strict)
        mode = numa_mode(self.numa)
        if mode is not None:
            if cpus or self.cpu_mask_batch or self.cpu_range_batch:
                raise UsageError("--numa and -C contradict: both place threads; leave one of them")
            return by_node(mode), by_node(mode)
        one = self._placement(cpus, strict) if cpus else ANYWHERE
        strict_batch = is_strict(self.cpu_strict_batch or self.cpu_strict, "--cpu-strict-batch")
        batch = self._cpus(self.cpu_mask_batch, self.cpu_range_batch) or cpus
        return one, self._placement(batch, strict_batch) if batch else ANYWHERE

    @staticmethod
    def _cpus(mask: Mask, cpu_range: Mask) -> frozenset[int]:
        """CPUs that either option names."""
        from pyllama.placement import parse_mask, parse_range

        cpus: frozenset[int] = parse_mask(mask) if mask else frozenset()
        return cpus | parse_range(cpu_range) if cpu_range else cpus

    @staticmethod
    def _placement(cpus: frozenset[int], strict: bool) -> Placement:
        from pyllama.placement import within

        return within(cpus, one_each=strict)
