"""How the model is computed: sizes, threads, and the types of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options, output
from pyllama.commands.loading import open_session
from pyllama.commands.placement_options import PlacementOptions
from pyllama.commands.words import ON_OFF_AUTO, choose
from pyllama.errors import UsageError

if TYPE_CHECKING:
    from pyllama.model import Model
    from pyllama.session import Session


@dataclass(frozen=True)
class MachineOptions(PlacementOptions):
    """What a session is opened with."""

    ctx_size: options.Context = None
    threads: options.Threads = -1
    threads_batch: Annotated[
        int | None,
        typer.Option(
            "-tb",
            "--threads-batch",
            metavar="N",
            min=-1,
            max=512,
            envvar="LLAMA_ARG_THREADS_BATCH",
            help="Threads for prompts; 0 or less for the physical cores.",
            show_default="-t",
        ),
    ] = None
    batch_size: options.Batch = 2048
    ubatch_size: options.Ubatch = 512
    cache_type_k: Annotated[
        str,
        typer.Option(
            "-ctk",
            "--cache-type-k",
            metavar="TYPE",
            envvar="LLAMA_ARG_CACHE_TYPE_K",
            help="Type of cached keys: f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0 or iq4_nl.",
        ),
    ] = "f16"
    cache_type_v: Annotated[
        str,
        typer.Option(
            "-ctv",
            "--cache-type-v",
            metavar="TYPE",
            envvar="LLAMA_ARG_CACHE_TYPE_V",
            help="Type of cached values, where they are no part of the keys.",
        ),
    ] = "f16"
    flash_attn: Annotated[
        str,
        typer.Option(
            "-fa",
            "--flash-attn",
            metavar="on|off|auto",
            envvar="LLAMA_ARG_FLASH_ATTN",
            help="Attention has one implementation, which is flash attention.",
        ),
    ] = "auto"
    isa: options.Isa = None
    warmup: Annotated[
        bool,
        typer.Option(
            "--warmup/--no-warmup",
            envvar="LLAMA_ARG_WARMUP",
            help="Compute one token before the prompt, so that its time is not spent on reading.",
        ),
    ] = True

    list_devices: Annotated[
        bool, typer.Option("--list-devices", help="List devices besides the CPU and exit.")
    ] = False

    @staticmethod
    def write_devices() -> None:
        """Write the list of devices besides the CPU."""
        output.write("Available devices:\n  (none)\n")

    def check(self) -> None:
        """Raises UsageError, naming both, where options contradict each other."""
        attention = choose(self.flash_attn, "--flash-attn", ON_OFF_AUTO)
        if attention == "off":
            from pyllama.kernels.cache_types import BLOCKS

            if self.cache_type_v in BLOCKS:
                raise UsageError(
                    f"-fa off and -ctv {self.cache_type_v} contradict: quantized values need flash "
                    "attention; leave one of them"
                )

    def open(self, model: Model, *, context: int | None = None, sequences: int = 1) -> Session:
        """A session of these sizes, warmed up; what Session raises.

        context: for each of the sequences; None for that of ``-c``.
        """
        self.check()
        if choose(self.flash_attn, "--flash-attn", ON_OFF_AUTO) == "off":
            output.note("note: --flash-attn off has no effect: there is no other attention")
        session = open_session(
            model,
            context=self.ctx_size if context is None else context,
            batch=self.batch_size,
            ubatch=self.ubatch_size,
            threads=self.threads,
            threads_batch=self.threads_batch,
            cache_types=(self.cache_type_k, self.cache_type_v),
            sequences=sequences,
            placements=self.placements(),
        )
        if self.warmup:
            from pyllama.interrupt import interruptible

            with interruptible(session.abort):
                session.evaluate([model.tokenizer.bos or 0])
            session.reset()
        return session
