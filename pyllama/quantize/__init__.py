"""Makes a model smaller: its weights rounded to fewer bits, by a recipe.

with GGUFFile.open("model-f16.gguf") as file:
    plan = make_plan(file, FileType.Q4_K_M, QuantizeOptions())
    for done in write_plan(plan, Path("model-Q4_K_M.gguf"), threads=4):
        print(done.tensor.name)
"""

from pyllama.quantize.importance import Importance, read_importance
from pyllama.quantize.mix import Choice, Override
from pyllama.quantize.obstacles import obstacles
from pyllama.quantize.plan import Plan, PlannedTensor, QuantizeOptions, make_plan
from pyllama.quantize.recipes import BASE_TYPES, parse_recipe, parse_tensor_type
from pyllama.quantize.writing import TensorDone, output_paths, write_plan

__all__ = [
    "BASE_TYPES",
    "Choice",
    "Importance",
    "Override",
    "Plan",
    "PlannedTensor",
    "QuantizeOptions",
    "TensorDone",
    "make_plan",
    "obstacles",
    "output_paths",
    "parse_recipe",
    "parse_tensor_type",
    "read_importance",
    "write_plan",
]
