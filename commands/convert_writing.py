"""Writing a planned file, with progress; shared by ``convert`` and ``convert-lora``."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pyllama.commands import convert_views as views
from pyllama.commands import output

if TYPE_CHECKING:
    from pyllama.convert import Plan

log = logging.getLogger(__name__)


def write(plan: Plan, path: Path, *, threads: int, force: bool) -> None:
    """Make the file; ``threads``: 0 or less for the default. Raises what ``write_plan`` raises."""
    from pyllama.convert import write_plan
    from pyllama.cpus import default_threads

    written = write_plan(plan, path, threads if threads > 0 else default_threads()[0], force=force)
    with output.byte_progress(views.ProgressLines()) as show:
        show(str(path.name), 0, plan.n_bytes)
        for done in written:
            log.info("[%d/%d] %s", done.number, done.count, views.tensor_line(done.tensor))
            show(done.tensor.name, done.n_bytes, done.total)
