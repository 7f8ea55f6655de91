"""Looks at a converted file again: is everything there, and does it compute what it should?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyllama.convert.plan import EMBEDDING, Plan
from pyllama.convert.reference import reference_logits
from pyllama.convert.vocabulary import Difference, Vocabulary, check_round_trip, nasty_texts
from pyllama.errors import FileError
from pyllama.gguf import GGUFFile
from pyllama.gguf.file_types import FileType
from pyllama.gguf.wording import quoted
from pyllama.quants import Floats, dequantize
from pyllama.tokenizers import Tokenizer

PROMPT_TOKENS = 24
"""Tokens that both sides are given."""

_ELEMENTS = 1 << 20
"""Weights that are looked at at a time."""

_MOST = {FileType.F32: 1e-4, FileType.F16: 1e-2, FileType.BF16: 1e-2, FileType.Q8_0: 5e-2}
"""The largest divergence that rounding explains, in nats a token; ternary weights are as they
are."""

_AGAIN = "convert it again; if that does not help, report it"


@dataclass(frozen=True)
class Verification:
    """What was found to be right.

    Attributes:
        tensors: that have the shape and type planned, and finite values.
        divergence: mean Kullback-Leibler divergence of the next token's probabilities from those
            that transformers computes, in nats; None where it was not asked.
        note: why it was not asked.
    """

    tensors: int
    divergence: float | None
    note: str = ""


def verify(
    path: Path, plan: Plan, folder: Path, *, trust_remote_code: bool = False
) -> Verification:
    """Check a finished file, of several parts the first, against its plan and its checkpoint.

    One pass over a few tokens is computed; where torch and transformers are installed their logits
    are compared. ``trust_remote_code``: transformers may run Python code of the checkpoint.

    Raises FileError, ModelError where something is wrong.
    """
    with GGUFFile.open(path) as file:
        _check_tensors(file, plan)
    if not plan.tensors:
        return Verification(0, None, "the file has no weights")
    tokens = _tokens(plan)
    own = _own_logits(path, tokens)
    reference, note = reference_logits(folder, tokens, trust_remote_code=trust_remote_code)
    if reference is None:
        return Verification(len(plan.tensors), None, note)
    found = divergence(reference, own)
    most = _MOST.get(plan.file_type)
    if not np.isfinite(found) or (most is not None and found > most):
        raise FileError(path, f"computes other logits than transformers (by {found:.3g})", _AGAIN)
    return Verification(len(plan.tensors), found)


def tokenizer_differences(path: Path, vocabulary: Vocabulary) -> list[Difference]:
    """Texts that a finished file cuts into other tokens than the checkpoint's own tokenizer.

    A corpus of texts that break tokenizers is tried; nothing is where the original cannot be run.
    """
    original = vocabulary.original
    if original is None:
        return []
    with GGUFFile.open(path) as file:
        tokenizer = Tokenizer.from_metadata(file.metadata, str(path))
    texts = nasty_texts(vocabulary.special_texts)
    return check_round_trip(original, tokenizer, texts)


def divergence(reference: Floats, own: Floats) -> float:
    """Mean over tokens of KL(softmax(reference) || softmax(own)); both are (tokens, vocabulary)."""
    width = min(reference.shape[1], own.shape[1])  # a vocabulary may be padded
    ours, theirs = (_log_softmax(logits[:, :width]) for logits in (own, reference))
    return float((np.exp(theirs) * (theirs - ours)).sum(axis=1).mean())


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _tokens(plan: Plan) -> list[int]:
    """Any tokens do; these are in every vocabulary of their size, and always the same."""
    rows = next(tensor.source.shape[0] for tensor in plan.tensors if tensor.name == EMBEDDING)
    drawn = np.random.default_rng(0).integers(0, rows, PROMPT_TOKENS)
    return [int(token) for token in drawn]


def _own_logits(path: Path, tokens: list[int]) -> Floats:
    """(tokens, vocabulary)"""
    from pyllama.cpus import default_threads
    from pyllama.model import Model
    from pyllama.session import Session

    session = Session(Model.load(path), context=len(tokens), threads=default_threads()[0])
    logits = session.evaluate(tokens, all_logits=True)
    if not np.isfinite(logits).all():
        raise FileError(path, "computes logits that are no finite numbers", _AGAIN)
    return logits


def _check_tensors(file: GGUFFile, plan: Plan) -> None:
    for tensor in plan.tensors:
        info = file.tensors.get(tensor.name)
        if info is None or (info.shape, info.type) != (tensor.source.shape, tensor.type):
            raise FileError(file.path, f"lacks the tensor {quoted(tensor.name)} as planned", _AGAIN)
        if not _is_finite(file, tensor.name):
            raise FileError(file.path, f"tensor {quoted(tensor.name)} is not finite", _AGAIN)


def _is_finite(file: GGUFFile, name: str) -> bool:
    info, data = file.tensors[name], file.data(name)
    step = _ELEMENTS // info.type.block_size * info.type.block_bytes
    for start in range(0, len(data), step):
        part = data[start : start + step]
        elements = len(part) // info.type.block_bytes * info.type.block_size
        if not np.isfinite(dequantize(part, info.type, (elements,))).all():
            return False
    return True
