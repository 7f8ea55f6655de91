"""Texts that break tokenizers, to compare two of them."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice

_SPECIAL_TEXTS = 64
"""How many special tokens are tried; some vocabularies reserve thousands."""

_WORDS = (
    "the quick Brown fox's FOX'S don't WE'LL you're I'm it'd they'VE 'tis O'Brien rock'n'roll",
    "HelloWorld iPhone XMLHttpRequest snake_case camelCase kebab-case SCREAMING_CASE x1y2 3D",
    "antidisestablishmentarianism Donaudampfschifffahrtsgesellschaftskapitän " + "a" * 300,
    "naïve café Ångström İstanbul ıI ſ ß ẞ ŉ ǆ Ǆ ǅ ﬁ ﬃ ª º ² ³ ½ ⅷ Ⅷ ① ⑳ ٣ ४ 五",
    "Привет, мир! Ελληνικά: ἄνθρωπος. ქართული. Հայերեն. Ⴀⴀ Ꭰꭰ 𐐀𐐨",
    "你好，世界。我在2024年买了3个苹果、5本书！「日本語」のテキスト、ｶﾀｶﾅ 한국어 텍스트 ㄅㄆ",
    "שלום עולם! مرحبا بالعالم، ١٢٣ \u202eright\u202c to left \u061cمثال",
    "नमस्ते दुनिया বাংলা தமிழ் ไทยไม่มีช่องว่าง ລາວ မြန်မာ ភាសាខ្មែរ བོད་སྐད",
    "👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 1️⃣ ☺️☺ ❤️‍🔥 🧑🏿‍🚀",
    "e\u0301 n\u0303 A\u030a \u1100\u1161\u11a8 Z͑ͫ̓͏̴̙A̴̵̜L̠ͨG̴̻͈O̵̹",
)
_CODE = (
    'def f(x: int) -> str:\n    return f"{x!r}"  # comment\n\n\nclass A:\n\tpass\n',
    "#include <stdio.h>\r\nint main(void) { return 0; }\r\n",
    '{"key": [1, 2.5e-10, null, true], "nested": {"a\\n": "\\u00e9"}}',
    "$ git log --oneline | grep -E '^[0-9a-f]{7}' && echo \"$?\" >> ~/out.txt",
    "a+b==c!=d<=e>=f<<g>>h&&i||j!k~l^m%n//o/*p*/q->r=>s::t..u...v??w?.x@y`z`",
    "https://example.org/a%20b?c=d&e=f#g  user@example.org  C:\\Windows\\System32",
    "E = mc², ∑ᵢ xᵢ ≤ ∫₀^∞ e^{-x²} dx ≈ √π/2 → ∀ε>0 ∃δ",
)
_NUMBERS = (
    "0 1 12 123 1234 12345 123456 1234567 12345678 123456789 1234567890",
    "3.14159 1,234,567.89 1e10 -0.5 +7 0x1F 1_000 12:34:56 2024-02-29 10% $9.99 №5",
    "x1 x12 x123 x1234 1a12b123c1234d ½1 1½ 12³4 ①23",
)
_SPACES = (
    " ", "  ", "   ", " " * 7, " " * 16, " " * 100, "\t", "\t\t", "\n", "\n\n", "\n\n\n", "\r\n",
    "\r", "\r\n\r\n", " \n", "\n ", " \n \n", "\t\n", "\n\t", " \t ", "\v\f", "a ", " a", "  a",
    "   a", "a  ", "a  b", "a   b", "a\nb", "a\n\nb", "a \n b", "a\n  b", "a  \n\n  b  ",
    "\u00a0", "a\u00a0b", "\u2003a", "\u3000", "a\u3000b", "\u2028", "\u0085", "\u200b", "a\u200db",
    "\ufeffa", "\u00ad",
)  # fmt: skip
_ODD = (
    "", "\0", "a\0b", "\x01\x02\x1f\x7f", "\x80\x9f", "\ufffd", "\ufffd\ufffd", "\ufdd0",
    "\U0010ffff", "\U000e0001", "\ue000", "\u2581", "\u2581\u2581", "a\u2581b", "Ġ", "Ċ", "ĠaĊ",
    "<0x0A>", "<0xFF>", "<0x41>", "##a", "[CLS]", "[PAD]", "<s>", "</s>", "<unk>", "<pad>",
    "<|endoftext|>", "<|im_start|>user\n", "<|end", "|>", "<<s>>", "'", "''", "'s", "'S", "’s",
    "!", "!!", "?!", "...", "---", "===", "***", "((", "))", "#", "##", "\\", "/", "//", "`", "```",
)  # fmt: skip


def nasty_texts(special: Sequence[str] = ()) -> list[str]:
    """About 600 texts, always the same ones.

    White space, line ends, scripts, characters of every Unicode category, emoji, marks, digits,
    contractions, code, control and private characters, long words and runs; and each of the first
    ``special`` texts, in several surroundings.
    """
    return list(dict.fromkeys(_texts(special)))


def _texts(special: Sequence[str]) -> Iterator[str]:
    for sentences in (_WORDS, _CODE, _NUMBERS):
        yield from sentences
        yield from (word for text in sentences for word in text.split())
    yield from _SPACES
    yield from _ODD
    yield from ("=" * 100, "ab" * 500, "1" * 100, "日" * 100, "👍" * 50, "a\n" * 50, " a" * 100)
    yield from _categories()
    yield from islice(_random(), 200)
    for text in special[:_SPECIAL_TEXTS]:
        yield from (text, f"a{text}b", f"a {text} b", f"\n{text}\n", text + text, text[:-1])


def _categories() -> Iterator[str]:
    """For each Unicode category some of its characters, apart and within words."""
    found: dict[str, list[str]] = {}
    draw = random.Random(0)
    points = [*range(0x3000), *draw.sample(range(0x3000, 0x20000), 6000)]
    draw.shuffle(points)
    for character in map(chr, points):
        found.setdefault(unicodedata.category(character), []).append(character)
    found.pop("Cs", None)  # half a character is no text
    for category in sorted(found):
        characters = found[category][:8]
        yield "".join(characters)
        yield " ".join(f"a{c}b1{c} {c}" for c in characters)


def _random() -> Iterator[str]:
    """Short texts of pieces that meet at the borders of rules."""
    draw = random.Random(1)
    pieces = [*"abzABZ019 .,!?'\"-_/\\\n\t", "  ", "\n\n", "\r\n", "'s", "'LL", "é", "日", "ß", "٣"]
    pieces += ["\u0301", "\u200d", "👍", "\u00a0", "ing", "The", " the", "123", "½", "(", ")", "ї"]
    while True:
        yield "".join(draw.choices(pieces, k=draw.choice((2, 3, 5, 8, 13, 40))))
