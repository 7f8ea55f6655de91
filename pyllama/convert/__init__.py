"""Makes GGUF files of the checkpoints that Hugging Face's transformers reads.

    config        config.json, checked
    sources/      safetensors and PyTorch's files -> tensors that are read when their turn comes
    families/     one file a model family: keys, rules for tensors; as data
    vocabulary/   tokenizers as metadata
    plan          all of that together: what the file will be
    writing       the file, piece by piece
    verify        the finished file, looked at again
    lora          the same for adapters: peft reads them, low_rank moves their rows and columns

for done in write_plan(make_plan(folder, ConvertOptions()), Path("model.gguf"), threads=4):
    print(done.tensor.name)
"""

from __future__ import annotations

from pathlib import Path

from pyllama.convert.plan import ConvertOptions, Plan, PlannedTensor, make_plan
from pyllama.convert.support import supported
from pyllama.convert.types import OUTPUT_TYPES
from pyllama.convert.writing import TensorDone, output_files, write_plan

__all__ = [
    "OUTPUT_TYPES",
    "ConvertOptions",
    "Plan",
    "PlannedTensor",
    "TensorDone",
    "convert",
    "make_plan",
    "output_files",
    "supported",
    "write_plan",
]


def convert(
    folder: Path, output: Path, options: ConvertOptions | None = None, *, force: bool = False
) -> Plan:
    """Make a GGUF file of the checkpoint in a folder, and return what was made.

    Raises as ``make_plan`` and ``write_plan`` do.
    """
    from pyllama.cpus import default_threads

    plan = make_plan(folder, options or ConvertOptions())
    for _ in write_plan(plan, output, default_threads()[0], force=force):
        pass
    return plan
