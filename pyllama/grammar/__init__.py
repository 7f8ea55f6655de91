"""Output that follows a grammar: which tokens may come next, by GBNF or by JSON schema.

grammar = Grammar.parse_gbnf('root ::= "yes" | "no"', tokenizer)
sampler = Sampler.from_params(SamplingParams(), grammar=grammar)
"""

from pyllama.grammar.grammar import Grammar

__all__ = ["Grammar"]
