"""Which file of a repository is taken; what a reference may look like."""

from __future__ import annotations

import pytest

from pyllama.errors import HubError, UsageError
from pyllama.hub.choice import choose, is_model, quantization
from pyllama.hub.reference import Reference

FILES = (
    "README.md",
    "m-Q4_K.gguf",
    "m-Q4_K_M.gguf",
    "m-Q8_0.gguf",
    "m-IQ4_XS.gguf",
    "mmproj-m-Q4_K_S.gguf",
)


def take(*files: str, quant: str | None = None, file: str | None = None) -> tuple[str, ...]:
    return choose(files, repo="u/m", quant=quant, file=file)


@pytest.mark.parametrize(
    ("quant", "expected"),
    [
        (None, "m-Q4_K_M.gguf"),
        ("Q4_K", "m-Q4_K.gguf"),
        ("q4_k_m", "m-Q4_K_M.gguf"),
        ("Q8_0", "m-Q8_0.gguf"),
        ("IQ4_XS", "m-IQ4_XS.gguf"),
    ],
)
def test_a_quantization_is_a_whole_word(quant: str | None, expected: str) -> None:
    assert take(*FILES, quant=quant) == (expected,)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("b-Q8_0.gguf", "a-Q2_K.gguf"), "b-Q8_0.gguf"),
        (("b-Q5_0.gguf", "a-Q2_K.gguf"), "a-Q2_K.gguf"),
        (("imatrix.gguf", "mtp-m-Q4_K_M.gguf", "m.GGUF"), "m.GGUF"),
        (("x/m_q4_k_m.gguf", "a-F16.gguf"), "x/m_q4_k_m.gguf"),
        (("mmproj/m-Q4_K_M.gguf",), "mmproj/m-Q4_K_M.gguf"),
    ],
)
def test_without_a_quantization_the_best_is_taken(files: tuple[str, ...], expected: str) -> None:
    assert take(*files) == (expected,)


def test_a_split_model_has_all_its_parts() -> None:
    parts = tuple(f"Q8_0/m-0000{number}-of-00003.gguf" for number in (1, 2, 3))
    other = "Q4_K/m-00001-of-00003.gguf"
    assert take(*reversed(parts), other, quant="Q8_0") == parts
    assert take(*parts, other, file=parts[1]) == parts
    with pytest.raises(HubError, match=r"u/m: has 2 of the 3 parts of Q8_0/m-00001-of-00003.gguf"):
        take(*parts[:2], quant="Q8_0")


def test_a_file_is_taken_by_its_name() -> None:
    assert take(*FILES, file="mmproj-m-Q4_K_S.gguf") == ("mmproj-m-Q4_K_S.gguf",)
    assert take(*FILES, file="M-q8_0.gguf") == ("m-Q8_0.gguf",)
    assert take("A.gguf", "a.gguf", file="a.gguf") == ("a.gguf",)


def test_what_there_is_is_listed() -> None:
    with pytest.raises(
        HubError, match=r"no quantization Q6_K; there is IQ4_XS, Q4_K, Q4_K_M, Q8_0$"
    ):
        take(*FILES, "m-Q8_0-old/m-Q8_0.gguf", quant="Q6_K")
    with pytest.raises(HubError, match=r"no GGUF file x\.gguf; there is m-IQ4_XS\.gguf, .*mmproj"):
        take(*FILES, file="x.gguf")
    with pytest.raises(HubError, match=r"has no GGUF file;"):
        take("README.md", "model.safetensors")
    with pytest.raises(HubError, match=r"only imatrix\.gguf$"):
        take("imatrix.gguf")


def test_the_list_is_not_too_long() -> None:
    with pytest.raises(HubError, match=r"x15\.gguf and 84 more$"):
        take(*(f"x{number:02}.gguf" for number in range(100)), quant="Q6_K")


def test_a_file_of_another_quantization_is_a_contradiction() -> None:
    assert take(*FILES, quant="Q8_0", file="m-Q8_0.gguf") == ("m-Q8_0.gguf",)
    with pytest.raises(UsageError, match=r"m-Q8_0\.gguf \(-hff\).* Q4_K \(-hf u/m:Q4_K\)"):
        take(*FILES, quant="Q4_K", file="m-Q8_0.gguf")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m-q4_k_m.gguf", "Q4_K_M"),
        ("a/m.UD-IQ1_S.gguf", "IQ1_S"),
        ("m_BF16-00001-of-00002.gguf", "BF16"),
        ("m-MXFP4.gguf", "MXFP4"),
        ("q8_0.gguf", "Q8_0"),
        ("m-7b-chat.gguf", None),
        ("stories260K.gguf", None),
    ],
)
def test_the_quantization_of_a_name(name: str, expected: str | None) -> None:
    assert quantization(name) == expected


def test_later_parts_are_no_models() -> None:
    assert is_model("m-00001-of-00002.gguf")
    assert not is_model("m-00002-of-00002.gguf")


def test_references() -> None:
    assert Reference.parse("some-user/Model_1.5-GGUF") == Reference(
        "some-user/Model_1.5-GGUF", None
    )
    assert Reference.parse("u/m:UD-Q4_K_XL") == Reference("u/m", "UD-Q4_K_XL")


@pytest.mark.parametrize(
    "text",
    ["", "m", "u/", "/m", "u/m:", "u/m/x", "u/m:Q4:K", "../m", "u/..", "a--b/m", "u/m.git", "u/m\n",
     "u/m:../x", "https://huggingface.co/u/m", "u/" + "m" * 97, "ü/m"],
)  # fmt: skip
def test_malformed_references_are_wrong_usage(text: str) -> None:
    with pytest.raises(UsageError, match="names no repository; give USER/MODEL"):
        Reference.parse(text)
