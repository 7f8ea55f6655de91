"""Families by the name that GGUF files give them."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from pyllama.errors import ModelError
from pyllama.gguf.wording import quoted
from pyllama.models.architecture import Architecture
from pyllama.models.families import FAMILIES

ARCHITECTURES: Mapping[str, Architecture] = {family.name: family for family in FAMILIES}


def find_architecture(path: str | PathLike[str], metadata: Mapping[str, Any]) -> Architecture:
    """The family of a model file; ModelError when it has none or one that pyllama does not run."""
    name = metadata.get("general.architecture")
    if not isinstance(name, str):
        raise ModelError(
            path, "general.architecture is missing", "the file holds no model: get another"
        )
    if metadata.get("general.type") == "adapter":
        raise ModelError(path, "is an adapter", "give it with --lora, and its model with -m")
    if name not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ModelError(path, f"unknown architecture {quoted(name)}", f"pyllama runs: {known}")
    return ARCHITECTURES[name]
