"""A compiled template: text in, program out; variables in, text out."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from jinja2 import Template, TemplateSyntaxError

from pyllama.errors import TemplateError
from pyllama.templates.functions import RefusalError
from pyllama.templates.limits import CURRENT, LimitError, Limits, Meter
from pyllama.templates.sandbox import sandbox

_REMEDY = "choose another template for this model"
_LONGEST_PROBLEM = 300


@dataclass(frozen=True, eq=False, slots=True)
class Program:
    """A template that can be rendered, by any number of threads."""

    source: str
    limits: Limits
    _template: Template

    @classmethod
    def compile(cls, text: str, source: str, limits: Limits) -> Program:
        """Compile ``text``; raises ``TemplateError``.

        Compiling is not metered; the length of the text bounds it, to seconds at the very worst.
        """
        if len(text) > limits.source:
            problem = f"it has {len(text):,} characters, and {limits.source:,} is the most"
            raise TemplateError(source, problem, remedy=_REMEDY)
        try:
            return cls(source, limits, sandbox().from_string(text))
        except TemplateSyntaxError as error:
            problem = _one_line(error.message or "syntax error")
            raise TemplateError(source, problem, error.lineno, remedy=_REMEDY) from error
        except Exception as error:  # of the parser's recursion, or of Python's own compiler
            raise TemplateError(source, _problem(error), remedy=_REMEDY) from error

    def run(self, variables: Mapping[str, object]) -> str:
        """The text for ``variables``, plain data; raises ``TemplateError``."""
        try:
            meter = Meter(self.limits, variables)
            return contextvars.copy_context().run(self._run, meter, variables)
        except RefusalError as error:
            words = _one_line(str(error))
            raise TemplateError(self.source, words, self._line(error), refused=True) from error
        except Exception as error:
            line = self._line(error)
            raise TemplateError(self.source, _problem(error), line, remedy=_REMEDY) from error

    def _run(self, meter: Meter, variables: Mapping[str, object]) -> str:
        CURRENT.set(meter)
        context = self._template.new_context(dict(variables))
        return meter.keep("".join(self._template.root_render_func(context)))

    def _line(self, error: Exception) -> int | None:
        """The innermost line of the template that ``error`` went through."""
        code: TracebackType | None = error.__traceback__
        line = None
        while code is not None:
            if "__jinja_template__" in code.tb_frame.f_globals:
                line = self._template.get_corresponding_lineno(code.tb_lineno)
            code = code.tb_next
        return line


def _problem(error: Exception) -> str:
    """What went wrong, in one line."""
    if isinstance(error, LimitError):
        return f"the template takes too much: {error}"
    if isinstance(error, RecursionError):
        return "the template is nested, or calls itself, too deeply"
    if isinstance(error, MemoryError):
        return "the template takes too much memory"
    return _one_line(str(error) or type(error).__name__)


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words[:_LONGEST_PROBLEM])
    return shown + "..." * (len(words) > _LONGEST_PROBLEM)
