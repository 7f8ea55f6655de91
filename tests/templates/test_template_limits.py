"""Templates that want to hang or to fill the memory are stopped, early, and say why."""

from __future__ import annotations

import itertools
import time
import tracemalloc

import pytest

from pyllama.errors import TemplateError
from pyllama.templates import ChatTemplate, Limits

USER = [{"role": "user", "content": "Hi"}]
MIB = 1 << 20
SHORT = Limits(seconds=0.05, total=1 << 40)
SMALL = Limits(seconds=60, total=8 * MIB, single=2 * MIB)
LOOP = "{% for i in range(100000) %}"
NS = "{% set ns = namespace(x=[1], y=[2], s='aaaaaaaa', n=3) %}"
BIG = "('a' * 100000)"

SLOW = [
    LOOP * 2 + "{% endfor %}" * 2,
    LOOP + "{% for j in range(100000) if false %}{% endfor %}{% endfor %}",
    "{% set l = range(100000)|list %}" + LOOP + "{% if -1 in l %}{% endif %}{% endfor %}",
    "{% set l = range(100000)|list %}" + LOOP + "{{ -1 is in l }}{% endfor %}",
    "{% set l = range(100000)|list %}{{ l|select('in', l)|list|length }}",
    "{% set a = [0.1] * 99999 %}{% set b = [0.1 + 0] * 99999 %}{{ a" + " == b == a" * 3000 + " }}",
    "{% set a = [0.1] * 99999 %}{% set b = [0.1 + 0] * 99999 %}"
    + "{% if a == b %}{% endif %}" * 2000,
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% for x in [1, 2] recursive %}{% if loop.depth < 60 %}{{ loop([1, 2]) }}{% endif %}"
    "{% endfor %}",
]

