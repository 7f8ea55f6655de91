"""What a template can reach and what it cannot; the functions, filters and tags there are."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from pyllama.errors import TemplateError
from pyllama.templates import ChatTemplate, functions

USER = [{"role": "user", "content": "Hi"}]


def render(text: str) -> str:
    return ChatTemplate.parse(text).render(USER)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'].mro() }}",
        "{{ (''|attr('__class__')).mro() }}",
        "{{ [''] | map(attribute='__class__.__mro__') | list | tojson }}",
        "{{ raise_exception.__globals__.x }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ self._TemplateReference__context.x }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].pop('role') }}",
        "{{ messages[0].update(role='x') }}",
        "{{ messages[0].keys().mapping.x }}",
        "{{ 'a'.encode() }}",
        "{{ 'a'.translate({97: 'b'}) }}",
        "{{ (1).to_bytes(2, 'big') }}",
        "{{ range(3).start.x }}",
        "{% set ns = namespace(__class__=1) %}",
        "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
        "{{ lipsum() }}",
        "{{ dict.mro() }}",
        "{{ nothing() }}",
    ],
)
def test_pythons_inside_is_out_of_reach(text: str) -> None:
    with pytest.raises(TemplateError):
        render(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ '{0.__class__}{0[__class__]}'.format(1) }}", ""),
        ("{{ {'copy': 1}.copy() }}", "{'copy': 1}"),
        ("{{ {'count': 1}.count }} {{ [1, 1].count(1) }} {{ (1, 2).index(2) }}", "1 2 1"),
        ("{{ {'a': 1}.get('b', 2) }}{{ {'a': 1}.items()|list }}", "2[('a', 1)]"),
        ("{{ ''.join([]) }}{{ ', '.join(['a', 'b']) }}{{ 'x'.join('abc') }}", "a, baxbxc"),
        ("{{ ', '.join(['a', 'b']|map('upper')) }}", "A, B"),
        ("{{ 'a\tb'.expandtabs(4) }}{{ '7'.zfill(3) }}{{ 'x'.rjust(3) }}", "a   b007  x"),
        ("{{ 'a b  c'.split() }}{{ 'a\nb'.splitlines() }}", "['a', 'b', 'c']['a', 'b']"),
        ("{{ 'abcab'.rsplit('a', maxsplit=1) }}{{ 'aXbX'.rfind('X') }}", "['abc', 'b']3"),
        ("{{ '  x '.strip() }}{{ 'xax'.strip('x') }}{{ 'x.y'.rpartition('.')[2] }}", "xay"),
        ("{{ 'aaa'.replace('a', 'b', 2) }}{{ 'aaa'|replace('a', 'b', count=1) }}", "bbabaa"),
        ("{{ 12|center(6) }}|{{ 5|replace('5', '6') }}|{{ 7|trim }}", "  12  |6|7"),
        ("{{ 'a\nb'|indent(width='> ', first=true) }}", "> a\n> b"),
        ("{{ '%s and %05.1f%%' % ('x', 2.25) }}{{ '%(a)s'|format(a=1) }}", "x and 002.2%1"),
        ("{{ [3, 1, 2]|sort|join(', ') }}{{ [1, 2, 3]|slice(2)|list }}", "1, 2, 3[[1, 2], [3]]"),
        ("{{ [1, 2.5]|sum }} {{ [{'n': 1}, {'n': 2}]|sum(attribute='n') }}", "3.5 3"),
        ("{{ [[1], [2]]|sum(start=[]) }} {{ 2.567|round(1) }}", "[1, 2] 2.6"),
        ("{{ {'b': 1, 'a': '<é\"'}|tojson }}", '{"b": 1, "a": "<é\\""}'),
        ("{{ [1]|tojson(indent=2) }}", "[\n  1\n]"),
        ("{{ {'b': 1, 'a': 2}|tojson(separators=(',', ':'), sort_keys=true) }}", '{"a":2,"b":1}'),
        ("{{ dict(a=1) }}{{ dict([('b', 2)], c=3) }}", "{'a': 1}{'b': 2, 'c': 3}"),
        ("{{ dict.fromkeys('ab', 0) }}{{ dict({'a': 1}) }}", "{'a': 0, 'b': 0}{'a': 1}"),
        ("{% set ns = namespace({'a': 1}, self=2) %}{{ ns.a }}{{ ns.self }}", "12"),
        ("{% set c = cycler(1, 2) %}{{ c.next() }}{{ c.next() }}{{ c.next() }}", "121"),
        ("{% set j = joiner(', ') %}{% for i in [1, 2] %}{{ j() }}{{ i }}{% endfor %}", "1, 2"),
        (
            "{% for i in range(9) if i % 2 %}{{ loop.index }}/{{ loop.length }} {% endfor %}",
            "1/4 2/4 3/4 4/4 ",
        ),
        ("{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "012"),
        ("{% for i in [1, 2] recursive %}{{ i }}{{ loop([]) }}{% else %}x{% endfor %}", "1x2x"),
        (
            "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{% endmacro %}{{ m(1, 3, 4) }}",
            "13(4,)",
        ),
        (
            "{% macro m() %}<{{ caller(1) }}>{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}",
            "<1>",
        ),
        ("{% set x %}a{{ 1 }}{% endset %}{{ x }}{% filter upper %}b{% endfilter %}", "a1B"),
        ("{% block a %}x{% endblock %}{{ self.a() }}", "xx"),
        ("{{ 1 < 2 < 3 }}{{ 'a' in 'ab' }}{{ 1 not in [1] }}", "TrueTrueFalse"),
        ("{{ [1, 2, 3][1:] }}{{ 'abc'[::-1] }}{{ (1, 2)[:1] }}", "[2, 3]cba(1,)"),
        (
            "{{ 'a' ~ 1 ~ [none] }} {{ 2 ** 10 }} {{ 7 // 2 }} {{ 'ab' * 2 }} {{ 2 * [1] }}",
            "a1[None] 1024 3 abab [1, 1]",
        ),
        ("{{ '<b>'|e ~ '<' }}{{ '<'|safe }}{{ ('%s'|safe) % '<' }}", "&lt;b&gt;<<&lt;"),
        ("{{ ('{}'|safe).format('<') }}{{ '{0[a]}'.format({'a': 1}) }}", "&lt;1"),
        ("{{ x }}{{ x is defined }}{{ x|default('y') }}{{ messages is sequence }}", "FalseyTrue"),
        ("{% generation %}{% set inside = 1 %}a{% endgeneration %}{{ inside }}", "a"),
        ("{% if ['a']|select('equalto', 'b') %}truthy{% endif %}", "truthy"),
    ],
)
def test_what_templates_are_made_of(text: str, expected: str) -> None:
    assert render(text) == expected


def test_white_space_around_blocks_goes_as_templates_expect() -> None:
    text = "  {% if true %}\nx\n  {% endif %}\n  {# comment #}\n{{ 'y' }}\n"
    assert render(text) == "x\ny"


def test_the_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "now", lambda: datetime(2024, 2, 29, 8, 5))
    assert render("{{ strftime_now('%d %b %Y %H:%M') }}") == "29 Feb 2024 08:05"


def test_the_date_is_todays() -> None:
    before = datetime.now()
    shown = datetime.fromisoformat(render("{{ strftime_now('%Y-%m-%dT%H:%M:%S.%f') }}"))
    assert before <= shown <= datetime.now()


def test_a_template_sees_copies_of_plain_data_only() -> None:
    class Loud(str):
        def upper(self) -> str:
            raise AssertionError("called by a template")

    messages = [{"role": "user", "content": Loud("hi"), "extra": (1, {"n": None})}]
    text = "{{ messages[0].content.upper() }}{{ messages[0].extra }}"
    assert ChatTemplate.parse(text).render(messages) == "HI[1, {'n': None}]"


def test_threads_share_a_template() -> None:
    text = "{% set ns = namespace(n=0) %}{% for i in range(200) %}{% set ns.n = ns.n + x %}"
    template = ChatTemplate.parse(text + "{% endfor %}{{ ns.n }}")
    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(lambda x: template.render(USER, x=x), range(64)))
    assert shown == [str(200 * x) for x in range(64)]


def test_the_import_is_cheap() -> None:
    code = "import sys, pyllama.templates; print({'jinja2', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
