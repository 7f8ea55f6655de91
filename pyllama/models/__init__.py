"""The model families that pyllama runs, one file each."""

from pyllama.models.architecture import Architecture
from pyllama.models.registry import ARCHITECTURES, find_architecture

__all__ = ["ARCHITECTURES", "Architecture", "find_architecture"]