# what the limit says: templates that reach it
HOSTILE: dict[str, list[str]] = {
    "MiB of data": [
        LOOP * 2 + "x" * 5000 + "{% endfor %}" * 2,
        "{% macro m() %}" + LOOP + "x" * 5000 + "{% endfor %}{% endmacro %}{{ m() }}",
        "{% set x %}" + LOOP + "x" * 5000 + "{% endfor %}{% endset %}",
        "{% filter upper %}" + LOOP + "x" * 5000 + "{% endfor %}{% endfilter %}",
        "{% macro m() %}" + LOOP + "{{ caller() }}{% endfor %}{% endmacro %}"
        "{% call m() %}" + "x" * 5000 + "{% endcall %}",
        LOOP + "{% set x = " + BIG + "|upper %}{% endfor %}",
        LOOP + "{{ " + BIG + "[1:]|length }}{% endfor %}",
        NS + LOOP + "{% set ns.x = [cycler(*'é' * 10000), ns.x] %}{% endfor %}",
        NS + "{% set b = 'b' * 400000 %}" + LOOP + "{% set ns.s = b ~ i %}{% endfor %}",
        "{% set b = 'a' * 400000 %}{{ ('{0}' * 100000).format(b) }}",
        "{% set b = 'a' * 400000 %}{{ (('{0}' * 100000)|safe).format(b) }}",
        "{{ ([1] * 10000)|tojson(separators=['x' * 100000, '']) }}",
        NS + LOOP + "{% set ns.x = ns.x + [i * 2305843009213693951] %}{% endfor %}",
        "{{ ([[1]] * 5000)|sum(start=[])|length }}",
        LOOP + "{{ range(10000)|list|sort|length }}{% endfor %}",
        LOOP + "{{ range(10000)|unique|list|length }}{% endfor %}",
        LOOP + "{{ dict.fromkeys(range(10000))|length }}{% endfor %}",
    ],
    "a value of more than": [
        "{{ 'a' * 10**12 }}",
        "{{ 10**12 * 'a' }}",
        "{{ 'a' * 40000000000 }}",
        "{% set x = [0] * 10**10 %}",
        "{% set x = (0,) * 10**10 %}",
        "{{ ('<'|safe) * 10**10 }}",
        NS + LOOP + "{% set ns.s = ns.s + ns.s %}{% endfor %}",
        NS + LOOP + "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        NS + LOOP + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
        NS + LOOP + "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        NS + LOOP + "{% set ns.x = ns.x, ns.x %}{% endfor %}{{ ns.x == ns.x }}",
        NS + LOOP + "{% set ns.x = {1: ns.x, 2: ns.x} %}{% endfor %}{{ ns.x|tojson }}",
        NS + LOOP + "{% set ns.x = dict(a=ns.x, b=ns.x) %}{% endfor %}",
        NS + LOOP + "{% set ns.x = {1: {2: ns.x}.items(), 2: {3: ns.x}.values()} %}{% endfor %}",
        "{% set x = 'a' * 400000 %}{% set y = " + " ~ ".join("x" * 5000) + " %}",
        "{% set x = [0.1] * 10000 %}{% set y = " + " ~ ".join("x" * 5000) + " %}",
        f"{{{{ {BIG}.replace('a', {BIG}) }}}}",
        f"{{{{ {BIG}.replace('', {BIG}) }}}}",
        f"{{{{ {BIG}|replace('a', new={BIG}) }}}}",
        f"{{{{ [{BIG}]|map('replace', 'a', {BIG})|list }}}}",
        f"{{{{ {BIG}.join('a' * 1000) }}}}",
        f"{{{{ {BIG}.join(['a'] * 1000) }}}}",
        f"{{{{ {BIG}.join((['a'] * 1000)|map('upper')) }}}}",
        f"{{% set f = {BIG}.join %}}{{{{ f(['a'] * 1000) }}}}",
        f"{{{{ ({BIG}|attr('join'))(['a'] * 1000) }}}}",
        f"{{{{ {BIG}['join'](['a'] * 1000) }}}}",
        f"{{{{ (['a'] * 1000)|join({BIG}) }}}}",
        f"{{{{ (['a'] * 1000)|map('upper')|join(d={BIG}) }}}}",
        "{{ ('\t' * 400000).expandtabs(1000) }}",
        "{{ ('\n' * 100000)|indent('x' * 100000, blank=true) }}",
        "{{ ('\n' * 400000)|indent(width=1000, blank=true) }}",
        "{% set b = 'a' * 400000 %}{{ ('%(b)s' * 1000) % {'b': b} }}",
        "{{ ('a' * 2000000).split('a')|length }}",
        "{{ ('a' * 2000000).split(sep='a')|length }}",
        "{{ ('a' * 400000).rsplit(sep='a')|length }}",
        "{{ (' a' * 400000).split()|length }}",
        "{{ ('\n' * 400000).splitlines()|length }}",
        "{{ ('é' * 400000)|list|length }}",
        "{{ ('é' * 400000)|sort|length }}",
        "{{ dict(*('é' * 400000)) }}",
    ],
    "a width or precision": [
        "{{ 'a'.center(10**10) }}",
        "{{ 'a'|center(10**10) }}",
        "{{ 'a'|center(width=400000000) }}",
        "{{ ['a']|map('center', 10**10)|list }}",
        "{{ 'a'.ljust(10**10) }}",
        "{{ 'a'.zfill(10**10) }}",
        "{{ '\t'.expandtabs(10**10) }}",
        "{{ 'a'|indent(10**10) }}",
        "{{ '{:>400000000}'.format('a') }}",
        "{{ '{:>{w}}'.format('a', w=10**10) }}",
        "{{ '{:.400000000f}'.format(1.5) }}",
        "{{ '{a:>400000000}'.format_map({'a': 1}) }}",
        "{{ ('{:>400000000}'|attr('format'))('a') }}",
        "{{ '{:>400000000}'['format']('a') }}",
        "{{ ('{:>400000000}'|safe).format('a') }}",
        "{{ '%400000000d' % 1 }}",
        "{{ '%(a)400000000d' % {'a': 1} }}",
        "{{ '%.400000000f' % 1.5 }}",
        "{{ '%400000000d'|format(1) }}",
        "{{ [1]|batch(10**10, 0)|list }}",
        "{{ [1]|slice(slices=10**10)|list }}",
        "{{ 1.5|round(10**9, 'ceil') }}",
        "{{ [1]|tojson(indent=10**10) }}",
        "{{ [1]|tojson(indent='x' * 400000) }}",
    ],
    "whose width is a variable": ["{{ '%*d' % (10**10, 1) }}"],
    "brackets in brackets": ["{{ '%(a(b))400000000d' % {'a(b)': 1} }}"],
    "huge number": ["{{ 9**(9**9) }}", "{{ 2**-(10**9) }}", "{{ (2**1000)**1000 }}"],
    "1024 bits": [NS + LOOP + "{% set ns.n = ns.n * ns.n %}{% endfor %}"],
    "backwards": [
        "{{ ('é' * 400000).strip('a' * 400000) }}",
        "{{ ('é' * 400000)|trim(chars='a' * 400000) }}",
        "{{ ('a' * 400000).rfind('ab' + 'a' * 200000) }}",
        "{{ ('a' * 400000).rsplit('ab' + 'a' * 200000) }}",
    ],
    "a slow filter": [
        f"{{{{ {BIG}|{name} }}}}" for name in ("urlize", "striptags", "wordwrap(1)", "pprint")
    ]
    + ["{{ {'a': 'b' * 400000}|xmlattr }}", "{{ 'a b'|wordwrap(1, wrapstring='x' * 400000) }}"],
    "date format": ["{{ strftime_now('%c' * 10000) }}"],
    "too deeply": [
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
        "{% block a %}{{ self.a() }}{% endblock %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        NS + "{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        NS + "{% for i in range(3000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x|tojson }}",
    ],
    "Range too big": ["{% for i in range(10**9) %}x{% endfor %}"],
}


@pytest.mark.parametrize("text", SLOW)
def test_a_template_that_hangs_is_stopped(text: str) -> None:
    template = ChatTemplate.parse(text, limits=SHORT)
    began = time.thread_time()
    with pytest.raises(TemplateError, match=r"ran for more than 0\.\d seconds"):
        template.render(USER)
    assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    ("reason", "text"), [(reason, text) for reason, texts in HOSTILE.items() for text in texts]
)
def test_a_template_that_fills_the_memory_is_stopped(reason: str, text: str) -> None:
    template = ChatTemplate.parse(text, limits=SMALL)
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError) as caught:
            template.render(USER)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reason in caught.value.problem
    assert caught.value.line in range(1, text.count("\n") + 2)
    assert peak < 32 * MIB


