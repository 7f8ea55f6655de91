"""How each pre-tokenizer (``tokenizer.ggml.pre``) cuts text into pieces before merging.

The patterns of one pre-tokenizer are applied one after another, each to the pieces that the one
before left; what a pattern does not match stays a piece of its own. It is not an alternation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyllama.tokenizers import patterns as p

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """The rules that a name in ``tokenizer.ggml.pre`` stands for.

    Attributes:
        patterns: regular expressions, applied in sequence.
        ignore_merges: a piece that is a token is taken whole, whatever the merges say.
        add_bos: default for ``tokenizer.ggml.add_bos_token``.
        always_bos: the beginning of sequence is added even where the file says not to.
        add_sep: default for ``tokenizer.ggml.add_sep_token``.
        clean_spaces: decoding for display removes the space before punctuation.
        has_bos: a beginning of sequence exists even if the file names none.
        byte_level: bytes are spelled as GPT-2 does; otherwise pieces are plain text, a space is
            U+2581 if ``escape_spaces``, and unknown characters become ``<0xHH>`` tokens.
        escape_spaces: see ``byte_level``.
        whole_newlines: a piece of newlines that is a token is taken whole.
    """

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    add_bos: bool = False
    always_bos: bool = False
    add_sep: bool = False
    clean_spaces: bool = True
    has_bos: bool = True
    byte_level: bool = True
    escape_spaces: bool = False
    whole_newlines: bool = False

    def splitter(self) -> Callable[[str], list[str]]:
        """A function that cuts a text into its pieces, in order, nothing left out."""
        # Imported here, because it takes longer than the rest of the package and the users of a
        # SentencePiece vocabulary never need it.
        from tokenizers import Regex
        from tokenizers.pre_tokenizers import Sequence, Split

        cut = Sequence([Split(Regex(pattern), "isolated") for pattern in self.patterns])
        return lambda text: [piece for piece, _ in cut.pre_tokenize_str(text)]


def _named(names: str, *patterns: str, **flags: bool) -> dict[str, PreTokenizer]:
    """The same rules under several names, separated by spaces."""
    return dict.fromkeys(names.split(), PreTokenizer(patterns, **flags))


PRE_TOKENIZERS: dict[str, PreTokenizer] = {
    **_named(DEFAULT, p.DEFAULT_SYMBOLS, p.GPT2, p.NUMBER, "[0-9][0-9][0-9]"),
    # GPT-2
    **_named(
        "gpt-2 phi-2 jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert"
        " exaone4 mpt olmo jais",
        p.GPT2,
    ),
    **_named("trillion granite-docling", p.GPT2, clean_spaces=False),
    **_named("jina-v1-en jina-v2-code roberta-bpe", p.GPT2, add_sep=True),
    **_named("falcon", p.FALCON_SYMBOLS, p.GPT2, "[0-9][0-9][0-9]"),
    **_named("starcoder refact codeshell exaone minerva-7b mellum2", p.DIGIT, p.GPT2),
    **_named("command-r smollm", p.DIGIT, p.GPT2, clean_spaces=False),
    **_named(
        "chameleon",
        "<sentinel:[0-9]+>",
        p.CHAMELEON_IMAGE,
        p.CHAMELEON_SPACES,
        p.DIGIT,
        p.CHAMELEON_SYMBOLS,
        p.GPT2,
        add_bos=True,
        clean_spaces=False,
    ),
    # Llama 3
    **_named(
        "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
        p.LLAMA3,
        ignore_merges=True,
        add_bos=True,
    ),
    **_named("dbrx smaug-bpe", p.LLAMA3),
    **_named("chatglm-bpe", p.LLAMA3, has_bos=False),
    **_named("glm4 glm5", p.LLAMA3, has_bos=False, ignore_merges=True),
    **_named("jais-2", p.JAIS2),
    **_named("minicpm5", p.UP_TO_3_DIGITS, p.MINICPM5, ignore_merges=True),
    # Qwen 2
    **_named("megrez stablelm2", p.QWEN2),
    **_named(
        "qwen2 deepseek-r1-qwen kormo f2llmv2 hunyuan solar-open grok-2",
        p.QWEN2,
        clean_spaces=False,
    ),
    **_named("qwen35", p.QWEN35, clean_spaces=False),
    **_named("ufakzeka", p.UFAKZEKA, clean_spaces=False),
    **_named("laguna", p.LINES, p.QWEN2, clean_spaces=False),
    **_named("seed-coder", p.SEED_CODER, clean_spaces=False),
    **_named("bailingmoe bailingmoe2 llada-moe", p.BAILING, clean_spaces=False),
    **_named("exaone-moe", p.EXAONE_MOE),
    # DeepSeek
    **_named(
        "deepseek-llm",
        r"[\r\n]",
        p.DEEPSEEK_LETTERS,
        p.DEEPSEEK_SYMBOLS,
        r"\s+\z",
        p.DEEPSEEK_ASIAN,
        p.NUMBER,
        clean_spaces=False,
    ),
    **_named(
        "deepseek-coder",
        r"[\r\n]",
        r"\s?\p{L}+",
        r"\s?\p{P}+",
        p.DEEPSEEK_ASIAN,
        p.DIGIT,
        clean_spaces=False,
    ),
    **_named(
        "deepseek-v3 hunyuan-dense joyai-llm hy_v4",
        p.UP_TO_3_DIGITS,
        p.HAN_KANA,
        p.DEEPSEEK3,
        clean_spaces=False,
    ),
    **_named("spark2_5", p.UP_TO_3_DIGITS, p.HAN_KANA, p.SPARK, p.DIGIT, clean_spaces=False),
    **_named("afmoe", p.NUMBER, p.AFMOE_DIGITS, p.AFMOE_ASIAN, p.DEEPSEEK3, clean_spaces=False),
    # o200k
    **_named("tekken", p.TEKKEN, ignore_merges=True, add_bos=True, clean_spaces=False),
    **_named("gpt-4o llama4 kanana2 talkie minimax-m2", p.O200K, clean_spaces=False),
    **_named("granite-embed-multi-97m", p.O200K_MARKS, ignore_merges=True, clean_spaces=False),
    **_named("tiny_aya cohere2moe", p.TINY_AYA_DIGITS, p.TINY_AYA, clean_spaces=False),
    **_named("youtu", p.YOUTU_ASIAN, p.YOUTU, ignore_merges=True, clean_spaces=False),
    **_named("kimi-k2", p.KIMI_K2, clean_spaces=False),
    # Bloom and others
    **_named("bloom gpt3-finnish", p.BLOOM),
    **_named("poro-chat", p.BLOOM, clean_spaces=False),
    **_named("viking", p.BLOOM, p.DIGIT, clean_spaces=False),
    **_named("superbpe", p.NUMBER, p.SUPERBPE_DIGITS, clean_spaces=False),
    # Plain text instead of GPT-2's bytes
    **_named(
        "gemma4 granite-embed-multi-311m",
        p.LINES,
        byte_level=False,
        escape_spaces=True,
        always_bos=True,
        whole_newlines=True,
    ),
    **_named("sarvam-moe", p.LINES, byte_level=False, escape_spaces=True, clean_spaces=False),
    **_named("whitespace", r"\S+", byte_level=False),
}
