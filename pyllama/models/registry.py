"""Families by the name that GGUF files give them."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from pyllama.errors import ModelError
from pyllama.gguf.wording import quoted
from pyllama.models.arcee import ARCEE
from pyllama.models.architecture import Architecture
from pyllama.models.baichuan import BAICHUAN
from pyllama.models.chatglm import CHATGLM
from pyllama.models.cohere2 import COHERE2
from pyllama.models.command_r import COMMAND_R
from pyllama.models.deepseek import DEEPSEEK
from pyllama.models.deepseek2 import DEEPSEEK2
from pyllama.models.exaone import EXAONE
from pyllama.models.exaone4 import EXAONE4
from pyllama.models.falcon import FALCON
from pyllama.models.gemma import GEMMA
from pyllama.models.gemma2 import GEMMA2
from pyllama.models.gemma3 import GEMMA3
from pyllama.models.glm4 import GLM4
from pyllama.models.glm4moe import GLM4MOE
from pyllama.models.gpt2 import GPT2
from pyllama.models.gpt_oss import GPT_OSS
from pyllama.models.gptneox import GPTNEOX
from pyllama.models.granite import GRANITE
from pyllama.models.granitemoe import GRANITEMOE
from pyllama.models.internlm2 import INTERNLM2
from pyllama.models.lfm2 import LFM2
from pyllama.models.lfm2moe import LFM2MOE
from pyllama.models.llama import LLAMA
from pyllama.models.minicpm import MINICPM
from pyllama.models.mpt import MPT
from pyllama.models.olmo2 import OLMO2
from pyllama.models.olmoe import OLMOE
from pyllama.models.phi2 import PHI2
from pyllama.models.phi3 import PHI3
from pyllama.models.qwen2 import QWEN2
from pyllama.models.qwen2moe import QWEN2MOE
from pyllama.models.qwen3 import QWEN3
from pyllama.models.qwen3moe import QWEN3MOE
from pyllama.models.smollm3 import SMOLLM3
from pyllama.models.stablelm import STABLELM
from pyllama.models.starcoder2 import STARCODER2

ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        ARCEE,
        BAICHUAN,
        CHATGLM,
        COHERE2,
        COMMAND_R,
        DEEPSEEK,
        DEEPSEEK2,
        EXAONE,
        EXAONE4,
        FALCON,
        GEMMA,
        GEMMA2,
        GEMMA3,
        GLM4,
        GLM4MOE,
        GPT2,
        GPT_OSS,
        GPTNEOX,
        GRANITE,
        GRANITEMOE,
        INTERNLM2,
        LFM2,
        LFM2MOE,
        LLAMA,
        MINICPM,
        MPT,
        OLMO2,
        OLMOE,
        PHI2,
        PHI3,
        QWEN2,
        QWEN2MOE,
        QWEN3,
        QWEN3MOE,
        SMOLLM3,
        STABLELM,
        STARCODER2,
    )
}


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