@pytest.mark.parametrize(
    "text",
    [
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% from 'x' import x %}",
        "{% extends 'x' %}",
        "{% block x scoped %}{% endblock %}",
        "{% autoescape true %}{% endautoescape %}",
        "{{ " + "(" * 20_000 + ")" * 20_000 + " }}",
        "{{ 1" + "+1" * 20_000 + " }}",
        "{{ " + "-" * 60_000 + "1 }}",
        "{{ a" + "|e" * 20_000 + " }}",
        "{% if a %}" * 2000 + "{% endif %}" * 2000,
        "{% for a in b %}" * 500 + "{% endfor %}" * 500,
        "{#" * 30_000,
        "{{ 0x" + "f" * 60_000 + " }}",
        "x" * 70_000,
    ],
    ids=lambda text: text[:20],
)
def test_a_template_that_cannot_be_compiled_safely_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        ChatTemplate.parse(text).render(USER)


def test_lazy_filters_do_not_stack_up() -> None:
    text = NS + LOOP + "{% set ns.x = ns.x|map('string') %}{% endfor %}{{ ns.x|list }}"
    assert ChatTemplate.parse(text.replace("100000", "5000")).render(USER) == "['1']"


def test_namespaces_in_namespaces_are_not_written_out() -> None:
    text = NS + "{% for i in range(90) %}{% set ns.x = namespace(a=ns.x, b=ns.x) %}{% endfor %}"
    assert ChatTemplate.parse(text + "{{ ns.x }}").render(USER) == "<Namespace>"


def test_the_limits_grow_with_the_conversation() -> None:
    small = Limits(total=1 << 16, single=1 << 16)
    text = "{% for message in messages %}{{ (message.content ~ '!')|upper }}{% endfor %}"
    template = ChatTemplate.parse(text, limits=small)
    messages = [{"role": "user", "content": f"{n} " + "x" * 10_000} for n in range(200)]
    assert len(template.render(messages)) > 2_000_000


def test_a_long_conversation_is_no_reason_to_stop() -> None:
    """Templates that go through all messages for each message take time and no memory."""
    text = (
        "{% set ns = namespace(seen=[], all='') %}{% for m in messages %}"
        "{% for other in messages[loop.index:] if other.role == 'tool' %}{{ loop.index }}"
        "{% endfor %}{% set ns.seen = ns.seen + [m.role] %}{% set ns.all = ns.all + m.role %}"
        "{{ messages|selectattr('role', 'equalto', 'tool')|list|length }}{% endfor %}"
    )
    messages = [{"role": "user", "content": f"{n} " + "word " * 100} for n in range(400)]
    assert ChatTemplate.parse(text).render(messages) == "0" * 400


def test_time_is_the_processors() -> None:
    """A busy machine, on which a rendering waits, is no reason to stop it."""
    hours = itertools.count(0, 3600)

    def clock() -> float:
        return next(hours)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyllama.templates.limits.monotonic", clock)
        assert ChatTemplate.parse("{% for i in range(99) %}{{ i }}{% endfor %}").render(USER)
