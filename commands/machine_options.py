"""How the model is computed: sizes, threads, and the types of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from pyllama.commands import options
from pyllama.commands.loading import open_session

if TYPE_CHECKING:
    from pyllama.model import Model
    from pyllama.session import Session


@dataclass(frozen=True)
class MachineOptions:
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
            help="Type of cached keys: f32, f16, bf16 or q8_0.",
        ),
    ] = "f16"
    cache_type_v: Annotated[
        str,
        typer.Option(
            "-ctv",
            "--cache-type-v",
            metavar="TYPE",
            envvar="LLAMA_ARG_CACHE_TYPE_V",
            help="Type of cached values.",
        ),
    ] = "f16"
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

    def open(self, model: Model) -> Session:
        """A session of these sizes, warmed up; what Session raises."""
        session = open_session(
            model,
            context=self.ctx_size,
            batch=self.batch_size,
            ubatch=self.ubatch_size,
            threads=self.threads,
            threads_batch=self.threads_batch,
            cache_types=(self.cache_type_k, self.cache_type_v),
        )
        if self.warmup:
            from pyllama.interrupt import interruptible

            with interruptible(session.abort):
                session.evaluate([model.tokenizer.bos or 0])
            session.reset()
        return session
