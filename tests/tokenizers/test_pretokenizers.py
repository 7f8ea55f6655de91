"""How the pre-tokenizers cut: each of them on one text, and what holds for all."""

from __future__ import annotations

import itertools

import pytest
from tokenizer_data import nasty_strings

from pyllama.tokenizers.pretokenizers import PRE_TOKENIZERS

TEXT = "Hello WORLD's iPhone'S 1234567 x12\n\n  a_b -- (日本語)。\u3000नमस्ते café!?\t\r\n   end  "

NAMES = """
    default llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano dbrx
    smaug-bpe chatglm-bpe glm4 glm5 jais-2 deepseek-llm deepseek-coder deepseek-v3 hunyuan-dense
    joyai-llm hy_v4 spark2_5 youtu falcon starcoder refact codeshell exaone minerva-7b mellum2
    command-r smollm gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum
    modern-bert exaone4 mpt olmo jais trillion granite-docling jina-v1-en jina-v2-code roberta-bpe
    qwen2 deepseek-r1-qwen kormo f2llmv2 hunyuan solar-open megrez stablelm2 qwen35 grok-2 ufakzeka
    laguna poro-chat bloom gpt3-finnish viking tekken gpt-4o llama4 kanana2 talkie minimax-m2
    granite-embed-multi-97m tiny_aya cohere2moe kimi-k2 superbpe bailingmoe bailingmoe2 llada-moe
    seed-coder exaone-moe minicpm5 chameleon afmoe gemma4 granite-embed-multi-311m sarvam-moe
    whitespace
"""

# Checked against a transcription of llama.cpp's own evaluation. Pieces are separated by "|".
EXPECTED = {
    "default": "Hello| WORLD|'|s| iPhone|'|S| |123|456|7| x|12|\n\n | a|_|b| |--"
    "| |(|日本語|)。|\u3000|नमस|्|त|े| café|!?|\t\r\n  | end|  ",
    "gpt-2": "Hello| WORLD|'s| iPhone|'|S| 1234567| x|12|\n\n | a|_|b| --"
    "| (|日本語|)。|\u3000|नमस|्|त|े| café|!?|\t\r\n  | end|  ",
    "falcon": "Hello| WORLD|'|s| iPhone|'|S| |123|456|7| x|12|\n\n | a|_|b| |--"
    "| |(|日本語|)。|\u3000|नमस|्|त|े| café|!?|\t\r\n  | end|  ",
    "starcoder": "Hello| WORLD|'s| iPhone|'|S| |1|2|3|4|5|6|7| x|1|2|\n\n | a|_|b"
    "| --| (|日本語|)。|\u3000|नमस|्|त|े| café|!?|\t\r\n  | end|  ",
    "chameleon": "Hello| WORLD|'|s| iPhone|'|S| |1|2|3|4|5|6|7| x|1|2|\n|\n|  |a|_|b| |-"
    "|-| |(|日本語|)|。|\u3000|नमस|्|त|े| café|!|?|\t|\r|\n|  | end|  ",
    "llama3": "Hello| WORLD|'s| iPhone|'S| |123|456|7| x|12|\n\n| | a|_b| --"
    "| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "jais-2": "Hello| WORLD|'s| iPhone|'S| |123|456|7| x|12|\n\n| | a|_b| --"
    "| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "minicpm5": "Hello| WORLD|'s| iPhone|'S| |123|456|7| x|12|\n\n| | a|_b| --"
    "| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "megrez": "Hello| WORLD|'s| iPhone|'S| |1|2|3|4|5|6|7| x|1|2|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "qwen35": "Hello| WORLD|'s| iPhone|'S| |1|2|3|4|5|6|7| x|1|2|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस्ते| café|!?|\t\r\n|  | end|  ",
    "ufakzeka": "Hello| WORLD|'s| iPhone|'S| |1|2|3|4|5|6|7| x|1|2|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "laguna": "Hello| WORLD|'s| iPhone|'S| |1|2|3|4|5|6|7| x|1|2|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r|\n|  | end|  ",
    "seed-coder": "Hello| WORLD|'s| iPhone|'S| |1|2|3|4|5|6|7| x|1|2|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "bailingmoe": "Hello| WORLD|'s| iPhone|'S| |1|2|3|4|5|6|7| x|1|2|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "exaone-moe": "Hello WORLD|'s| iPhone|'S| |1|2|3|4|5|6|7| x|1|2|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस्ते café|!?|\t\r\n|  | end|  ",
    "deepseek-llm": "Hello| WORLD|'|s| iPhone|'|S| |1234567| x|12|\n|\n| | a|_|b| --"
    "| (|日本語|)|。|\u3000|नमस्ते| caf|é|!?|\t|\r|\n|  | end|  ",
    "deepseek-coder": "Hello| WORLD|'|s| iPhone|'|S| |1|2|3|4|5|6|7| x|1|2|\n|\n| | a|_|b"
    "| --| (|日本語|)|。|\u3000|नमस|्|त|े| café|!?|\t|\r|\n|  | end|  ",
    "deepseek-v3": "Hello| WORLD|'s| iPhone|'S| |123|456|7| x|12|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस्ते| café|!?|\t\r\n|  | end|  ",
    "spark2_5": "Hello| WORLD|'s| iPhone|'S| |1|2|3|4|5|6|7| x|1|2|\n|\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस्ते| café|!?|\t\r\n  | end|  ",
    "afmoe": "Hello| WORLD|'s| iPhone|'S| |1|234|567| x|12|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस्ते| café|!?|\t\r\n|  | end|  ",
    "tekken": "Hello| WORLD|'s| i|Phone|'S| |1|2|3|4|5|6|7| x|1|2|\n\n| | a|_b"
    "| --| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "gpt-4o": "Hello| WORLD's| i|Phone'S| |123|456|7| x|12|\n\n| | a|_b| --"
    "| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "granite-embed-multi-97m": "Hello| WORLD's| i|Phone'S| |123|456|7| x|12|\n\n| | a|_b| --"
    "| (|日本語|)。|\u3000नमस्ते| café|!?|\t\r\n|  | end|  ",
    "tiny_aya": "Hello| WORLD's| iPhone'S| |1|234|567| x|12|\n\n| | a|_b| --"
    "| (|日本語|)。|\u3000नमस्ते| café|!?|\t\r\n|  | end|  ",
    "youtu": "Hello| WORLD's| iPhone'S| |1|2|3|4|5|6|7| x|1|2|\n\n| | a|_b"
    "| --| (|日本語|)|。|\u3000नमस्ते| café|!?|\t\r\n|  | end|  ",
    "kimi-k2": "Hello| WORLD's| iPhone'S| |123|456|7| x|12|\n\n| | a|_b| --"
    "| (|日本語|)。|\u3000नमस|्त|े| café|!?|\t\r\n|  | end|  ",
    "bloom": "Hello| WORLD's| iPhone'S| 1234567| x12|\n\n | a_b| --"
    "| (|日本語|)。\u3000|नमस्ते| café|!?\t\r\n  | end|  ",
    "viking": "Hello| WORLD's| iPhone'S| |1|2|3|4|5|6|7| x|1|2|\n\n | a_b"
    "| --| (|日本語|)。\u3000|नमस्ते| café|!?\t\r\n  | end|  ",
    "superbpe": "Hello WORLD's iPhone'S |1|234|567| x|12"
    "|\n\n  a_b -- (日本語)。\u3000नमस्ते café!?\t\r\n   end  ",
    "gemma4": "Hello WORLD's iPhone'S 1234567 x12|\n\n"
    "|  a_b -- (日本語)。\u3000नमस्ते café!?\t\r|\n|   end  ",
    "whitespace": "Hello| |WORLD's| |iPhone'S| |1234567| |x12|\n\n  |a_b| |--"
    "| |(日本語)。|\u3000|नमस्ते| |café!?|\t\r\n   |end|  ",
}


