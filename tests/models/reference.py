"""A plain NumPy forward pass of the llama, qwen2 and qwen3 families, in float64.

An oracle that shares nothing with the runtime but the GGUF file: one sequence, no batches, every
formula where it is used. The golden logits prove it, and it then says what the golden files
cannot: the logits of any other split of the tokens into calls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INTERLEAVED = {"llama": True, "qwen2": False, "qwen3": False}
"""Architecture -> the rotated pairs are neighbours (2i, 2i+1), not (i, i + dim/2)."""


@dataclass(frozen=True)
class Rotation:
    """Angles a position turns each pair by, and what the turned pairs are multiplied with."""

    frequencies: Array
    """(dim / 2,), radians a position."""
    scale: float


class Reference:
    """One sequence: keeps its keys and values, and returns logits."""

    def __init__(self, metadata: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        architecture = metadata["general.architecture"]
        start = architecture + "."
        self.settings = {
            key.removeprefix(start): value
            for key, value in metadata.items()
            if key.startswith(start)
        }
        self.tensors = {name: np.asarray(array, np.float64) for name, array in tensors.items()}
        self.interleaved = INTERLEAVED[architecture]
        self.heads: int = self.settings["attention.head_count"]
        self.kv_heads: int = self.settings.get("attention.head_count_kv", self.heads)
        width = self.settings["embedding_length"] // self.heads
        self.head_dim: int = self.settings.get("attention.key_length", width)
        self.past = 0
        self.cache: dict[str, tuple[Array, Array]] = {}

    def evaluate(self, tokens: NDArray[np.int32]) -> Array:
        """Append the tokens to the sequence and return the logits of each: (tokens, n_vocab)."""
        embeddings = self.tensors["token_embd.weight"]
        positions = self.past + np.arange(len(tokens))
        turn = rotation(self.settings, self.tensors, self.head_dim, self.past + len(tokens))
        x = embeddings[tokens]
        for layer in range(self.settings["block_count"]):
            block = f"blk.{layer}."
            x = x + self.attention(block, self.norm(block + "attn_norm", x), positions, turn)
            x = x + self.mlp(block, self.norm(block + "ffn_norm", x))
        self.past += len(tokens)
        x = self.norm("output_norm", x)
        logits: Array = x @ self.tensors.get("output.weight", embeddings).T
        return logits

    def norm(self, name: str, x: Array) -> Array:
        """Divide by the root of the mean square over the last axis; multiply with the weight."""
        epsilon = self.settings["attention.layer_norm_rms_epsilon"]
        root: Array = np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon)
        return x / root * self.tensors[name + ".weight"]

    def linear(self, name: str, x: Array) -> Array:
        """The named projection, with its bias if it has one."""
        product: Array = x @ self.tensors[name + ".weight"].T
        return product + self.tensors.get(name + ".bias", 0.0)

    def mlp(self, block: str, x: Array) -> Array:
        """SwiGLU: down(silu(gate) * up)."""
        gate, up = self.linear(block + "ffn_gate", x), self.linear(block + "ffn_up", x)
        return self.linear(block + "ffn_down", gate / (1 + np.exp(-gate)) * up)

    def attention(self, block: str, x: Array, positions: NDArray[np.intp], turn: Rotation) -> Array:
        """Causal attention of new tokens (tokens, hidden) to all so far; grows the cache."""
        queries = self.rotated(block + "attn_q", x, positions, turn, self.heads)
        keys = self.rotated(block + "attn_k", x, positions, turn, self.kv_heads)
        values = self.linear(block + "attn_v", x).reshape(len(x), self.kv_heads, -1)
        if self.past:
            old_keys, old_values = self.cache[block]
            keys, values = np.concatenate([old_keys, keys]), np.concatenate([old_values, values])
        self.cache[block] = keys, values
        group = self.heads // self.kv_heads
        keys, values = np.repeat(keys, group, axis=1), np.repeat(values, group, axis=1)
        # scores: (heads, tokens, past + tokens)
        scores = np.einsum("qhd,khd->hqk", queries, keys) / math.sqrt(self.head_dim)
        distance = positions[:, None] - np.arange(len(keys))
        window = self.settings.get("attention.sliding_window") or len(keys)
        scores[:, (distance < 0) | (distance >= window)] = -np.inf
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hqk,khd->qhd", weights, values).reshape(len(x), -1)
        return self.linear(block + "attn_output", mixed)

    def rotated(
        self, name: str, x: Array, positions: NDArray[np.intp], turn: Rotation, heads: int
    ) -> Array:
        """Queries or keys (tokens, heads, head_dim), normalized if they have a norm, rotated."""
        heads_of = self.linear(name, x).reshape(len(x), heads, self.head_dim)
        if name + "_norm.weight" in self.tensors:
            heads_of = self.norm(name + "_norm", heads_of)
        angles = (positions[:, None] * turn.frequencies)[:, None, :]
        cosine, sine = np.cos(angles) * turn.scale, np.sin(angles) * turn.scale
        half = self.head_dim // 2
        first = np.s_[..., 0::2] if self.interleaved else np.s_[..., :half]
        second = np.s_[..., 1::2] if self.interleaved else np.s_[..., half:]
        out = np.empty_like(heads_of)
        out[first] = heads_of[first] * cosine - heads_of[second] * sine
        out[second] = heads_of[second] * cosine + heads_of[first] * sine
        return out


def rotation(
    settings: Mapping[str, Any], tensors: Mapping[str, Array], dim: int, reached: int
) -> Rotation:
    """The rotation for a call after which the sequence has ``reached`` tokens.

    ``tensors`` may hold ``rope_freqs.weight``, the divisors of Llama 3.1.
    """
    base = settings.get("rope.freq_base", 10000.0)
    factor = settings.get("rope.scaling.factor", 1.0)
    scale = settings.get("rope.scaling.attn_factor", 1.0)
    kind = settings.get("rope.scaling.type", "linear")
    if kind == "dynamic":
        base = dynamic_base(settings, base, dim, reached)
    frequencies = base ** (-np.arange(0, dim, 2) / dim)
    if kind == "linear":
        frequencies = frequencies / factor
    if kind == "yarn":
        kept = yarn_kept(settings, base, dim)
        frequencies = frequencies * kept + frequencies / factor * (1 - kept)
        scale *= settings.get("rope.scaling.yarn_attn_factor", 0.1 * math.log(factor) + 1)
    return Rotation(frequencies / tensors.get("rope_freqs.weight", 1.0), scale)


def dynamic_base(settings: Mapping[str, Any], base: float, dim: int, reached: int) -> float:
    """Base of the frequencies under dynamic NTK scaling: grows once past the original context.

    Source: transformers' rope type ``dynamic``; a base for the length that the call reaches.
    """
    original = settings.get("rope.scaling.original_context_length", settings["context_length"])
    factor = settings["rope.scaling.factor"]
    stretch: float = factor * max(reached, original) / original - (factor - 1)
    return float(base * stretch ** (dim / (dim - 2)))


def yarn_kept(settings: Mapping[str, Any], base: float, dim: int) -> Array:
    """Share of its own frequency that each pair keeps under YaRN, the rest being interpolated.

    (dim / 2,): one for pairs that turn more than ``beta_fast`` times in the original context, zero
    below ``beta_slow`` times, a line over the pairs' indices between. Source: Peng et al., YaRN
    (arXiv 2309.00071), section 3.2, with the rounding outwards of the authors' code.
    """
    original = settings.get("rope.scaling.original_context_length", settings["context_length"])

    def pair_turning(times: float) -> float:
        return dim * math.log(original / (times * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(pair_turning(settings.get("rope.scaling.yarn_beta_fast", 32.0))), 0)
    high = min(math.ceil(pair_turning(settings.get("rope.scaling.yarn_beta_slow", 1.0))), dim - 1)
    ramp = (np.arange(dim // 2) - low) / max(high - low, 0.001)
    return 1.0 - np.clip(ramp, 0.0, 1.0)
