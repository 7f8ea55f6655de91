"""The model families that pyllama runs, one file each."""

from pyllama.models.architecture import Architecture
from pyllama.models.llama import LLAMA
from pyllama.models.qwen2 import QWEN2
from pyllama.models.qwen3 import QWEN3

__all__ = ["ARCHITECTURES", "Architecture"]

ARCHITECTURES: dict[str, Architecture] = {a.name: a for a in (LLAMA, QWEN2, QWEN3)}
"""By the name that GGUF files give them."""
