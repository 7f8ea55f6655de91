"""The model inside the package: what the file says, what it weighs, and that it knows Python.

The network is computed here in NumPy, straight from the file, with the formulas of the Llama
architecture; it shares nothing with the runtime but the reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tokenizers
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer, models, pre_tokenizers

import pyllama.tokenizers
from pyllama import builtin
from pyllama.errors import FileError
from pyllama.gguf import GGUFFile, TensorType

MAX_BYTES = 10_000_000
MAX_CARD_BYTES = 20_000
WIDTH, LAYERS, HEADS, KV_HEADS, HEAD, FEED_FORWARD = 256, 6, 4, 2, 64, 512
VOCABULARY = 4096
SUPERBLOCK = 256
SNIPPET = '''def count_words(path, encoding="utf-8"):
    """Return the number of words in a file."""
    result = 0
    with open(path, encoding=encoding) as file:
        for line in file:
            result += len(line.split())
    return result


class Counter:
    def __init__(self, name, value=None):
        self.name = name
        self.value = value

    def __repr__(self):
        return f"{self.__class__.__name__}({self.name!r})"
'''

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> Iterator[GGUFFile]:
    with GGUFFile.open(builtin.path()) as file:
        yield file


@pytest.fixture(scope="module")
def weights(model: GGUFFile) -> dict[str, Floats]:
    dtypes = {TensorType.F16: "<f2", TensorType.F32: "<f4"}
    return {
        name: model.data(name).view(dtypes[info.type]).reshape(info.shape).astype(np.float32)
        for name, info in model.tensors.items()
    }


@pytest.fixture(scope="module")
def oracle(model: GGUFFile) -> Tokenizer:
    """The tokenizer, built from the file's keys by what GGUF means with them."""
    vocabulary = {token: i for i, token in enumerate(model.metadata["tokenizer.ggml.tokens"])}
    merges = [tuple(merge.split(" ")) for merge in model.metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer


def test_path_is_the_packaged_file() -> None:
    assert builtin.path() == Path(builtin.__file__).with_name(builtin.NAME)


def test_a_package_without_the_model_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "NAME", "absent.gguf")
    with pytest.raises(FileError, match=r"absent\.gguf: the built-in model is missing; install"):
        builtin.path()


def test_sizes() -> None:
    assert builtin.path().stat().st_size <= MAX_BYTES
    assert builtin.path().with_name("MODEL_CARD.md").stat().st_size <= MAX_CARD_BYTES


def test_the_card_describes_this_file(model: GGUFFile) -> None:
    card = builtin.path().with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith(f"# {builtin.path().stem}\n")
    assert f"| {builtin.path().stat().st_size:,} bytes" in card
    assert "Python Software Foundation License" in card
    assert "perplexity" in card
    assert model.metadata["general.size_label"] in builtin.NAME


def test_metadata(model: GGUFFile) -> None:
    expected = {
        "general.architecture": "llama",
        "general.type": "model",
        "general.license": "mit",
        "general.file_type": 1,
        "general.quantization_version": 2,
        "llama.vocab_size": VOCABULARY,
        "llama.context_length": 1024,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": FEED_FORWARD,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KV_HEADS,
        "llama.rope.dimension_count": HEAD,
        "llama.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
        "tokenizer.ggml.eot_token_id": 2,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
    }
    assert {key: model.metadata[key] for key in expected} == expected
    epsilon = model.metadata["llama.attention.layer_norm_rms_epsilon"]
    assert epsilon == pytest.approx(1e-5, rel=1e-6)


def test_tensors(model: GGUFFile) -> None:
    matrices = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (KV_HEADS * HEAD, WIDTH),
        "attn_v": (KV_HEADS * HEAD, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (FEED_FORWARD, WIDTH),
        "ffn_up": (FEED_FORWARD, WIDTH),
        "ffn_down": (WIDTH, FEED_FORWARD),
    }
    expected: dict[str, tuple[tuple[int, ...], TensorType]] = {
        "token_embd.weight": ((VOCABULARY, WIDTH), TensorType.F16),
        "output_norm.weight": ((WIDTH,), TensorType.F32),
    }
    for layer in range(LAYERS):
        for name, shape in matrices.items():
            expected[f"blk.{layer}.{name}.weight"] = shape, TensorType.F16
        for name in ("attn_norm", "ffn_norm"):
            expected[f"blk.{layer}.{name}.weight"] = (WIDTH,), TensorType.F32
    assert {name: (info.shape, info.type) for name, info in model.tensors.items()} == expected


def test_every_matrix_can_be_k_quantized(model: GGUFFile) -> None:
    columns = [info.shape[-1] for info in model.tensors.values() if len(info.shape) == 2]
    assert columns
    assert not any(n % SUPERBLOCK for n in columns)


def test_weights_are_finite_and_trained(weights: dict[str, Floats]) -> None:
    for name, array in weights.items():
        assert np.isfinite(array).all(), name
        assert array.std() > 1e-3, name  # untrained norms are all ones


