"""Reads and writes GGUF, the file format of llama.cpp's models.

with GGUFFile.open("model.gguf") as file:
    file.metadata["general.architecture"]     # "llama"
    file.tensors["output_norm.weight"].shape  # (2048,)
    file.data("output_norm.weight")           # its bytes, mapped, not copied

with GGUFWriter("model.gguf") as writer:
    writer.add("general.architecture", "llama")
    writer.add_tensor_info("output_norm.weight", (2048,), TensorType.F32)
    writer.write_tensor("output_norm.weight", weights)
"""

from pyllama.gguf.fields import Field
from pyllama.gguf.reader import GGUFFile
from pyllama.gguf.split import split_path
from pyllama.gguf.strings import StringArray
from pyllama.gguf.tensors import TensorInfo, tensor_bytes
from pyllama.gguf.types import TensorType, ValueType
from pyllama.gguf.writer import GGUFWriter, write_gguf

__all__ = [
    "Field",
    "GGUFFile",
    "GGUFWriter",
    "StringArray",
    "TensorInfo",
    "TensorType",
    "ValueType",
    "split_path",
    "tensor_bytes",
    "write_gguf",
]
