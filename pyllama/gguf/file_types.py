"""What ``general.file_type`` says: by which recipe the tensors of a file got their types.

Source of the numbers and labels: ``llama_ftype`` of llama.cpp (include/llama.h, llama-model.cpp).
"""

from __future__ import annotations

from enum import IntEnum

FILE_TYPE_KEY = "general.file_type"


class FileType(IntEnum):
    """A recipe by the name that llama-quantize takes."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q8_0 = 7
    Q5_0 = 8
    Q5_1 = 9
    Q2_K = 10
    Q3_K_S = 11
    Q3_K_M = 12
    Q3_K_L = 13
    Q4_K_S = 14
    Q4_K_M = 15
    Q5_K_S = 16
    Q5_K_M = 17
    Q6_K = 18
    IQ2_XXS = 19
    IQ2_XS = 20
    Q2_K_S = 21
    IQ3_XS = 22
    IQ3_XXS = 23
    IQ1_S = 24
    IQ4_NL = 25
    IQ3_S = 26
    IQ3_M = 27
    IQ2_S = 28
    IQ2_M = 29
    IQ4_XS = 30
    IQ1_M = 31
    BF16 = 32
    TQ1_0 = 36
    TQ2_0 = 37
    MXFP4_MOE = 38
    NVFP4 = 39
    Q1_0 = 40
    Q2_0 = 41

    @property
    def label(self) -> str:
        """What llama.cpp prints: ``Q4_K - Medium``."""
        return _LABELS.get(self, self.name)


_LABELS = {
    FileType.F32: "all F32",
    FileType.Q2_K: "Q2_K - Medium",
    FileType.Q2_K_S: "Q2_K - Small",
    FileType.Q3_K_S: "Q3_K - Small",
    FileType.Q3_K_M: "Q3_K - Medium",
    FileType.Q3_K_L: "Q3_K - Large",
    FileType.Q4_K_S: "Q4_K - Small",
    FileType.Q4_K_M: "Q4_K - Medium",
    FileType.Q5_K_S: "Q5_K - Small",
    FileType.Q5_K_M: "Q5_K - Medium",
    FileType.IQ1_S: "IQ1_S - 1.5625 bpw",
    FileType.IQ1_M: "IQ1_M - 1.75 bpw",
    FileType.IQ2_XXS: "IQ2_XXS - 2.0625 bpw",
    FileType.IQ2_XS: "IQ2_XS - 2.3125 bpw",
    FileType.IQ2_S: "IQ2_S - 2.5 bpw",
    FileType.IQ2_M: "IQ2_M - 2.7 bpw",
    FileType.IQ3_XXS: "IQ3_XXS - 3.0625 bpw",
    FileType.IQ3_XS: "IQ3_XS - 3.3 bpw",
    FileType.IQ3_S: "IQ3_S - 3.4375 bpw",
    FileType.IQ3_M: "IQ3_S mix - 3.66 bpw",
    FileType.IQ4_NL: "IQ4_NL - 4.5 bpw",
    FileType.IQ4_XS: "IQ4_XS - 4.25 bpw",
    FileType.TQ1_0: "TQ1_0 - 1.69 bpw ternary",
    FileType.TQ2_0: "TQ2_0 - 2.06 bpw ternary",
    FileType.MXFP4_MOE: "MXFP4 MoE",
}
