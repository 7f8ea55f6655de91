"""The model families that can be converted, one file each."""

from pyllama.convert.families.arcee import ARCEE
from pyllama.convert.families.baichuan import BAICHUAN
from pyllama.convert.families.chatglm import CHATGLM
from pyllama.convert.families.cohere2 import COHERE2
from pyllama.convert.families.command_r import COMMAND_R
from pyllama.convert.families.deepseek import DEEPSEEK
from pyllama.convert.families.deepseek2 import DEEPSEEK2
from pyllama.convert.families.exaone import EXAONE
from pyllama.convert.families.exaone4 import EXAONE4
from pyllama.convert.families.falcon import FALCON
from pyllama.convert.families.gemma import GEMMA
from pyllama.convert.families.gemma2 import GEMMA2
from pyllama.convert.families.gemma3 import GEMMA3
from pyllama.convert.families.glm4 import GLM4
from pyllama.convert.families.glm4moe import GLM4MOE
from pyllama.convert.families.gpt2 import GPT2
from pyllama.convert.families.gpt_oss import GPT_OSS
from pyllama.convert.families.gptneox import GPTNEOX
from pyllama.convert.families.granite import GRANITE
from pyllama.convert.families.granitemoe import GRANITEMOE
from pyllama.convert.families.internlm2 import INTERNLM2
from pyllama.convert.families.lfm2 import LFM2
from pyllama.convert.families.lfm2moe import LFM2MOE
from pyllama.convert.families.llama import LLAMA
from pyllama.convert.families.minicpm import MINICPM
from pyllama.convert.families.mixtral import MIXTRAL
from pyllama.convert.families.mpt import MPT
from pyllama.convert.families.olmo2 import OLMO2
from pyllama.convert.families.olmoe import OLMOE
from pyllama.convert.families.phi2 import PHI2
from pyllama.convert.families.phi3 import PHI3
from pyllama.convert.families.qwen2 import QWEN2
from pyllama.convert.families.qwen2moe import QWEN2MOE
from pyllama.convert.families.qwen3 import QWEN3
from pyllama.convert.families.qwen3moe import QWEN3MOE
from pyllama.convert.families.smollm3 import SMOLLM3
from pyllama.convert.families.stablelm import STABLELM
from pyllama.convert.families.starcoder2 import STARCODER2
from pyllama.convert.family import Family

FAMILIES: tuple[Family, ...] = (
    LLAMA,
    QWEN2,
    QWEN3,
    GEMMA,
    GEMMA2,
    GEMMA3,
    PHI2,
    PHI3,
    GPT2,
    GPTNEOX,
    STARCODER2,
    FALCON,
    MPT,
    STABLELM,
    OLMO2,
    SMOLLM3,
    GRANITE,
    EXAONE,
    EXAONE4,
    CHATGLM,
    GLM4,
    INTERNLM2,
    BAICHUAN,
    COMMAND_R,
    COHERE2,
    MINICPM,
    ARCEE,
    MIXTRAL,
    QWEN2MOE,
    QWEN3MOE,
    GRANITEMOE,
    GPT_OSS,
    OLMOE,
    GLM4MOE,
    DEEPSEEK,
    DEEPSEEK2,
    LFM2,
    LFM2MOE,
)
"""In the order in which they are listed for people."""

BY_ARCHITECTURE: dict[str, Family] = {
    name: family for family in FAMILIES for name in family.architectures
}
"""By the class that config.json names."""
