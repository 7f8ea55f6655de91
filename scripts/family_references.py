"""Plain torch models of families that transformers has no class for.

Written from the papers and the checkpoints' own descriptions. They have no cache: every call
computes all tokens, as ``make_family_goldens`` needs it of a class of transformers.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

torch: Any = import_module("torch")
safetensors: Any = import_module("safetensors.torch")


@dataclass
class Output:
    """What a call returns: logits, and the tokens so far in place of a cache."""

    logits: Any
    past_key_values: Any


class Values(dict[str, Any]):
    """config.json with attributes."""

    model_type = "reference"

    def __getattr__(self, name: str) -> Any:
        return self[name]

    @classmethod
    def from_pretrained(cls, folder: str) -> Values:
        """Read it from a folder."""
        return cls(json.loads((Path(folder) / "config.json").read_text()))


class Reference(ABC):
    """A decoder: subclasses name its parameters and compute its logits."""

    config_class = Values

    def __init__(self, config: Values) -> None:
        self.config = config
        self.heads = config["num_attention_heads"]
        self.key_heads = config.get("num_key_value_heads", self.heads)
        self.dim = config["hidden_size"] // self.heads
        self.layers = config.get("num_hidden_layers") or config["num_layers"]
        self.epsilon = config.get("rms_norm_eps") or config["layer_norm_epsilon"]
        self.base = config.get("rope_theta", 10000.0)
        self.weights = {name: torch.zeros(shape) for name, shape in self.shapes().items()}

    @abstractmethod
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every parameter."""

    @abstractmethod
    def logits(self, tokens: Any) -> Any:
        """(tokens, n_vocab) of all tokens of a sequence."""

    def save_pretrained(self, folder: str) -> None:
        """Write the weights."""
        safetensors.save_file(self.weights, str(Path(folder) / "model.safetensors"))

    @classmethod
    def from_pretrained(cls, folder: str, **_: Any) -> tuple[Reference, dict[str, Any]]:
        """Read a checkpoint."""
        model = cls(Values.from_pretrained(folder))
        weights = safetensors.load_file(str(Path(folder) / "model.safetensors"))
        shapes = {name: tuple(value.shape) for name, value in weights.items()}
        model.weights = weights
        return model, {} if shapes == model.shapes() else {"shapes": shapes}

    def eval(self) -> Reference:
        """The model itself, which is never trained."""
        return self

    def __call__(self, tokens: Any, past_key_values: Any = None, **_: Any) -> Output:
        """Logits of the tokens, after those that were computed before."""
        past = tokens[:, :0] if past_key_values is None else past_key_values
        sequence = torch.cat([past, tokens], dim=1)
        logits = self.logits(sequence[0])[past.shape[1] :]
        return Output(logits[None], sequence)

    # parts

    def linear(self, x: Any, name: str) -> Any:
        """x times a weight."""
        return x @ self.weights[f"{name}.weight"].T

    def norm(self, x: Any, name: str) -> Any:
        """RMS norm."""
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon)
        return x * scale * self.weights[f"{name}.weight"]

    def rotated(self, x: Any) -> Any:
        """x: (tokens, heads, d), its halves turned by position."""
        half = x.shape[-1] // 2
        frequencies = self.base ** (-torch.arange(half) / half)
        angles = torch.outer(torch.arange(len(x)), frequencies)[:, None]
        first, second = x[..., :half], x[..., half:]
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)

    def attend(self, q: Any, k: Any, v: Any, slopes: Any = None) -> Any:
        """q, k, v: (tokens, heads, d) -> (tokens, heads * d)."""
        shared = q.shape[1] // k.shape[1]
        k, v = (x.repeat_interleave(shared, dim=1) for x in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
        positions = torch.arange(len(q))
        if slopes is not None:
            scores = scores - slopes[:, None, None] * (positions[:, None] - positions)
        scores = scores.masked_fill(positions > positions[:, None], float("-inf"))
        return torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).flatten(1)

    def gated(self, x: Any, gate: str, up: str, down: str) -> Any:
        """A feed-forward gated by SiLU."""
        active = torch.nn.functional.silu(self.linear(x, gate)) * self.linear(x, up)
        return self.linear(active, down)

    def split(self, x: Any, heads: int) -> Any:
        """(tokens, heads * d) -> (tokens, heads, d)."""
        return x.unflatten(-1, (heads, -1))


