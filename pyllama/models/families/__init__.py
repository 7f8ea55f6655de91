"""The families that run, one file each."""

from pyllama.models.architecture import Architecture
from pyllama.models.families.arcee import ARCEE
from pyllama.models.families.baichuan import BAICHUAN
from pyllama.models.families.chatglm import CHATGLM
from pyllama.models.families.cohere2 import COHERE2
from pyllama.models.families.command_r import COMMAND_R
from pyllama.models.families.deepseek import DEEPSEEK
from pyllama.models.families.deepseek2 import DEEPSEEK2
from pyllama.models.families.exaone import EXAONE
from pyllama.models.families.exaone4 import EXAONE4
from pyllama.models.families.falcon import FALCON
from pyllama.models.families.gemma import GEMMA
from pyllama.models.families.gemma2 import GEMMA2
from pyllama.models.families.gemma3 import GEMMA3
from pyllama.models.families.glm4 import GLM4
from pyllama.models.families.glm4moe import GLM4MOE
from pyllama.models.families.gpt2 import GPT2
from pyllama.models.families.gpt_oss import GPT_OSS
from pyllama.models.families.gptneox import GPTNEOX
from pyllama.models.families.granite import GRANITE
from pyllama.models.families.granitemoe import GRANITEMOE
from pyllama.models.families.internlm2 import INTERNLM2
from pyllama.models.families.lfm2 import LFM2
from pyllama.models.families.lfm2moe import LFM2MOE
from pyllama.models.families.llama import LLAMA
from pyllama.models.families.minicpm import MINICPM
from pyllama.models.families.mpt import MPT
from pyllama.models.families.olmo2 import OLMO2
from pyllama.models.families.olmoe import OLMOE
from pyllama.models.families.phi2 import PHI2
from pyllama.models.families.phi3 import PHI3
from pyllama.models.families.qwen2 import QWEN2
from pyllama.models.families.qwen2moe import QWEN2MOE
from pyllama.models.families.qwen3 import QWEN3
from pyllama.models.families.qwen3moe import QWEN3MOE
from pyllama.models.families.smollm3 import SMOLLM3
from pyllama.models.families.stablelm import STABLELM
from pyllama.models.families.starcoder2 import STARCODER2

FAMILIES: tuple[Architecture, ...] = (
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
