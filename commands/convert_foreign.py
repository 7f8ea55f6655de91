"""Options of convert_hf_to_gguf that do nothing here."""

from __future__ import annotations

from pyllama.commands.foreign import Foreign

_TEXT = "only models of text are converted"


def _refused(why: str, *names: str, metavar: str | None = None) -> Foreign:
    return Foreign(names, why, metavar, is_refused=True)


CONVERT: tuple[Foreign, ...] = (
    Foreign(("--remote",), "a USER/MODEL that is no directory is looked up on the hub"),
    Foreign(("--use-temp-file",), "tensors are written as they are read"),
    Foreign(("--fp8-as-q8",), "weights of eight bits are scaled and become the --outtype"),
    _refused("files are little-endian", "--bigendian"),
    _refused(_TEXT, "--mmproj"),
    _refused("draft models are not converted", "--mtp"),
    _refused("convert the checkpoint in the form of transformers", "--mistral-format"),
)
"""What ``pyllama convert`` answers in this way."""

CONVERT_LORA: tuple[Foreign, ...] = (
    Foreign(("--no-lazy",), "adapters are small"),
    Foreign(("--trust-remote-code",), "no code of a model is run"),
    _refused("files are little-endian", "--bigendian"),
)
"""What ``pyllama convert-lora`` answers in this way."""