class ExaoneForCausalLM(Reference):
    """EXAONE 3: Llama under other names."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See above."""
        c = self.config
        width, hidden, keys = c.hidden_size, c.intermediate_size, self.key_heads * self.dim
        table = (c.vocab_size, width)
        shapes = {"transformer.wte": table, "transformer.ln_f": (width,), "lm_head": table}
        for i in range(self.layers):
            layer = f"transformer.h.{i}"
            shapes |= {
                f"{layer}.ln_1": (width,),
                f"{layer}.attn.attention.q_proj": (width, width),
                f"{layer}.attn.attention.k_proj": (keys, width),
                f"{layer}.attn.attention.v_proj": (keys, width),
                f"{layer}.attn.attention.out_proj": (width, width),
                f"{layer}.ln_2": (width,),
                f"{layer}.mlp.c_fc_0": (hidden, width),
                f"{layer}.mlp.c_fc_1": (hidden, width),
                f"{layer}.mlp.c_proj": (width, hidden),
            }
        return {f"{name}.weight": shape for name, shape in shapes.items()}

    def logits(self, tokens: Any) -> Any:
        """See above."""
        x = self.weights["transformer.wte.weight"][tokens]
        for i in range(self.layers):
            layer = f"transformer.h.{i}"
            attention, mlp = f"{layer}.attn.attention", f"{layer}.mlp"
            normed = self.norm(x, f"{layer}.ln_1")
            q, k, v = (
                self.split(self.linear(normed, f"{attention}.{name}_proj"), heads)
                for name, heads in (("q", self.heads), ("k", self.key_heads), ("v", self.key_heads))
            )
            attended = self.attend(self.rotated(q), self.rotated(k), v)
            x = x + self.linear(attended, f"{attention}.out_proj")
            normed = self.norm(x, f"{layer}.ln_2")
            x = x + self.gated(normed, f"{mlp}.c_fc_0", f"{mlp}.c_fc_1", f"{mlp}.c_proj")
        return self.linear(self.norm(x, "transformer.ln_f"), "lm_head")


class InternLM2ForCausalLM(Reference):
    """InternLM 2: each group's queries, key and value stand side by side."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See above."""
        c = self.config
        width, hidden = c.hidden_size, c.intermediate_size
        table = (c.vocab_size, width)
        shapes = {"model.tok_embeddings": table, "model.norm": (width,), "output": table}
        for i in range(self.layers):
            layer = f"model.layers.{i}"
            shapes |= {
                f"{layer}.attention_norm": (width,),
                f"{layer}.attention.wqkv": ((self.heads + 2 * self.key_heads) * self.dim, width),
                f"{layer}.attention.wo": (width, width),
                f"{layer}.ffn_norm": (width,),
                f"{layer}.feed_forward.w1": (hidden, width),
                f"{layer}.feed_forward.w2": (width, hidden),
                f"{layer}.feed_forward.w3": (hidden, width),
            }
        return {f"{name}.weight": shape for name, shape in shapes.items()}

    def logits(self, tokens: Any) -> Any:
        """See above."""
        x = self.weights["model.tok_embeddings.weight"][tokens]
        for i in range(self.layers):
            layer = f"model.layers.{i}"
            fused = self.linear(self.norm(x, f"{layer}.attention_norm"), f"{layer}.attention.wqkv")
            groups = fused.unflatten(-1, (self.key_heads, -1, self.dim))
            q, k, v = groups[:, :, :-2].flatten(1, 2), groups[:, :, -2], groups[:, :, -1]
            attended = self.attend(self.rotated(q), self.rotated(k), v)
            x = x + self.linear(attended, f"{layer}.attention.wo")
            normed = self.norm(x, f"{layer}.ffn_norm")
            x = x + self.gated(normed, *(f"{layer}.feed_forward.w{n}" for n in (1, 3, 2)))
        return self.linear(self.norm(x, "model.norm"), "output")


