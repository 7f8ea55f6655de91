"""What a family is, what a model's file says, and the graph that both make of blocks."""

from pyllama.models.architecture import Architecture
from pyllama.models.registry import ARCHITECTURES, find_architecture

__all__ = ["ARCHITECTURES", "Architecture", "find_architecture"]
