"""pyllama: run, measure, convert and quantize language models in GGUF files."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyllama.errors import PyllamaError
    from pyllama.generation import Finish, FinishReason, Token, generate
    from pyllama.model import Model
    from pyllama.sampling import Sampler, SamplingParams
    from pyllama.session import Session

__version__ = "0.1.0"

_PLACES = {
    "Finish": "pyllama.generation",
    "FinishReason": "pyllama.generation",
    "Model": "pyllama.model",
    "PyllamaError": "pyllama.errors",
    "Sampler": "pyllama.sampling",
    "SamplingParams": "pyllama.sampling",
    "Session": "pyllama.session",
    "Token": "pyllama.generation",
    "generate": "pyllama.generation",
}

__all__ = [  # noqa: RUF022 - sorted like _PLACES, then the version
    "Finish",
    "FinishReason",
    "Model",
    "PyllamaError",
    "Sampler",
    "SamplingParams",
    "Session",
    "Token",
    "generate",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Names are imported when they are first used: ``import pyllama`` costs nothing."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'pyllama' has no attribute {name!r}")