class _LlamaNames(Reference):
    """Families whose parameters are called as Llama's."""

    fused = False

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """See above."""
        c = self.config
        width, hidden, keys = c.hidden_size, c.intermediate_size, self.key_heads * self.dim
        table = (c.vocab_size, width)
        shapes = {"model.embed_tokens": table, "model.norm": (width,)}
        if not c.tie_word_embeddings:
            shapes["lm_head"] = table
        separate = {"q_proj": (width, width), "k_proj": (keys, width), "v_proj": (keys, width)}
        projections = {"W_pack": (3 * width, width)} if self.fused else separate
        for i in range(self.layers):
            layer = f"model.layers.{i}"
            shapes |= {
                f"{layer}.input_layernorm": (width,),
                **{f"{layer}.self_attn.{name}": shape for name, shape in projections.items()},
                f"{layer}.self_attn.o_proj": (width, width),
                f"{layer}.post_attention_layernorm": (width,),
                **self.mlp_shapes(i, width, hidden),
            }
        return {f"{name}.weight": shape for name, shape in shapes.items()}

    def mlp_shapes(self, layer: int, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """Name -> shape of the matrices of a layer's feed-forward."""
        return self.gated_shapes(f"model.layers.{layer}.mlp", width, hidden)

    @staticmethod
    def gated_shapes(name: str, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """Those of a gated feed-forward."""
        return {
            f"{name}.gate_proj": (hidden, width),
            f"{name}.up_proj": (hidden, width),
            f"{name}.down_proj": (width, hidden),
        }

    def feed_forward(self, x: Any, name: str) -> Any:
        """The feed-forward of a name."""
        return self.gated(x, *(f"{name}.{part}_proj" for part in ("gate", "up", "down")))

    @abstractmethod
    def attention(self, x: Any, name: str) -> Any:
        """Attention of a layer, before its output matrix."""

    def hidden(self, tokens: Any, embedding_scale: float = 1.0, scale: float = 1.0) -> Any:
        """The normed states after all layers."""
        x = self.weights["model.embed_tokens.weight"][tokens] * embedding_scale
        for i in range(self.layers):
            layer = f"model.layers.{i}"
            normed = self.norm(x, f"{layer}.input_layernorm")
            attended = self.attention(normed, f"{layer}.self_attn")
            x = x + scale * self.linear(attended, f"{layer}.self_attn.o_proj")
            normed = self.norm(x, f"{layer}.post_attention_layernorm")
            x = x + scale * self.feed_forward(normed, f"{layer}.mlp")
        return self.norm(x, "model.norm")


class MiniCPMForCausalLM(_LlamaNames):
    """MiniCPM: Llama with three scales (Hu et al. 2024)."""

    def attention(self, x: Any, name: str) -> Any:
        """See above."""
        q, k, v = (
            self.split(self.linear(x, f"{name}.{part}_proj"), heads)
            for part, heads in (("q", self.heads), ("k", self.key_heads), ("v", self.key_heads))
        )
        return self.attend(self.rotated(q), self.rotated(k), v)

    def logits(self, tokens: Any) -> Any:
        """See above."""
        c = self.config
        x = self.hidden(tokens, c.scale_emb, c.scale_depth / math.sqrt(self.layers))
        return x / (c.hidden_size / c.dim_model_base) @ self.weights["model.embed_tokens.weight"].T


class BaichuanForCausalLM(_LlamaNames):
    """Baichuan: rotary positions (7B), or ALiBi (13B), whose context is called otherwise."""

    fused = True

    def attention(self, x: Any, name: str) -> Any:
        """See above."""
        q, k, v = (
            self.split(part, self.heads) for part in self.linear(x, f"{name}.W_pack").chunk(3, -1)
        )
        if self.config.get("max_position_embeddings"):
            return self.attend(self.rotated(q), self.rotated(k), v)
        slopes = 2.0 ** (-8.0 / self.heads * torch.arange(1, self.heads + 1))
        return self.attend(q, k, v, slopes)

    def logits(self, tokens: Any) -> Any:
        """See above."""
        return self.linear(self.hidden(tokens), "lm_head")


class DeepseekForCausalLM(MiniCPMForCausalLM):
    """DeepSeek MoE: Llama with experts behind its first layers (Dai et al. 2024)."""

    def mlp_shapes(self, layer: int, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """See above."""
        c, name = self.config, f"model.layers.{layer}.mlp"
        if layer < c.first_k_dense_replace:
            return super().mlp_shapes(layer, width, hidden)
        size, shared = c.moe_intermediate_size, c.moe_intermediate_size * c.n_shared_experts
        shapes = self.gated_shapes(f"{name}.shared_experts", width, shared)
        for expert in range(c.n_routed_experts):
            shapes |= self.gated_shapes(f"{name}.experts.{expert}", width, size)
        return shapes | {f"{name}.gate": (c.n_routed_experts, width)}

    def feed_forward(self, x: Any, name: str) -> Any:
        """See above."""
        if f"{name}.gate.weight" not in self.weights:
            return super().feed_forward(x, name)
        scores = self.linear(x, f"{name}.gate").softmax(-1)
        weights, chosen = scores.topk(self.config.num_experts_per_tok)
        if self.config.norm_topk_prob:
            weights = weights / weights.sum(-1, keepdim=True)
        out = super().feed_forward(x, f"{name}.shared_experts")
        for expert in range(self.config.n_routed_experts):
            rows, slots = torch.where(chosen == expert)
            result = super().feed_forward(x[rows], f"{name}.experts.{expert}")
            out = out.index_add(0, rows, weights[rows, slots, None] * result)
        return out

    def logits(self, tokens: Any) -> Any:
        """See above."""
        return self.linear(self.hidden(tokens), "lm_head")
