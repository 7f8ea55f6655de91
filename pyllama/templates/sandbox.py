"""The environment that all chat templates are compiled and rendered in.

It is Jinja's immutable sandbox with the settings, functions and tags of transformers; and it is
metered (see ``limits``): the code that is generated for a template passes every value that the
template makes, every turn of a loop and every piece of output through the methods below.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from types import BuiltinMethodType, MethodType
from typing import Any, NoReturn

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, operators
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Cycler, Joiner, Namespace, pass_eval_context
from markupsafe import EscapeFormatter, Markup

from pyllama.templates import functions, guards
from pyllama.templates.filters import metered_filters, metered_tests, method_size
from pyllama.templates.limits import CURRENT

_MANY_ARGUMENTS = 16

_TEXT_METHODS = frozenset(name for name in dir(str) if not name.startswith("_")) - {
    "encode",
    "maketrans",
    "translate",
}

_READABLE: dict[type, frozenset[str]] = {
    str: _TEXT_METHODS,
    dict: frozenset({"copy", "get", "items", "keys", "values"}),
    list: frozenset({"copy", "count", "index"}),
    tuple: frozenset({"count", "index"}),
    float: frozenset({"is_integer"}),
    functions.DictFactory: frozenset({"fromkeys"}),
}
"""The attributes of Python's own types that a template can use."""

_JINJA_TYPES = (Cycler, Joiner, LoopContext, Macro, Namespace)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment; immutable once it is made, and shared by all threads."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols, GenerationTag],
            finalize=_written,
            optimized=False,  # an optimizer computes constants, unmetered
        )
        self.code_generator_class = MeteringGenerator
        self.filters = dict[str, Any](metered_filters())
        self.tests = dict[str, Any](metered_tests())
        self.globals = {
            "cycler": Cycler,
            "dict": functions.DictFactory(),
            "joiner": Joiner,
            "namespace": functions.TemplateNamespace,
            "raise_exception": functions.raise_exception,
            "range": self.globals["range"],
            "strftime_now": functions.strftime_now,
        }

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """``left operator right``."""
        meter = CURRENT.get()
        meter.allow(guards.operator(meter, operator, left, right))
        return meter.keep(super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, /, *args: Any, **names: Any) -> Any:
        """``obj(*args, **names)``."""
        meter = CURRENT.get()
        if len(args) + len(names) > _MANY_ARGUMENTS:
            meter.keep((args, names))
        if isinstance(obj, BuiltinMethodType | MethodType) and isinstance(obj.__self__, str):
            args = tuple(list(a) if isinstance(a, Iterator) else a for a in args)
            given = {name: value for name, value in names.items() if not name.startswith("_")}
            meter.allow(method_size(obj.__self__, obj.__name__, args, given))
        return meter.keep(super().call(context, obj, *args, **names))

    def getitem(self, obj: Any, argument: Any) -> Any:
        """``obj[argument]``; a key that is a long tuple takes time to hash."""
        CURRENT.get().tick()
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template can use ``obj.attr``."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        if isinstance(obj, _JINJA_TYPES):
            return True
        return any(isinstance(obj, kind) and attr in names for kind, names in _READABLE.items())

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """``text.format`` and ``text.format_map``, sandboxed and metered."""
        if not isinstance(value, BuiltinMethodType | MethodType):
            return None
        name, text = value.__name__, value.__self__
        if name not in ("format", "format_map") or not isinstance(text, str):
            return None
        kind = _EscapeFormatter if isinstance(text, Markup) else _Formatter
        formatter = kind(self, escape=text.escape) if isinstance(text, Markup) else kind(self)

        def formatted(*args: Any, **names: Any) -> str:
            if name == "format_map":
                (names,), args = args, ()
            return type(text)(formatter.vformat(text, args, names))

        return formatted

    # called by the generated code

    def tick(self) -> bool:
        """A loop goes round."""
        return CURRENT.get().tick()

    def compared(self, value: Any) -> Any:
        """Something is going to be compared with ``value``."""
        CURRENT.get().tick()
        return value

    def keep(self, value: Any) -> Any:
        """A list, dict or slice was made."""
        return CURRENT.get().keep(value)

    def concatenated(self, values: tuple[Any, ...]) -> str:
        """``a ~ b ~ c``."""
        meter = CURRENT.get()
        texts: list[str] = []
        size = 0
        for value in values:
            texts.append(str(value))
            size += sys.getsizeof(texts[-1])
            meter.allow(size)
        return meter.keep("".join(texts))

    def constant(self, text: str) -> str:
        """A piece of the template's own text is written."""
        CURRENT.get().spend(sys.getsizeof(text))
        return text