def test_the_known_names() -> None:
    assert sorted(PRE_TOKENIZERS) == sorted(NAMES.split())


def test_each_kind_has_an_expectation() -> None:
    tested = {PRE_TOKENIZERS[name].patterns for name in EXPECTED}
    assert tested == {rules.patterns for rules in PRE_TOKENIZERS.values()}


@pytest.mark.parametrize("name", EXPECTED)
def test_cuts(name: str) -> None:
    assert PRE_TOKENIZERS[name].splitter()(TEXT) == EXPECTED[name].split("|")


@pytest.mark.parametrize("name", EXPECTED)
def test_nothing_is_lost_and_no_piece_is_empty(name: str) -> None:
    cut = PRE_TOKENIZERS[name].splitter()
    for text in itertools.islice(nasty_strings(), 0, None, 9):
        pieces = cut(text)
        assert "".join(pieces) == text
        assert all(pieces)


def test_contractions_and_digits() -> None:
    cut = PRE_TOKENIZERS["llama-bpe"].splitter()
    assert cut("I'Ve 12345") == ["I", "'Ve", " ", "123", "45"]
    assert PRE_TOKENIZERS["qwen2"].splitter()("12 3") == ["1", "2", " ", "3"]
    assert PRE_TOKENIZERS["superbpe"].splitter()("½1234 12") == ["½1", "234", " ", "12"]
    assert PRE_TOKENIZERS["afmoe"].splitter()("12345678") == ["12", "345", "678"]
    assert PRE_TOKENIZERS["tiny_aya"].splitter()("1234 1234x") == ["1", "234", " ", "123", "4", "x"]


def test_han_and_latin_letters_are_apart_in_kimi() -> None:
    assert PRE_TOKENIZERS["kimi-k2"].splitter()("我apple's工") == ["我", "apple's", "工"]


FLAGS = {
    "ignore_merges": """
        llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano glm4 glm5
        tekken youtu granite-embed-multi-97m minicpm5
    """,
    "add_bos": """
        llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano tekken
        chameleon
    """,
    "clean_spaces": """
        default gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum mpt olmo
        modern-bert exaone4 jais jina-v1-en jina-v2-code roberta-bpe falcon starcoder refact
        codeshell exaone minerva-7b mellum2 llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral
        midm-2.0 lfm2 jina-v5-nano dbrx smaug-bpe chatglm-bpe glm4 glm5 jais-2 minicpm5 megrez
        stablelm2 exaone-moe bloom gpt3-finnish gemma4 granite-embed-multi-311m whitespace
    """,
    "add_sep": "jina-v1-en jina-v2-code roberta-bpe",
    "always_bos": "gemma4 granite-embed-multi-311m",
    "escape_spaces": "gemma4 granite-embed-multi-311m sarvam-moe",
}


@pytest.mark.parametrize("flag", FLAGS)
def test_flags(flag: str) -> None:
    having = {name for name, rules in PRE_TOKENIZERS.items() if getattr(rules, flag)}
    assert having == set(FLAGS[flag].split())
