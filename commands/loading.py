"""Loading a model and opening a session the way the options ask for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pyllama.commands import output

if TYPE_CHECKING:
    from pyllama.model import Model
    from pyllama.placement import Placement
    from pyllama.session import Session

DEFAULT_CONTEXT = 4096
"""Tokens of context, at most, unless ``-c`` says otherwise. llama.cpp starts from all that the
model was trained on, often 128k, and shrinks it to what fits the device, down to these 4096; here
the size does not depend on how much memory happens to be free."""

log = logging.getLogger(__name__)


def model_path(path: Path | None) -> Path:
    """The file of ``-m``, or the built-in one, which is said on stderr."""
    if path is not None:
        return path
    from pyllama import builtin

    path = builtin.path()
    output.note(f"no model given (-m FILE): using the built-in one, {path.name}")
    return path


def load_model(path: Path | None, isa: str | None) -> Model:
    """The model of ``-m``, or the built-in one, which is said on stderr."""
    path = model_path(path)
    log.info("loading %s", path)
    from pyllama.model import Model

    return Model.load(path, isa=isa)


def open_session(
    model: Model,
    *,
    context: int | None,
    batch: int,
    ubatch: int,
    threads: int,
    threads_batch: int | None = None,
    cache_types: tuple[str, str] = ("f16", "f16"),
    sequences: int = 1,
    placements: tuple[Placement, Placement] | None = None,
) -> Session:
    """A session with the sizes of ``-c``, ``-b``, ``-ub``, ``-t`` and ``-tb``, and their defaults.

    cache_types: of keys and of values; sequences: each of them has so much context;
    placements: where the threads of a token's step and of a batch's run, by default anywhere.
    """
    from pyllama.placement import ANYWHERE
    from pyllama.session import Session
    from pyllama.threads import default_threads

    default, reason = default_threads()
    counts = [n if n > 0 else default for n in (threads, threads_batch or threads)]
    log.info("threads = %d (%s)", counts[0], "as asked" if threads > 0 else reason)
    session = Session(
        model,
        context=context_size(context, model.config.context_length),
        batch=batch,
        ubatch=min(ubatch, batch),
        threads=counts[0],
        threads_batch=counts[1],
        cache_type=cache_types[0],
        cache_type_v=cache_types[1],
        sequences=sequences,
        placements=placements or (ANYWHERE, ANYWHERE),
    )
    library = model.library
    compiled, seconds = len(library.compiled), library.compile_seconds
    log.info("isa = %s (%d kernels compiled in %.2f s)", library.isa.name, compiled, seconds)
    return session


def context_size(asked: int | None, trained: int) -> int:
    """Tokens of context for what ``-c`` says (None: not given; 0: all that was trained)."""
    if asked is None:
        return min(trained, DEFAULT_CONTEXT)
    if asked > trained:
        log.warning("a context of %d tokens, but the model was trained on %d", asked, trained)
    return asked or trained
