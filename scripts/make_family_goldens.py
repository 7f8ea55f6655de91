"""Make the golden logits in tests/families/goldens with transformers and torch, in float32.

    python scripts/make_family_goldens.py [CASE ...]

Needs the extra ``dev``; run it for what changes in tests/families/cases. What a golden file holds
is said in tests/families/golden.py. transformers loads the very checkpoint that the tests convert.
Before a golden file is written, every key that its case says to matter is changed, and every tensor
is drawn anew, each alone: the logits must show it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

sys.path.append(str(Path(__file__).resolve().parent))
sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from families.case import Case
from families.cases import CASES
from families.checkpoint import write_checkpoint
from families.golden import Golden, path_of, save
from families.weights import Array, draw, draw_all, draw_tokens
from models.golden import relative_error

SAMPLES = 8
"""Positions kept of each kind."""
NOTICEABLE = 1e-3
"""Of the largest logit: ten times what tests tolerate."""

# By name: the tests' environment, where types are checked, has no torch.
torch: Any = import_module("torch")
transformers: Any = import_module("transformers")
references: Any = import_module("family_references")


def main(names: list[str]) -> None:
    """Write the golden files of the named cases, or of all."""
    if unknown := set(names) - {case.name for case in CASES}:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    for case in CASES:
        if not names or case.name in names:
            golden = make(case)
            check(case, golden)
            save(golden, path_of(case.name))
            size = path_of(case.name).stat().st_size
            spread = golden.prefill.std()
            print(f"{case.name:28} {size:6} bytes, standard deviation of logits {spread:.2f}")


def make(case: Case) -> Golden:
    """Evaluate the case's tokens both ways and keep samples."""
    config = {"architectures": [case.architecture], **case.config}
    model_class = find_class(case)
    if issubclass(model_class, transformers.PreTrainedModel):
        config["model_type"] = model_class.config_class.model_type
    shapes = shapes_of(model_class, config)
    ids = draw_tokens(case.name, case.prompt + case.decode, config["vocab_size"])
    model = load(model_class, config, draw_all(case.name, shapes))
    prefill, decode = prefill_logits(model, ids), decode_logits(model, ids, case.prompt)
    prefill_at, decode_at = samples(0, len(ids)), samples(case.prompt - 1, len(ids))
    return Golden(
        config=config,
        parameters=shapes,
        tokens=ids,
        prefill_at=prefill_at,
        prefill=prefill[prefill_at],
        decode_at=decode_at,
        decode=decode[decode_at - (case.prompt - 1)],
    )


def find_class(case: Case) -> Any:
    """The case's class in transformers, or the reference where that has none."""
    return getattr(transformers, case.architecture, None) or getattr(references, case.architecture)


def samples(first: int, end: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Evenly spaced positions of [first, end), both ends among them."""
    return np.unique(np.linspace(first, end - 1, SAMPLES).round()).astype(np.int32)


def shapes_of(model_class: Any, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors that the class saves for a configuration."""
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder), config, {})
        model_config = model_class.config_class.from_pretrained(folder)
        model_class(model_config).save_pretrained(folder)
        with safe_open(Path(folder) / "model.safetensors", "np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in sorted(file.keys())}


def load(model_class: Any, config: Mapping[str, Any], tensors: Mapping[str, Array]) -> Any:
    """The model that a checkpoint describes; exits when it does not fit."""
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(Path(folder), config, tensors)
        model, info = model_class.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation="eager",
            output_loading_info=True,
        )
    if wrong := {kind: names for kind, names in info.items() if names}:
        sys.exit(f"{model_class.__name__} does not load: {wrong}")
    return model.eval()


def check(case: Case, golden: Golden) -> None:
    """Exit with a message when a mistake would not be seen."""
    model_class, weights = find_class(case), draw_all(case.name, golden.parameters)
    for key, value in case.matters:
        model = load(model_class, {**golden.config, key: value}, weights)
        expect_difference(case, golden, model, f"{key} = {value}")
    for name, shape in golden.parameters.items():
        if not name.endswith(case.unseen or "..."):
            others = {name: draw(f"{case.name} again", name, shape)}
            model = load(model_class, golden.config, weights | others)
            expect_difference(case, golden, model, name)


def expect_difference(case: Case, golden: Golden, model: Any, change: str) -> None:
    """Exit with a message when a changed model gives the golden logits."""
    logits = prefill_logits(model, golden.tokens)[golden.prefill_at]
    if not relative_error(logits, golden.prefill) > NOTICEABLE:
        sys.exit(f"{case.name}: the logits do not depend on {change}")


def prefill_logits(model: Any, ids: np.ndarray[Any, Any]) -> Array:
    """Logits of every position from one call: (tokens, n_vocab)."""
    with torch.inference_mode():
        return _array(model(torch.from_numpy(ids).long()[None], use_cache=False).logits[0])


def decode_logits(model: Any, ids: np.ndarray[Any, Any], prompt: int) -> Array:
    """Logits after the prompt and after each further token: (1 + decode, n_vocab)."""
    sequence = torch.from_numpy(ids).long()[None]
    with torch.inference_mode():
        step = model(sequence[:, :prompt], use_cache=True)
        rows = [step.logits[0, -1]]
        for position in range(prompt, len(ids)):
            token = sequence[:, position : position + 1]
            step = model(token, past_key_values=step.past_key_values, use_cache=True)
            rows.append(step.logits[0, -1])
    return _array(torch.stack(rows))


def _array(logits: Any) -> Array:
    values: Array = logits.numpy().astype(np.float32)
    return values


if __name__ == "__main__":
    main(sys.argv[1:])
