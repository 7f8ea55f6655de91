"""Training: AdamW, a plateau, and a decay that ends with the budget; it resumes at checkpoints."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

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
    optimizer = make_optimizer(model, recipe)
    done = load_checkpoint(checkpoint, model, optimizer) if checkpoint.exists() else Done()
    loss_of: Any = torch.compile(model.loss) if recipe.compile else model.loss
    started = time.monotonic() - done.seconds
    saved_at, losses = time.monotonic(), []
    while recipe.progress(done) < 1.0:
        rate = recipe.rate(done)
        for group in optimizer.param_groups:
            group["lr"] = rate
        losses.append(optimize(model, loss_of, optimizer, windows.batch(done.steps), recipe.clip))
        done = Done(done.steps + 1, time.monotonic() - started)
        if not math.isfinite(losses[-1]):
            raise FloatingPointError(f"the loss is {losses[-1]} at step {done.steps}")
        if done.steps % REPORT_STEPS == 0:
            mean, losses = sum(losses) / len(losses), []
            spent = f"{recipe.progress(done):.1%} {done.seconds:.0f} s"
            report(f"step {done.steps} loss {mean:.4f} rate {rate:.2e} {spent}")
        if time.monotonic() - saved_at > recipe.checkpoint_seconds:
            save_checkpoint(checkpoint, model, optimizer, done)
            saved_at = time.monotonic()
    save_checkpoint(checkpoint, model, optimizer, done)
    return done


def optimize(
    model: Llama,
    loss_of: Any,
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
    clip: float,
) -> float:
    """One step; returns its loss in nats a token."""
    with torch.autocast("cpu", torch.bfloat16):
        loss: Tensor = loss_of(*batch)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return loss.item()


def make_optimizer(model: Llama, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; matrices decay, norms do not."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, betas=recipe.betas, fused=True)


def save_checkpoint(path: Path, model: Llama, optimizer: torch.optim.AdamW, done: Done) -> None:
    """Write the whole state; the file appears whole or not at all."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "steps": done.steps,
        "seconds": done.seconds,
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path, model: Llama, optimizer: torch.optim.AdamW | None = None) -> Done:
    """Restore the state that :func:`save_checkpoint` wrote."""
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    if optimizer is not None:
        optimizer.load_state_dict(state["optimizer"])
    return Done(state["steps"], state["seconds"])
