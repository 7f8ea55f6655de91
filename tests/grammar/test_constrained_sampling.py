"""Grammars over tokens: masks, the end of the text, and sampling under them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grammar_vocabularies import byte_tokens, follows, texts, tokenizer

from pyllama import builtin
from pyllama.errors import GrammarError, PyllamaError
from pyllama.gguf import GGUFFile
from pyllama.grammar import Grammar
from pyllama.sampling import Sampler, SamplingParams
from pyllama.tokenizers.tokenizer import Tokenizer

END = 2


def gbnf(text: str, vocabulary: Tokenizer | None = None) -> Grammar:
    return Grammar.parse_gbnf(text, vocabulary or tokenizer())


def state(grammar: Grammar) -> tuple[bool, bool]:
    """Whether the text may end here, and whether it must."""
    return grammar.may_end, grammar.is_finished


def allowed(grammar: Grammar) -> set[str]:
    return {tokenizer().token(int(token)) for token in np.flatnonzero(grammar.mask())}


def test_the_mask_holds_every_token_that_can_continue() -> None:
    grammar = gbnf('root ::= "yes" | "no" | "ab" "c"?')
    letters = {"<0x79>", "<0x6E>", "<0x61>"}
    assert allowed(grammar) == {"yes", "no", "a", "ab", "abc"} | letters
    grammar.accept(tokenizer().vocabulary.ids["ab"])
    assert allowed(grammar) == {"c", "<0x63>", "</s>"}


def test_a_character_may_be_split_over_tokens() -> None:
    grammar = gbnf('root ::= "語" [à-ü]')
    for token in byte_tokens("語")[:2]:
        grammar.accept(token)
    assert allowed(grammar) == {"<0x9E>"}
    assert follows(grammar, "語é")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "text",
    [
        'root ::= "a"* "b"',
        'root ::= "{" [^}]* "}"',
        'root ::= "[" [0-9]{1,3} "]" ("yes" | "no")?',
        'root ::= "a"? empty empty*\nempty ::= "" | never\nnever ::= "" empty',
    ],
)
def test_testing_a_token_and_the_end_agree_with_the_mask(text: str, seed: int) -> None:
    grammar = gbnf(text)
    random = np.random.default_rng(seed)
    for _ in range(20):
        mask = grammar.mask()
        assert [grammar.allows(token) for token in range(len(mask))] == mask.tolist()
        assert grammar.may_end == mask[END]
        assert grammar.is_finished == (np.flatnonzero(mask).tolist() == [END])
        if grammar.is_finished:
            break
        grammar.accept(int(random.choice(np.flatnonzero(mask))))


def test_the_end_is_allowed_exactly_where_the_text_matches() -> None:
    grammar = gbnf('root ::= "a" "b"*')
    assert state(grammar) == (False, False)
    assert not grammar.allows(END)
    grammar.accept(byte_tokens("a")[0])
    assert state(grammar) == (True, False)
    assert grammar.allows(END)
    grammar.accept(END)
    assert state(grammar) == (True, True)
    assert not grammar.allows(byte_tokens("b")[0])
    grammar.reset()
    assert state(grammar) == (False, False)


def test_nothing_but_the_end_follows_a_complete_text() -> None:
    grammar = gbnf('root ::= "a"')
    grammar.accept(byte_tokens("a")[0])
    assert grammar.is_finished
    assert allowed(grammar) == {"</s>"}


def test_control_tokens_are_no_text() -> None:
    grammar = gbnf("root ::= .*")
    mask = grammar.mask()
    assert not mask[0]
    assert not mask[1]
    assert follows(gbnf('root ::= "<s>"'), "<s>")


def test_a_token_that_is_not_allowed() -> None:
    grammar = gbnf('root ::= "a"')
    for token in (byte_tokens("b")[0], END, -1, 10**6):
        assert not grammar.allows(token)
        with pytest.raises(GrammarError, match="not allowed"):
            grammar.accept(token)
    grammar.accept(byte_tokens("a")[0])


def test_a_grammar_that_no_text_can_match() -> None:
    grammar = gbnf('root ::= "a" root')
    grammar.accept(byte_tokens("a")[0])
    dead = gbnf("root ::= root")
    with pytest.raises(GrammarError, match="no token of the model can continue"):
        dead.mask()


def test_a_model_without_an_end() -> None:
    complete = gbnf('root ::= ""', replace(tokenizer(), end_of_generation=frozenset()))
    assert complete.is_finished
    assert complete.may_end
    with pytest.raises(GrammarError, match="no token that ends it"):
        complete.mask()


def sample_text(sampler: Sampler, scale: float = 3.0, most: int = 400) -> str:
    """What a sampler draws from random logits, until the end."""
    random = np.random.default_rng(sampler.seed)
    tokens: list[int] = []
    sampler.accept(*byte_tokens("a prompt that is not in the grammar"))
    while len(tokens) < most:
        logits = (random.normal(size=tokenizer().n_vocab) * scale).astype(np.float32)
        token = sampler.sample(logits)
        sampler.accept(token)
        if token == END:
            break
        tokens.append(token)
    return texts(tokens)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0}, {"mirostat": 2}, {"xtc_probability": 1.0}], ids=str
)
def test_what_is_sampled_follows_the_grammar(options: dict[str, Any], seed: int) -> None:
    grammar = gbnf('root ::= "[" ([0-9]+ ("," [0-9]+){0,3})? "]"')
    sampler = Sampler.from_params(SamplingParams(seed=seed, **options), grammar=grammar)
    text = sample_text(sampler)
    assert text[0] == "["
    assert text[-1] == "]"
    assert set(text[1:-1]) <= set("0123456789,")


def test_a_token_that_fits_is_drawn_as_without_a_grammar() -> None:
    logits = np.random.default_rng(1).normal(size=tokenizer().n_vocab).astype(np.float32)
    logits[: 3 + 256] = -30  # parts of characters do not fit everywhere
    params = SamplingParams(seed=5, top_k=0, top_p=1, min_p=0)
    free = Sampler.from_params(params)
    bound = Sampler.from_params(params, grammar=gbnf("root ::= .*"))
    drawn = [free.sample(logits) for _ in range(50)]
    assert [bound.sample(logits) for _ in range(50)] == drawn
    assert len(set(drawn)) > 5


def test_the_distribution_is_that_of_the_allowed_tokens() -> None:
    ids = tokenizer().vocabulary.ids
    logits = np.full(tokenizer().n_vocab, -30, np.float32)
    logits[[ids["yes"], ids["no"], ids["abc"]]] = np.log([0.15, 0.05, 0.8])
    params = SamplingParams(seed=5, top_k=0, top_p=1, min_p=0, temperature=1)
    sampler = Sampler.from_params(params, grammar=gbnf('root ::= "yes" | "no"'))
    drawn = [sampler.sample(logits) for _ in range(2000)]
    assert set(drawn) == {ids["yes"], ids["no"]}
    assert drawn.count(ids["yes"]) / 2000 == pytest.approx(0.75, abs=0.03)


def test_options_that_forbid_all_that_the_grammar_allows() -> None:
    grammar = gbnf('root ::= ""')
    sampler = Sampler.from_params(SamplingParams(seed=1), grammar=grammar, banned=[END])
    with pytest.raises(PyllamaError, match="grammar"):
        sampler.sample(np.zeros(tokenizer().n_vocab, np.float32))


def test_reset_begins_the_grammar_anew() -> None:
    grammar = gbnf('root ::= "abc"')
    sampler = Sampler.from_params(SamplingParams(seed=3), grammar=grammar)
    assert sample_text(sampler) == "abc"
    assert state(grammar) == (True, True)
    sampler.reset()
    assert state(grammar) == (False, False)
    assert sample_text(sampler) == "abc"


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 1, "maxItems": 3},
        "ok": {"type": "boolean"},
    },
    "required": ["name", "age", "tags", "ok"],
}


def check_person(text: str) -> None:
    value = json.loads(text)
    assert list(value) == ["name", "age", "tags", "ok"]
    assert isinstance(value["name"], str)
    assert len(value["name"]) <= 12
    assert type(value["age"]) is int
    assert 0 <= value["age"] <= 120
    assert 1 <= len(value["tags"]) <= 3
    assert set(value["tags"]) <= {"red", "blue"}
    assert type(value["ok"]) is bool


@pytest.mark.parametrize("seed", [1, 2])
def test_the_built_in_model_writes_what_a_schema_says(seed: int) -> None:
    from pyllama.generation import Finish, FinishReason, generate
    from pyllama.model import Model
    from pyllama.session import Session

    model = Model.load(builtin.path())
    grammar = Grammar.from_json_schema(SCHEMA, model.tokenizer)
    sampler = Sampler.from_params(SamplingParams(seed=seed), model.tokenizer, grammar)
    prompt = model.tokenizer.encode("record = ")
    events = list(generate(Session(model, context=1024), prompt, sampler))
    assert isinstance(events[-1], Finish)
    assert events[-1].reason is FinishReason.STOP
    check_person("".join(event.text for event in events))


@pytest.mark.parametrize("name", ["llama-bpe", "llama-spm", "qwen2", "phi-3"])
def test_real_vocabularies(shared: Path, name: str) -> None:
    """Random walks through a schema over real tokens end in JSON that satisfies it."""
    with GGUFFile.open(shared / "vocabs" / f"ggml-vocab-{name}.gguf") as file:
        vocabulary = Tokenizer.from_gguf(file)
    grammar = Grammar.from_json_schema(SCHEMA, vocabulary)
    random = np.random.default_rng(7)
    tokens: list[int] = []
    while not grammar.is_finished:
        choices = np.flatnonzero(grammar.mask())
        token = int(random.choice(choices))
        grammar.accept(token)
        if token not in vocabulary.end_of_generation:
            tokens.append(token)
        assert len(tokens) < 2000
    check_person(b"".join(vocabulary.piece(token) for token in tokens).decode())
