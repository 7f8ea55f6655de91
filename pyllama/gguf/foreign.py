"""Tensor type numbers that pyllama does not read, and what to tell the user about each.

Source: the history of ggml's ``ggml_type`` table, and ik_llama.cpp's table, which adds its own
numbers from 97 on.
"""

from __future__ import annotations

_REMOVED = {
    4: ("Q4_2", "Q4_0"),
    5: ("Q4_3", "Q4_1"),
    31: ("Q4_0_4_4", "Q4_0"),
    32: ("Q4_0_4_8", "Q4_0"),
    33: ("Q4_0_8_8", "Q4_0"),
    36: ("IQ4_NL_4_4", "IQ4_NL"),
    37: ("IQ4_NL_4_8", "IQ4_NL"),
    38: ("IQ4_NL_8_8", "IQ4_NL"),
}

_IK_LLAMA_RANGE = range(97, 400)

_IK_LLAMA = {
    133: "Q6_0",
    134: "IQ1_BN",
    135: "IQ2_BN",
    136: "Q8_K64",
    137: "IQ2_K",
    138: "IQ3_K",
    139: "IQ4_K",
    140: "IQ5_K",
    141: "IQ6_K",
    144: "IQ4_KS",
    145: "IQ2_KS",
    146: "IQ4_KSS",
    151: "Q8_KV",
    152: "IQ5_KS",
    153: "IQ2_KT",
    154: "IQ3_KT",
    155: "IQ4_KT",
    156: "IQ3_KS",
    157: "IQ2_KL",
    158: "IQ1_KT",
}


def explain_type(number: int) -> tuple[str, str]:
    """What is wrong with a tensor type ``number`` outside ``TensorType``, and the remedy."""
    if number in _REMOVED:
        name, successor = _REMOVED[number]
        return f"type {number} ({name}), which ggml has removed", f"requantize to {successor}"
    if number in _IK_LLAMA_RANGE:
        name = f" ({_IK_LLAMA[number]})" if number in _IK_LLAMA else ""
        return (
            f"type {number}{name}, which only ik_llama.cpp knows",
            "run it with ik_llama.cpp or use a file quantized by llama.cpp or pyllama",
        )
    return f"unknown type {number}", "the file is corrupt or newer than this version of pyllama"
