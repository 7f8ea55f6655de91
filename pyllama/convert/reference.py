"""What transformers computes of a checkpoint; the only module that imports it, and torch.

Both are optional: without them, or where the model does not fit into memory, the answer is why not.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from pyllama.quants import Floats

_SHARE = 0.6
"""Of the machine's memory that the weights may take."""


def reference_logits(
    folder: Path, tokens: list[int], *, trust_remote_code: bool = False
) -> tuple[Floats | None, str]:
    """Logits (tokens, vocabulary) in float32, or None and the reason why there are none."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        return None, f"{' and '.join(missing)} not installed"
    weights = (*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin"))
    needed = 2 * sum(path.stat().st_size for path in weights)
    memory = _memory()
    if memory is not None and needed > _SHARE * memory:
        return None, f"the checkpoint needs {needed / 2**30:.1f} GiB in float32"
    try:
        return _logits(folder, tokens, trust_remote_code=trust_remote_code), ""
    except (ValueError, OSError, KeyError, AttributeError, ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return None, f"transformers cannot load the checkpoint: {reason:.200}"


def _logits(folder: Path, tokens: list[int], *, trust_remote_code: bool) -> Floats:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="eager",
        trust_remote_code=trust_remote_code,
        local_files_only=True,
    )
    with torch.inference_mode():
        logits: Floats = model(torch.tensor([tokens])).logits[0].float().numpy()
    return logits


def _memory() -> int | None:
    """Bytes of memory of the machine, where the system tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
