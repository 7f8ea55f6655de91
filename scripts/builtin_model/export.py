"""From the trained network to the GGUF file: matrices in F16, norms in F32."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from pyllama.gguf import GGUFWriter, TensorType

from .corpus import IM_END
from .network import Llama, Shape
from .vocabulary import END_OF_TEXT, PRE_TOKENIZER, SPECIAL

BASENAME = "stdlib"
DESCRIPTION = (
    "A very small Llama that writes Python, trained on the Python standard library; "
    "it ships with pyllama for first steps and tests"
)
MOSTLY_F16 = 1  # general.file_type
QUANTIZATION_VERSION = 2
NORMAL_TOKEN, CONTROL_TOKEN = 1, 3
# The conversations of the corpus, see corpus.chat_turn.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

Array = npt.NDArray[np.generic]


@torch.no_grad()
def round_to_file(model: Llama) -> None:
    """Round the weights as the file will hold them, so that what is measured is the file."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.copy_(parameter.half().float())


def export(path: Path, model: Llama, tokenizer: Tokenizer) -> None:
    """Write the model; the file appears whole or not at all."""
    arrays = dict(tensors(model))
    with GGUFWriter(path) as writer:
        for key, value in (general(model) | llama(model.shape) | vocabulary(tokenizer)).items():
            writer.add(key, value)
        for name, array in arrays.items():
            writer.add_tensor_info(name, array.shape, TensorType[f"F{array.itemsize * 8}"])
        for name, array in arrays.items():
            writer.write_tensor(name, array)


def size_label(model: Llama) -> str:
    """The number of weights in millions, as GGUF names write it."""
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f}M"


def file_name(model: Llama) -> str:
    """By GGUF's naming convention: base name, size, encoding."""
    return f"{BASENAME}-{size_label(model)}-F16.gguf"


def tensors(model: Llama) -> Iterator[tuple[str, Array]]:
    """Names and values in the file's order; matrices are (rows, columns) float16."""
    for name, parameter in model.named_parameters():
        # The network's names are the file's but for the dot after "attn".
        data = parameter.detach()
        yield name.replace("attn.", "attn_"), (data.half() if data.ndim > 1 else data).numpy()


def general(model: Llama) -> dict[str, object]:
    """What the model is."""
    return {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": f"pyllama {BASENAME} {size_label(model)}",
        "general.basename": BASENAME,
        "general.author": "the pyllama authors",
        "general.description": DESCRIPTION,
        "general.size_label": size_label(model),
        "general.license": "mit",
        "general.tags": ["text-generation", "python"],
        "general.languages": ["en"],
        "general.file_type": MOSTLY_F16,
        "general.quantization_version": QUANTIZATION_VERSION,
    }


def llama(shape: Shape) -> dict[str, object]:
    """The dimensions."""
    return {
        "llama.vocab_size": shape.vocabulary,
        "llama.context_length": shape.context,
        "llama.embedding_length": shape.width,
        "llama.block_count": shape.layers,
        "llama.feed_forward_length": shape.feed_forward,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": shape.norm_epsilon,
        "llama.rope.dimension_count": shape.head,
        "llama.rope.freq_base": shape.rope_base,
    }


def vocabulary(tokenizer: Tokenizer) -> dict[str, object]:
    """The tokenizer: entries in the order of their ids, merges in the order of their rank."""
    entries: dict[str, int] = tokenizer.get_vocab()
    tokens = sorted(entries, key=lambda token: entries[token])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    types = [CONTROL_TOKEN if token in SPECIAL else NORMAL_TOKEN for token in tokens]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": PRE_TOKENIZER,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.array(types, dtype=np.int32),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges],
        "tokenizer.ggml.bos_token_id": entries[END_OF_TEXT],
        "tokenizer.ggml.eos_token_id": entries[END_OF_TEXT],
        "tokenizer.ggml.eot_token_id": entries[IM_END],
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }
