"""Block formats of tensors: their layouts, and what they mean in NumPy.

``FORMATS`` holds one declaration for every tensor type of current GGUF files. The modules beside
this one group the formats by kinship; each begins with the diagrams of its formats.
"""

from pyllama.quants import (  # each registers its formats
    float4,
    i_quants,
    iq1,
    iq4,
    k_quants,
    scalars,
    simple,
    ternary,
)
from pyllama.quants.block_format import FORMATS, BlockFormat, Encodable, Floats, Weighable
from pyllama.quants.codec import dequantize, encodable_types, quantize
from pyllama.quants.grids import GridName, grid
from pyllama.quants.tables import (
    E8M0_HALF,
    KSIGNS,
    KVALUES_IQ4NL,
    KVALUES_MXFP4,
    UE4M3_HALF,
)

__all__ = [
    "E8M0_HALF",
    "FORMATS",
    "KSIGNS",
    "KVALUES_IQ4NL",
    "KVALUES_MXFP4",
    "UE4M3_HALF",
    "BlockFormat",
    "Encodable",
    "Floats",
    "GridName",
    "Weighable",
    "dequantize",
    "encodable_types",
    "float4",
    "grid",
    "i_quants",
    "iq1",
    "iq4",
    "k_quants",
    "quantize",
    "scalars",
    "simple",
    "ternary",
]
