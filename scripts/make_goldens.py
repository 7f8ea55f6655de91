"""Make the golden logits in tests/models/goldens with transformers and torch, in float32.

    python scripts/make_goldens.py [CASE ...]

Needs the extra ``dev``; run it when the table in tests/models/cases.py changes. A golden file holds

    tokens            int32   (prompt + decode,)     what the model reads
    prefill_at        int32   (positions,)           where the logits of one call for all tokens
    prefill           float32 (positions, n_vocab)   were taken
    decode_at         int32   (positions,)           the same, from one call for the prompt (its
    decode            float32 (positions, n_vocab)   last position), then one call for each token

Both are stored since dynamic scaling of the rotation makes them differ: transformers rotates the
tokens of a call for the length reached by that call, and leaves the keys of its cache as they are.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

from models.case import Case
from models.cases import CASES
from models.golden import Golden, path_of, save
from models.weights import Array, tokens, weights

SAMPLES = 16
"""Positions kept of each kind."""

# By name: the tests' environment, where types are checked, has no torch.
torch: Any = import_module("torch")
transformers: Any = import_module("transformers")


def main(names: list[str]) -> None:
    """Write the golden files of the named cases, or of all."""
    if unknown := set(names) - {case.name for case in CASES}:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for case in CASES:
        if not names or case.name in names:
            golden = make(case)
            save(golden, path_of(case))
            size = path_of(case).stat().st_size
            spread = golden.prefill.std()
            print(f"{case.name:28} {size:6} bytes, standard deviation of logits {spread:.2f}")


def make(case: Case) -> Golden:
    """Evaluate the case's tokens both ways and keep samples."""
    ids = tokens(case)
    prefill, decode = prefill_logits(case, ids), decode_logits(case, ids)
    prefill_at = samples(0, len(ids))
    decode_at = samples(case.prompt - 1, len(ids))
    return Golden(
        tokens=ids,
        prefill_at=prefill_at,
        prefill=prefill[prefill_at],
        decode_at=decode_at,
        decode=decode[decode_at - (case.prompt - 1)],
    )


def samples(first: int, end: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Evenly spaced positions of [first, end), both ends among them."""
    return np.unique(np.linspace(first, end - 1, SAMPLES).round()).astype(np.int32)


def build(case: Case) -> Any:
    """The case's model in transformers; new for each use, as it remembers its longest call."""
    config = transformers.AutoConfig.for_model(case.family.model_type, **case.config)
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", dtype=torch.float32
    )
    state = {name: torch.from_numpy(value) for name, value in weights(case).items()}
    if case.config["tie_word_embeddings"]:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, strict=True)
    return model.eval()


def prefill_logits(case: Case, ids: np.ndarray[Any, Any]) -> Array:
    """Logits of every position from one call: (tokens, n_vocab)."""
    with torch.inference_mode():
        return _array(build(case)(torch.from_numpy(ids).long()[None]).logits[0])


def decode_logits(case: Case, ids: np.ndarray[Any, Any]) -> Array:
    """Logits after the prompt and after each further token: (1 + decode, n_vocab)."""
    model, sequence = build(case), torch.from_numpy(ids).long()[None]
    with torch.inference_mode():
        step = model(sequence[:, : case.prompt], use_cache=True)
        rows = [step.logits[0, -1]]
        for position in range(case.prompt, len(ids)):
            step = model(
                sequence[:, position : position + 1],
                past_key_values=step.past_key_values,
                use_cache=True,
            )
            rows.append(step.logits[0, -1])
    return _array(torch.stack(rows))


def _array(logits: Any) -> Array:
    values: Array = logits.numpy().astype(np.float32)
    return values


if __name__ == "__main__":
    main(sys.argv[1:])