@pass_eval_context  # which also keeps the compiler from calling it
def _written(_: nodes.EvalContext, value: Any) -> str:
    """``{{ value }}``."""
    text = value if isinstance(value, str) else str(value)
    CURRENT.get().spend(sys.getsizeof(text))
    return text


class _Formatter(SandboxedFormatter):
    """``str.format`` with bounded fields."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        guards.specification(format_spec)
        text = super().format_field(value, format_spec)
        CURRENT.get().spend(sys.getsizeof(text))
        return text


class _EscapeFormatter(_Formatter, EscapeFormatter):
    """The same for text that is marked as HTML."""


class GenerationTag(Extension):
    """``{% generation %}...{% endgeneration %}``: marks what the model itself wrote, for training.

    Its body is rendered as it is; like the body of a call, it is a scope of its own.
    """

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: Parser) -> nodes.Node:
        """Parse up to the end tag."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("body", lineno=line)
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    def body(self, caller: Callable[[], str]) -> str:
        """What is between the tags."""
        return caller()


class MeteringGenerator(CodeGenerator):
    """Generates Python code that passes through the meter what would not pass by itself."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        """Tick at every turn, also at those that a condition skips."""
        tick = nodes.EnvironmentAttribute("tick")
        node.body.insert(0, nodes.ExprStmt(tick, lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.And(tick, node.test)
        super().visit_For(node, frame)

    def visit_EnvironmentAttribute(self, node: nodes.EnvironmentAttribute, frame: Frame) -> None:
        """A tick: templates cannot express this node, and nothing else here makes one."""
        super().visit_EnvironmentAttribute(node, frame)
        self.write("()")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        """``~``, checked before it is done."""
        self.write("environment.concatenated((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:
        """A list may hold the same value many times."""
        self._kept(super().visit_List, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:
        """The same for a tuple that is not a target."""
        if node.ctx == "load":
            self._kept(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        """The same for a dict."""
        self._kept(super().visit_Dict, node, frame)

    def visit_Operand(self, node: nodes.Operand, frame: Frame) -> None:
        """Comparing takes time with the size of what is compared."""
        self.write(f" {operators[node.op]} environment.compared(")
        self.visit(node.expr, frame)
        self.write(")")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        """Slices are copies."""
        if isinstance(node.arg, nodes.Slice):
            self._kept(super().visit_Getitem, node, frame)
        else:
            super().visit_Getitem(node, frame)

    def visit_Block(self, node: nodes.Block, frame: Frame) -> None:
        """A scoped block writes all variables into the code, once for each block."""
        if node.scoped:
            self._refuse(node, frame)
        super().visit_Block(node, frame)

    def _refuse(self, node: nodes.Node, frame: Frame) -> NoReturn:  # noqa: ARG002 - a visitor
        name = type(node).__name__.lower()
        self.fail(f"{name!r} is not available in a chat template", node.lineno)

    visit_Extends = visit_Include = visit_Import = visit_FromImport = _refuse
    visit_ScopedEvalContextModifier = _refuse  # autoescape: nothing here is HTML

    def _kept(self, visit: Callable[[Any, Frame], None], node: nodes.Node, frame: Frame) -> None:
        self.write("environment.keep(")
        visit(node, frame)
        self.write(")")

    def _output_const_repr(self, group: Any) -> str:
        return f"environment.constant({super()._output_const_repr(group)})"


@functools.cache
def sandbox() -> Sandbox:
    """The one environment."""
    return Sandbox()
