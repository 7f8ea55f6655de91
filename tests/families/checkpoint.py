"""Writes a tiny checkpoint as Hugging Face models have it: config.json, weights, tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from families.weights import Array

SPECIAL = ("<s>", "</s>")


def write_checkpoint(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
    """Fill a folder with a checkpoint; what an earlier one left is replaced."""
    (folder / "config.json").write_text(json.dumps(config))
    save_file(dict(tensors), folder / "model.safetensors", metadata={"format": "pt"})
    write_tokenizer(config["vocab_size"], folder)


def write_tokenizer(size: int, folder: Path) -> None:
    """Byte-level BPE: special tokens, a single merge, then as many bytes as fit."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet(), key=lambda c: (c not in "ĠĊ", ord(c)))
    tokens = (*SPECIAL, "ĠĠ", *alphabet)
    vocabulary = {token: i for i, token in enumerate(tokens) if i < size}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("Ġ", "Ġ")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "add_bos_token": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
