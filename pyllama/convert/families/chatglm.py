"""GLM 4-9b as transformers has it; GGUF calls it by its predecessor's name."""

from pyllama.convert.families.glm4 import GLM_KEYS, GLM_TENSORS
from pyllama.convert.family import Family

CHATGLM = Family(
    gguf="chatglm",
    architectures=("GlmForCausalLM",),
    keys=GLM_KEYS,
    tensors=GLM_TENSORS,
)
