"""GBNF: which texts grammars match, and what is wrong with those that are none."""

from __future__ import annotations

import pytest
from grammar_vocabularies import follows, matches, tokenizer

from pyllama.errors import GrammarError
from pyllama.grammar import Grammar

ARITHMETIC = """
# sums of products
root    ::= sum "\\n"
sum     ::= product ([-+] ws product)*
product ::= factor ([*/] ws factor)*
factor  ::= number | "(" ws sum ")" ws
number  ::= [0-9]+ ws
ws      ::= [ \\t]*
"""
JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws

object ::=
  "{" ws (
    string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::= "[" ws (value ("," ws value)*)? "]" ws
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}))* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""
LIST = """
root ::= item+
# what is no end of a line
item ::= "- " [^\\r\\n\\x0b\\x0c\\x85\\u2028\\u2029]+ "\\n"
"""
CHESS = """
root   ::= "1. " move " " move "\\n" ([1-9] [0-9]? ". " move " " move "\\n")+
move   ::= (pawn | piece | castle) [+#]?
piece  ::= [NBKQR] [a-h]? [1-8]? "x"? [a-h] [1-8]
pawn   ::= ([a-h] "x")? [a-h] [1-8] ("=" [NBKQR])?
castle ::= "O-O" "-O"?
"""
C = """
root   ::= (type name "(" (type name)? ")" "{" line* "}")*
type   ::= ("int" | "float" | "char") " "
line   ::= type name ("=" expr)? ";" | name "=" expr ";" | "return " expr ";"
         # the rule has ended: this line is a comment only
expr   ::= term (("+" | "-") term)*
term   ::= unary (("*" | "/") unary)*
unary  ::= "-" unary | "(" expr ")" | [0-9]+ | name "(" (expr ("," expr)*)? ")" | name
name   ::= [a-zA-Z_] [a-zA-Z_0-9]*
"""


@pytest.mark.parametrize(
    ("grammar", "good", "bad"),
    [
        (ARITHMETIC, ["1\n", "1 + 2*(34 - 5)\n", "((7))\n"], ["1", "\n", "1+\n", "(1\n", "1 2\n"]),
        (
            JSON,
            ['{"a": [1, -2.5e+1, true, {"b": null}], "é\\u00e9": "x\\n"}', "{}", '{"": ""}'],
            ["[]", '{"a" 1}', '{"a": 01}', '{"a": tru}', '{"a": "\n"}', '{"a": 1,}'],
        ),
        (LIST, ["- a\n", "- one\n- two é語\n"], ["", "- \n", "a\n", "- a", "- a\u2028\n"]),
        (CHESS, ["1. e4 e5\n2. Nf3 Nc6\n", "1. e4 e5\n2. O-O-O exd8=Q+\n"], ["1. e4 e5\n", "e4"]),
        (C, ["", "int f(){return 1;}", "int f(char x){x=-g(2,y)*3;}"], ["int f()", "f(){}"]),
        ('root ::= [a-z]* "abc"', ["abc", "xyzabc", "abcabc"], ["ab", "abcd"]),
        ('root ::= ("abc" | [a-z])* "!"', ["abd!", "abc!", "!"], ["abc", "ab"]),
        ('root ::= "a" | "aa" | "(" root ")"', ["a", "(aa)", "((a))"], ["aaa", "(a", "()"]),
        ('root ::= root "a" | "b"', ["b", "baa"], ["", "a", "bab"]),
        ('root ::= "a"{2} "b"{1,} "c"{0,2}', ["aab", "aabbbcc"], ["ab", "aa", "aabccc"]),
        ('root ::= ("a" "b"?)+ | ""', ["", "a", "abaab"], ["b", "abb"]),
        ("root ::= . .", ["xy", "\n\n", "é語", "\0\0"], ["x", "xyz"]),
        ("root ::= [^a-c]", ["d", "\n", "語"], ["a", "c", "dd"]),
        (r'root ::= [\]\[\\"^-] "\t\r\\\[\]"', ["]\t\r\\[]", "-\t\r\\[]"], ["a\t\r\\[]"]),
        (r"root ::= [\x41\u0042\U00000043-E]", list("ABCDE"), ["F", "@"]),
        ("root ::= a-b a_b\na-b ::= [x]\na_b ::= [y]", ["xy"], ["xx", "yx"]),
        ('start ::= "s"\nroot ::= start #end', ["s"], ["", "ss"]),
        ('root ::= "#" # "x"\r\n\r\n', ["#"], ["#x"]),
        ('root ::=\n "a" |\n  "b"\n', ["a", "b"], ["ab"]),
    ],
)
def test_which_texts_match(grammar: str, good: list[str], bad: list[str]) -> None:
    parsed = Grammar.parse_gbnf(grammar, tokenizer())
    assert [text for text in good if not matches(parsed, text)] == []
    assert [text for text in bad if matches(parsed, text)] == []


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ('root ::= "a', 1, 10, "not closed"),
        ("root ::= [a", 1, 10, "not closed"),
        ("root ::= []", 1, 10, "empty"),
        ("root ::= [z-a]", 1, 11, "before it begins"),
        ('root ::= "a"\n  | "b"', 2, 3, "name of a rule"),
        ('root = "a"', 1, 6, "'::='"),
        ('x ::= "a"\n\nroot ::= ("b"\n"c"', 4, 4, "')'"),
        ('root ::= "a" )', 1, 14, "end of the line"),
        (r'root ::= "\q"', 1, 11, "escape"),
        (r'root ::= "\x4"', 1, 11, "escape"),
        (r'root ::= "\uD800"', 1, 11, "no character"),
        (r'root ::= "\U00110000"', 1, 11, "no character"),
        ("root ::= *", 1, 10, "repeats nothing"),
        ('root ::= "a"{', 1, 14, "number"),
        ('root ::= "a"{3,1}', 1, 13, "below the smallest"),
        ('root ::= "a"{2001}', 1, 13, "2000"),
        ('root ::= "a"{9999999}', 1, 14, "too large"),
        ('root ::= "a"{1;}', 1, 15, "'}'"),
        ("# comment\nroot ::= thing", 2, 10, "no rule 'thing'"),
        ('root ::= "a"\nroot ::= "b"', 2, 1, "twice"),
        ("root ::= <think>", 1, 10, "tokens"),
        ("root ::= " + "(" * 200, 1, 111, "parentheses"),
        ('root ::= "a"' + "*" * 200, 1, 113, "repetitions"),
    ],
)
def test_errors_name_line_and_column(text: str, line: int, column: int, problem: str) -> None:
    with pytest.raises(GrammarError, match=r"^the file, line") as caught:
        Grammar.parse_gbnf(text, tokenizer(), "the file")
    error = caught.value
    assert (error.line, error.column) == (line, column)
    assert problem in error.problem
    assert "\n" not in str(error)


@pytest.mark.parametrize("text", ["", "# nothing\n", 'other ::= "a"'])
def test_there_must_be_a_root(text: str) -> None:
    with pytest.raises(GrammarError, match="no rule 'root'"):
        Grammar.parse_gbnf(text, tokenizer())


def test_repetitions_of_repetitions_cost_little() -> None:
    grammar = Grammar.parse_gbnf('root ::= (("a"{2000} "b"){2000} "c"){2000}', tokenizer())
    assert follows(grammar, "a" * 50)
    assert not follows(grammar, "ab")


def test_a_grammar_too_large_is_refused() -> None:
    alternatives = " | ".join(f'"{number:030}"' for number in range(5000))
    with pytest.raises(GrammarError, match="too large"):
        Grammar.parse_gbnf(f"root ::= {alternatives}", tokenizer())