def test_vocabulary(model: GGUFFile) -> None:
    tokens = list(model.metadata["tokenizer.ggml.tokens"])
    types = list(model.metadata["tokenizer.ggml.token_type"])
    assert len(tokens) == len(set(tokens)) == len(types) == VOCABULARY
    assert tokens[:3] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert types == [3] * 3 + [1] * (VOCABULARY - 3)
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    assert alphabet <= set(tokens)  # every byte has a token, so every text can be written
    known = set(tokens)
    for merge in model.metadata["tokenizer.ggml.merges"]:
        left, right = merge.split(" ")
        assert {left, right, left + right} <= known


def test_chat_template(model: GGUFFile) -> None:
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(model.metadata["tokenizer.chat_template"])
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    turns = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
    assert template.render(messages=messages) == turns
    asked = template.render(messages=messages, add_generation_prompt=True)
    assert asked == turns + "<|im_start|>assistant\n"


@pytest.mark.parametrize(
    "text", [SNIPPET, "naïve 数字 12345\t😀\r\n\n  x", "\n        return  None"]
)
def test_tokens_give_the_text_back(oracle: Tokenizer, text: str) -> None:
    assert oracle.decode(oracle.encode(text).ids) == text


@pytest.mark.parametrize("text", [SNIPPET, "naïve 数字 12345\t😀\r\n\n  x", "it's <|im_end|>", ""])
def test_pyllama_tokenizes_it_as_trained(model: GGUFFile, oracle: Tokenizer, text: str) -> None:
    assert pyllama.tokenizers.Tokenizer.from_gguf(model).encode(text) == [
        0,
        *oracle.encode(text).ids,
    ]


def test_special_tokens(model: GGUFFile) -> None:
    tokenizer = pyllama.tokenizers.Tokenizer.from_gguf(model)
    assert tokenizer.encode("<|im_start|>a<|im_end|>", parse_special=True)[1::2] == [1, 2]
    assert {0, 2} <= tokenizer.end_of_generation


def test_indented_code_takes_few_tokens(oracle: Tokenizer) -> None:
    assert len(SNIPPET) / len(oracle.encode(SNIPPET).ids) > 3.0


def test_it_knows_python(weights: dict[str, Floats], oracle: Tokenizer) -> None:
    ids = np.array([0, *oracle.encode(SNIPPET).ids])
    shuffled = np.concatenate([[0], np.random.default_rng(0).permutation(ids[1:])])
    assert cross_entropy(weights, ids) < 2.0  # nats a token; a blind guess costs 8.3
    assert cross_entropy(weights, shuffled) > 6.0


def cross_entropy(weights: dict[str, Floats], ids: npt.NDArray[np.int64]) -> float:
    """Nats a token of ``ids`` (tokens,) after the first."""
    chances = softmax(logits(weights, ids[:-1]))
    return float(-np.log(chances[np.arange(len(ids) - 1), ids[1:]]).mean())


def logits(weights: dict[str, Floats], ids: npt.NDArray[np.int64]) -> Floats:
    """Logits (tokens, vocabulary) of ``ids`` (tokens,)."""
    x = weights["token_embd.weight"][ids]
    for layer in range(LAYERS):
        w = {name: weights[f"blk.{layer}.{name}.weight"] for name in MATRICES_AND_NORMS}
        y = rms_norm(x, w["attn_norm"])
        q, k, v = (heads(y @ w[name].T) for name in ("attn_q", "attn_k", "attn_v"))
        x = x + attention(rope(q), rope(k), v) @ w["attn_output"].T
        y = rms_norm(x, w["ffn_norm"])
        gate = y @ w["ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w["ffn_up"].T)) @ w["ffn_down"].T
    result: Floats = rms_norm(x, weights["output_norm.weight"]) @ weights["token_embd.weight"].T
    return result


MATRICES_AND_NORMS = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"),
    *("ffn_norm", "ffn_gate", "ffn_up", "ffn_down"),
)


def rms_norm(x: Floats, weight: Floats) -> Floats:
    result: Floats = x / np.sqrt((x**2).mean(-1, keepdims=True) + np.float32(1e-5)) * weight
    return result


def heads(x: Floats) -> Floats:
    """(tokens, heads * head) to (heads, tokens, head)."""
    return x.reshape(len(x), -1, HEAD).transpose(1, 0, 2)


def rope(x: Floats) -> Floats:
    """Turn the pairs (2i, 2i + 1) of ``x``: (heads, tokens, head)."""
    angles = np.outer(np.arange(x.shape[1]), 10000.0 ** (-np.arange(0, HEAD, 2) / HEAD))
    pairs = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * angles)
    return np.stack([pairs.real, pairs.imag], -1).reshape(x.shape).astype(np.float32)


def attention(q: Floats, k: Floats, v: Floats) -> Floats:
    """Causal; (heads, tokens, head) and twice (kv heads, tokens, head) to (tokens, width)."""
    k, v = (np.repeat(rows, HEADS // KV_HEADS, axis=0) for rows in (k, v))
    scores = q @ k.transpose(0, 2, 1) / np.float32(np.sqrt(HEAD))
    future = np.triu(np.ones(scores.shape[1:], dtype=bool), 1)
    mixed = softmax(np.where(future, -np.inf, scores).astype(np.float32)) @ v
    return mixed.transpose(1, 0, 2).reshape(q.shape[1], -1)


def softmax(x: Floats) -> Floats:
    powers = np.exp(x - x.max(-1, keepdims=True))
    result: Floats = powers / powers.sum(-1, keepdims=True)
    return result
