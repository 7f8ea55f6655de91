"""What computing with quantized weights costs beyond quantizing them, on a trained model.

Against the same weights dequantized and computed in float32, perplexity may differ by 0.5 %, and
the predictions of the next token by a Kullback-Leibler divergence of 0.005 in the mean.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pyllama import builtin
from pyllama.gguf import GGUFFile, TensorType, write_gguf
from pyllama.kernels.encode import ENCODERS
from pyllama.kernels.formats import FORMATS
from pyllama.kernels.jit import Library
from pyllama.kernels.target import available, select
from pyllama.model import Model
from pyllama.quantize.coding import NativeCoding
from pyllama.quants import dequantize, encodable_types, quantize
from pyllama.session import Session

Logits = NDArray[np.float32]

TOKENS = 1024
BEST, *OTHERS = [isa.name for isa in available()]

MAIN = {TensorType[name] for name in ("F16", "Q8_0", "Q4_K", "IQ4_XS", "IQ2_S")}
"""Types of the quick run on the best instruction set; on the others there is one."""

_TYPES = sorted(encodable_types() & set(FORMATS) - {TensorType.F32}, key=lambda type: type.label)


def _case(type: TensorType, isa: str) -> object:
    is_quick = type in MAIN if isa == BEST else type is TensorType.Q4_K
    marks = () if is_quick else pytest.mark.slow
    return pytest.param(type, isa, id=f"{type.label}-{isa}", marks=marks)


CASES = [_case(type, isa) for isa in (BEST, *OTHERS) for type in _TYPES]

STEPS = {"prompt": 512, "decode": 8}
"""Tokens of a step: weights are unpacked for a batch, or read for a few tokens."""


@dataclass(frozen=True)
class Agreement:
    """How predictions compare: (tokens, n_vocab) logits of both."""

    perplexity: float
    divergence: float


@cache
def weights() -> dict[str, NDArray[np.float32]]:
    """The built-in model's tensors."""
    with GGUFFile.open(builtin.path()) as file:
        return {
            name: dequantize(file.data(name), info.type, info.shape)
            for name, info in file.tensors.items()
        }


def write_model(path: Path, type: TensorType) -> None:
    """The built-in model with matrices of a type, and beside it the same dequantized."""
    coding = NativeCoding(Library(select()))
    quantized, plain = {}, {}
    for name, values in weights().items():
        matrix = values.ndim == 2 and values.shape[1] % type.block_size == 0
        if not matrix:
            quantized[name] = plain[name] = (values.shape, TensorType.F32, values)
            continue
        importance = np.ones(values.shape[1], np.float32)
        compiled = type in ENCODERS or type in (TensorType.F16, TensorType.BF16)
        encode = coding.encode if compiled else quantize
        data = encode(values, type, importance)
        decoded = dequantize(data, type, values.shape)
        quantized[name] = (values.shape, type, data)
        plain[name] = (values.shape, TensorType.F32, decoded)
    with GGUFFile.open(builtin.path()) as file:
        metadata = dict(file.metadata)
    write_gguf(path, metadata, quantized)
    write_gguf(path.with_suffix(".f32.gguf"), metadata, plain)


def logits_of(path: Path, isa: str | None, tokens: list[int], step: int, cache: str) -> Logits:
    """Logits after each token, so many of them computed at a time."""
    session = Session(
        Model.load(path, isa=isa), context=TOKENS, ubatch=step, threads=2, cache_type=cache
    )
    return session.evaluate(tokens, all_logits=True)


def agreement(tokens: list[int], computed: Logits, exact: Logits) -> Agreement:
    """Ratio of perplexities, and mean divergence of the predictions."""
    ours, theirs = (x - np.logaddexp.reduce(x, axis=1, keepdims=True) for x in (computed, exact))
    followers = np.arange(len(tokens) - 1), np.array(tokens[1:])
    ratio = np.exp(theirs[followers].mean() - ours[followers].mean())
    return Agreement(float(ratio), float((np.exp(theirs) * (theirs - ours)).sum(axis=1).mean()))


@pytest.fixture(scope="module")
def tokens() -> list[int]:
    text = Path(textwrap.__file__).read_text(encoding="utf-8")
    return Model.load(builtin.path()).tokenizer.encode(text, parse_special=False)[:TOKENS]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[TensorType, Path]:
    folder = tmp_path_factory.mktemp("quality")
    return {type: folder / f"{type.label}.gguf" for type in _TYPES}


@pytest.fixture(scope="module")
def exact() -> dict[TensorType, Logits]:
    """Logits of the dequantized models, as far as they were needed."""
    return {}


@pytest.mark.parametrize(("type", "isa"), CASES)
def test_numerics(
    type: TensorType,
    isa: str,
    models: dict[TensorType, Path],
    tokens: list[int],
    exact: dict[TensorType, Logits],
) -> None:
    path = models[type]
    if type not in exact:
        write_model(path, type)
        exact[type] = logits_of(path.with_suffix(".f32.gguf"), None, tokens, 512, "f32")
    for step in STEPS.values():
        found = agreement(tokens, logits_of(path, isa, tokens, step, "f16"), exact[type])
        assert abs(found.perplexity - 1) < 0.005, found
        assert found.divergence < 0.005, found
