"""Training: Muon and AdamW, a plateau and a final decay within a budget; resumes at checkpoints."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .network import Llama, Shape
from .vocabulary import Ids

REPORT_STEPS = 50


@dataclass(frozen=True)
class Recipe:
    """How to train; ``minutes`` and ``steps`` bound it, whichever is reached first."""

    minutes: float = math.inf
    steps: float = math.inf
    seed: int = 20
    rows: int = 8  # windows of the full context in a step
    peak_rate: float = 3e-3
    warmup_steps: int = 150
    decay_from: float = 0.6  # share of the budget after which the rate falls to zero
    weight_decay: float = 0.1
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0
    snapped: float = 0.25  # share of the windows that begin where a document begins
    checkpoint_seconds: float = 120.0
    compile: bool = True

    def progress(self, done: Done) -> float:
        """Share of the budget that is used, in [0, 1]."""
        return min(1.0, max(done.seconds / (60 * self.minutes), done.steps / self.steps))

    def rate(self, done: Done) -> float:
        """Learning rate of the next step: warm-up, plateau, linear decay."""
        warm = min(1.0, (done.steps + 1) / self.warmup_steps)
        left = (1.0 - self.progress(done)) / (1.0 - self.decay_from)
        return self.peak_rate * warm * min(1.0, left)


class Done(NamedTuple):
    """What has been spent: optimizer steps, and seconds of wall time (pauses included)."""

    steps: int = 0
    seconds: float = 0.0


class Windows:
    """Random windows of the training stream; a step's windows depend on seed and step alone."""

    def __init__(self, documents: list[Ids], shape: Shape, recipe: Recipe) -> None:
        order = np.random.default_rng(recipe.seed).permutation(len(documents))
        ordered = [documents[i] for i in order]
        self.ids = np.concatenate(ordered)
        ends = np.cumsum([len(ids) for ids in ordered])
        self.last = len(self.ids) - shape.context - 1
        starts = np.concatenate([[0], ends[:-1]])
        self.starts = starts[starts <= self.last]
        self.context = shape.context
        self.recipe = recipe

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of ``step``, each (rows, context) int64."""
        rng = np.random.default_rng((self.recipe.seed, step))
        rows = self.recipe.rows
        anywhere = rng.integers(0, self.last + 1, rows)
        begin = np.where(
            rng.random(rows) < self.recipe.snapped, rng.choice(self.starts, rows), anywhere
        )
        window = self.ids[begin[:, None] + np.arange(self.context + 1)].astype(np.int64)
        ids = torch.from_numpy(window)
        return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def train(
    model: Llama,
    windows: Windows,
    recipe: Recipe,
    checkpoint: Path,
    report: Callable[[str], None],
) -> Done:
    """Train ``model`` until the budget is spent, going on from ``checkpoint`` where it exists."""
    optimizers = make_optimizers(model, recipe)
    done = load_checkpoint(checkpoint, model, optimizers) if checkpoint.exists() else Done()
    loss_of: Any = torch.compile(model.loss) if recipe.compile else model.loss
    started = time.monotonic() - done.seconds
    saved_at, losses = time.monotonic(), []
    while recipe.progress(done) < 1.0:
        rate = recipe.rate(done)
        for group in chain.from_iterable(optimizer.param_groups for optimizer in optimizers):
            group["lr"] = rate
        losses.append(optimize(model, loss_of, optimizers, windows.batch(done.steps), recipe.clip))
        done = Done(done.steps + 1, time.monotonic() - started)
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss is {losses[-1]} at step {done.steps}")
        if done.steps % REPORT_STEPS == 0:
            mean, losses = sum(losses) / len(losses), []
            spent = f"{recipe.progress(done):.1%} {done.seconds:.0f} s"
            report(f"step {done.steps} loss {mean:.4f} rate {rate:.2e} {spent}")
        if time.monotonic() - saved_at > recipe.checkpoint_seconds:
            save_checkpoint(checkpoint, model, optimizers, done)
            saved_at = time.monotonic()
    save_checkpoint(checkpoint, model, optimizers, done)
    return done


def optimize(
    model: Llama,
    loss_of: Any,
    optimizers: list[Optimizer],
    batch: tuple[Tensor, Tensor],
    clip: float,
) -> float:
    """One step; returns its loss in nats a token."""
    with torch.autocast("cpu", torch.bfloat16):
        loss: Tensor = loss_of(*batch)
    model.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


def make_optimizers(model: Llama, recipe: Recipe) -> list[Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for the embedding and the norms.

    Muon orthogonalizes the momentum of a matrix, see https://kellerjordan.github.io/posts/muon;
    scaled to the size of AdamW's updates it takes the same rate.
    """
    inner = [p for p in model.blk.parameters() if p.ndim > 1]
    norms = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": [model.token_embd.weight], "weight_decay": recipe.weight_decay},
        {"params": norms, "weight_decay": 0.0},
    ]
    return [
        torch.optim.Muon(
            inner,
            lr=recipe.peak_rate,
            weight_decay=recipe.weight_decay,
            momentum=recipe.momentum,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=recipe.betas, fused=True),
    ]


def save_checkpoint(path: Path, model: Llama, optimizers: list[Optimizer], done: Done) -> None:
    """Write the whole state; the file appears whole or not at all."""
    state = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        "steps": done.steps,
        "seconds": done.seconds,
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path, model: Llama, optimizers: Iterable[Optimizer] = ()) -> Done:
    """Restore the state that :func:`save_checkpoint` wrote."""
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, optimizer_state in zip(optimizers, state["optimizers"], strict=False):
        optimizer.load_state_dict(optimizer_state)
    return Done(state["steps"], state["seconds"])
