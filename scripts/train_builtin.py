"""Train the model that ships inside pyllama, and write its GGUF file and model card.

    pip install -e ".[dev]"
    python scripts/train_builtin.py --minutes 60 --out build/model

Text, seed and split are fixed; with ``--steps`` the schedule is too. Training goes on from the last
checkpoint in ``--work`` when it is started again, and a run that is done only exports.
"""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path

import numpy as np
import torch
from builtin_model import card, evaluation, export
from builtin_model.corpus import IM_START, Corpus, build_corpus, chat_turn, standard_library
from builtin_model.network import Llama, Shape
from builtin_model.training import Done, Recipe, Windows, train
from builtin_model.vocabulary import Ids, encode_documents, train_tokenizer
from tokenizers import Tokenizer

PACKAGE = Path(__file__).resolve().parent.parent / "pyllama" / "builtin"
DEFAULT_MINUTES = 60.0
WARM = 0.8  # temperature of the samples that are only printed
REFERENCE_PROMPTS = (
    card.PROMPT,
    "class Reader:\n    def __init__(self, path, encoding='utf-8'):\n        self.path = path\n",
    "import os\nimport sys\n\n\ndef main():\n    for name in sorted(os.listdir('.')):\n",
    "Zeichen außerhalb von ASCII: naïve café, 数字 12345, 😀",
)

log = logging.getLogger("train_builtin")


def main() -> None:
    """Corpus, tokenizer, training, measurement, export."""
    options = parse_options()
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    torch.set_num_threads(options.threads)
    recipe = make_recipe(options)
    options.work.mkdir(parents=True, exist_ok=True)
    corpus = build_corpus(standard_library(), recipe.seed)
    log.info("%d files to train on, %d held out", corpus.files, len(corpus.held_out))
    tokenizer = load_tokenizer(options.work / "tokenizer.json", corpus)
    documents = encode_documents(tokenizer, corpus.documents)
    train_tokens = sum(map(len, documents))
    log.info("%d tokens", train_tokens)
    model, done = run_training(documents, recipe, options.work / "checkpoint.pt")
    export.round_to_file(model)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / export.file_name(model)
    export.export(path, model, tokenizer)
    facts = measure(path, model, tokenizer, corpus, train_tokens, recipe, done)
    (options.out / "MODEL_CARD.md").write_text(card.render(facts), encoding="utf-8")
    log.info("%s: %d bytes; held out: %s", path, facts.file_bytes, facts.everything)
    print_samples(model, tokenizer)
    if options.reference:
        write_reference(options.reference, model, tokenizer)


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the model that ships inside pyllama.")
    parser.add_argument("--minutes", type=float, help="wall time to train for (60 without --steps)")
    parser.add_argument("--steps", type=float, default=math.inf, help="steps to train for")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--out", type=Path, default=PACKAGE, help="folder of the model and its card"
    )
    parser.add_argument("--work", type=Path, default=Path("build/builtin"), help="checkpoints")
    parser.add_argument("--reference", type=Path, help="write token ids and logits here (.npz)")
    parser.add_argument("--no-compile", action="store_true", help="train without torch.compile")
    return parser.parse_args()


def make_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe that the options ask for."""
    unbounded = DEFAULT_MINUTES if math.isinf(options.steps) else math.inf
    minutes = unbounded if options.minutes is None else options.minutes
    return Recipe(minutes, options.steps, options.seed, compile=not options.no_compile)


def load_tokenizer(path: Path, corpus: Corpus) -> Tokenizer:
    """The tokenizer of an earlier start, or a new one."""
    if not path.exists():
        train_tokenizer(corpus.documents, Shape.vocabulary).save(str(path))
    return Tokenizer.from_file(str(path))


def run_training(documents: list[Ids], recipe: Recipe, checkpoint: Path) -> tuple[Llama, Done]:
    """A trained network, and what was spent on it."""
    torch.manual_seed(recipe.seed)
    model = Llama(Shape())
    done = train(model, Windows(documents, model.shape, recipe), recipe, checkpoint, log.info)
    return model.eval(), done


def measure(
    path: Path,
    model: Llama,
    tokenizer: Tokenizer,
    corpus: Corpus,
    train_tokens: int,
    recipe: Recipe,
    done: Done,
) -> card.Facts:
    """Everything that the model card states."""
    library = [file for file in corpus.held_out if not file.is_test]
    request = chat_turn("user", card.REQUEST) + f"{IM_START}assistant\n"
    prompts = (card.PROMPT, request)
    continuation, answer = (
        evaluation.continue_text(model, tokenizer, prompt, card.SAMPLE_TOKENS, 0.0, recipe.seed)
        for prompt in prompts
    )
    return card.Facts(
        name=path.stem,
        file_bytes=path.stat().st_size,
        weights=sum(parameter.numel() for parameter in model.parameters()),
        shape=model.shape,
        corpus=corpus,
        train_tokens=train_tokens,
        recipe=recipe,
        done=done,
        threads=torch.get_num_threads(),
        everything=evaluation.score(model, tokenizer, corpus.held_out),
        library=evaluation.score(model, tokenizer, library),
        continuation=continuation.rstrip(),
        answer=answer.rstrip(),
    )


def print_samples(model: Llama, tokenizer: Tokenizer) -> None:
    """Continue the card's prompt greedily and warm."""
    for temperature, seed in ((0.0, 0), (WARM, 1), (WARM, 2), (WARM, 3)):
        text = evaluation.continue_text(
            model, tokenizer, card.PROMPT, card.SAMPLE_TOKENS, temperature, seed
        )
        print(f"--- temperature {temperature:g}, seed {seed}\n{card.PROMPT}{text}")


@torch.no_grad()
def write_reference(path: Path, model: Llama, tokenizer: Tokenizer) -> None:
    """Token ids (tokens,) and float32 logits (tokens, vocabulary) of each reference prompt."""
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {}
    for index, ids in enumerate(encode_documents(tokenizer, REFERENCE_PROMPTS)):
        tokens = ids.astype(np.int64)
        arrays[f"ids_{index}"] = tokens
        arrays[f"logits_{index}"] = model(torch.from_numpy(tokens)[None])[0].numpy()
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
