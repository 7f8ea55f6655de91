"""How tokenizers of the families write the steps that the names of pre-tokenizers stand for."""

from __future__ import annotations

import re

from checkpoint_folders import GPT2, ONLY_BYTES, Document, split

from pyllama.tokenizers import patterns

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
START = r"[^\r\n\p{L}\p{N}]?"
END = r"\s*[\r\n]+|\s+(?!\S)|\s+"
HAN_KANA = "[一-龥぀-ゟ゠-ヿ]+"


def words(digits: str, symbols: str = r" ?[^\s\p{L}\p{N}]+[\r\n]*", end: str = END) -> Document:
    return split(rf"{CONTRACTIONS}|{START}\p{{L}}+|{digits}|{symbols}|{end}")


def cased(contractions: str, digits: str) -> Document:
    return split(
        f"{START}{UPPER}*{LOWER}+{contractions}|{START}{UPPER}+{LOWER}*{contractions}"
        rf"|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{END}"
    )


def digits(individual: bool) -> Document:
    return {"type": "Digits", "individual_digits": individual}


def punctuation(behavior: str) -> Document:
    return {"type": "Punctuation", "behavior": behavior}


def punctuated(symbols: str, end: str) -> Document:
    ascii_word = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    word = "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    return split(rf"{ascii_word}|{word}| ?[\p{{P}}\p{{S}}]+{symbols}|{end}")


CASED_LETTERS = re.sub(
    r"\\x\{(\w+)\}", lambda match: chr(int(match[1], 16)), patterns.DEEPSEEK_LETTERS
)
DEEPSEEK_CJK = split("[一-龥ࠀ-一가-퟿]+")
ONE, THREE = r"\p{N}", r"\p{N}{1,3}"
STRUCTURES: dict[str, list[Document]] = {
    "gpt-2": [GPT2],
    "falcon": [punctuation("Contiguous"), GPT2, digits(False), split("[0-9][0-9][0-9]")],
    "starcoder": [digits(True), GPT2],
    "llama-bpe": [words(THREE), ONLY_BYTES],
    "qwen2": [words(ONE), ONLY_BYTES],
    "seed-coder": [words(r"\p{N}{1}", " ?[^\\s\\p{L}\\p{N}\r\n]+"), ONLY_BYTES],
    "minicpm5": [split(THREE), words(r"\p{N}+"), ONLY_BYTES],
    "jais-2": [
        words(
            THREE,
            end=r"\s*[\r\n]+|"
            + "|".join(rf"\s{{{2**n}}}(?!\S)" for n in range(9, 1, -1))
            + r"|\s{1,2}(?!\S)|\s{1}",
        ),
        ONLY_BYTES,
    ],
    "qwen35": [
        split(
            rf"{CONTRACTIONS}|{START}[\p{{L}}\p{{M}}]+|\p{{N}}"
            rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{END}"
        ),
        ONLY_BYTES,
    ],
    "ufakzeka": [
        split(rf"{START}\p{{L}}+|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{END}"),
        ONLY_BYTES,
    ],
    "bailingmoe": [
        split(
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
            r"|\s*[\r\n]|\s+(?!\S)|\s+"
        ),
        ONLY_BYTES,
    ],
    "exaone-moe": [
        split(
            rf"{CONTRACTIONS}|{START}(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}"
            r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
        ),
        ONLY_BYTES,
    ],
    "chameleon": [
        split("<sentinel:[0-9]+>"),
        split("(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"),
        split("([\\t\\n]|    |  )"),
        digits(True),
        punctuation("Isolated"),
        GPT2,
    ],
    "deepseek-llm": [
        split("[\r\n]"),
        split(CASED_LETTERS),
        split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
        split(r"\s+$"),
        DEEPSEEK_CJK,
        digits(True),
        ONLY_BYTES,
    ],
    "deepseek-coder": [
        split("[\r\n]"),
        split(r"\s?\p{L}+"),
        split(r"\s?\p{P}+"),
        DEEPSEEK_CJK,
        digits(True),
        ONLY_BYTES,
    ],
    "deepseek-v3": [
        split(THREE),
        split(HAN_KANA),
        punctuated("[\r\n]*", "\\s*[\r\n]+|\\s+(?!\\S)|\\s+"),
        ONLY_BYTES,
    ],
    "spark2_5": [
        split(THREE),
        split(HAN_KANA),
        punctuated("", "[\r\n]|\\s+(?!\\S)|\\s+"),
        digits(True),
        ONLY_BYTES,
    ],
    "tekken": [cased("", ONE), ONLY_BYTES],
    "gpt-4o": [cased(f"{CONTRACTIONS}?", THREE), ONLY_BYTES],
    "tiny_aya": [
        split(r"\d{1,3}(?=(?:\d{3})*\b)"),
        cased(f"{CONTRACTIONS}?", THREE),
        ONLY_BYTES,
    ],
    "youtu": [
        split(f"[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|{HAN_KANA}"),
        cased(f"{CONTRACTIONS}?", ONE),
        ONLY_BYTES,
    ],
    "bloom": [split(" ?[^(\\s|[.,!?…。，、।۔،])]+"), ONLY_BYTES],
    "viking": [split(" ?[^(\\s|[.,!?…。，、।۔،])]+"), digits(True), ONLY_BYTES],
    "superbpe": [split(r"\p{N}+"), split(r"(?=(\d{3})+(?!\d))"), ONLY_BYTES],
}
