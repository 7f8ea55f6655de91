"""Chat templates: how a conversation becomes the text that a model was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyllama.errors import UsageError
from pyllama.gguf.wording import quoted
from pyllama.templates import choosing
from pyllama.templates.adapting import adapted
from pyllama.templates.capabilities import Capabilities, probe
from pyllama.templates.choosing import DEFAULT, RESERVED, Found, TokenTexts
from pyllama.templates.continuing import cut, marked
from pyllama.templates.limits import Limits
from pyllama.templates.messages import normalized, plain

if TYPE_CHECKING:
    from pyllama.gguf import GGUFFile
    from pyllama.templates.program import Program
    from pyllama.tokenizers import Tokenizer


@dataclass(frozen=True, eq=False, repr=False)
class ChatTemplate:
    """A template that has been compiled; immutable, so that any number of threads can share it.

    Attributes:
        text: the template itself, Jinja.
        source: what errors call it: its file and key, or its name.
        is_fallback: the model brought no template along, and this one is a guess.
    """

    text: str
    source: str
    is_fallback: bool
    _tokens: TokenTexts
    _program: Program

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        source: str = "the chat template",
        tokenizer: Tokenizer | None = None,
        limits: Limits | None = None,
    ) -> ChatTemplate:
        """Compile a template.

        Args:
            text: Jinja.
            source: what errors call it.
            tokenizer: the model's; its special tokens are variables of the template, and a token
                that it puts first by itself is not written by ``render``.
            limits: what rendering may cost.

        Raises ``TemplateError`` with the line if ``text`` does not parse.
        """
        return cls._compile(Found(text, source), tokenizer, limits or Limits())

    @classmethod
    def from_metadata(
        cls,
        metadata: Mapping[str, Any],
        tokenizer: Tokenizer | None = None,
        *,
        source: str = "the model",
        name: str = DEFAULT,
    ) -> ChatTemplate:
        """The template of a model; ChatML, marked as a fallback, if it has none.

        Args:
            metadata: of a GGUF file.
            tokenizer: the model's, see ``parse``.
            source: the file's name in errors.
            name: of the model's templates, which one; see ``template_names``. ``default`` and
                ``tool_use`` stand in for each other where a model has only one of them.

        Raises ``ModelError`` if the template is no string, ``TemplateError`` if it does not parse,
        ``UsageError`` if there is none of that name.
        """
        found = choosing.from_metadata(metadata, source, name)
        return cls._compile(found, tokenizer, Limits())

    @classmethod
    def from_gguf(
        cls, file: GGUFFile, tokenizer: Tokenizer | None = None, *, name: str = DEFAULT
    ) -> ChatTemplate:
        """The template of an open model; see ``from_metadata``."""
        return cls.from_metadata(file.metadata, tokenizer, source=str(file.path), name=name)

    @classmethod
    def named(cls, name: str, tokenizer: Tokenizer | None = None) -> ChatTemplate:
        """One of llama.cpp's short names, such as ``chatml``; ``UsageError`` for another name."""
        return cls._compile(choosing.named(name), tokenizer, Limits())

    @classmethod
    def from_option(
        cls, value: str, tokenizer: Tokenizer | None = None, *, source: str = "--chat-template"
    ) -> ChatTemplate:
        """A short name, or else the text of a template itself, as ``--chat-template`` takes them.

        Raises ``UsageError`` for what is neither, ``TemplateError`` if the text does not parse.
        """
        return cls._compile(choosing.from_option(value, source), tokenizer, Limits())

    @classmethod
    def _compile(cls, found: Found, tokenizer: Tokenizer | None, limits: Limits) -> ChatTemplate:
        from pyllama.templates.program import Program  # Jinja takes 40 ms to import

        program = Program.compile(found.text, found.source, limits)
        tokens = TokenTexts.of(tokenizer)
        return cls(found.text, found.source, found.fallback, tokens, program)

    def render(
        self,
        messages: Sequence[Mapping[str, object]],
        /,
        *,
        tools: Sequence[Mapping[str, object]] | None = None,
        add_generation_prompt: bool | None = None,
        continue_final_message: bool = False,
        **variables: object,
    ) -> str:
        """The text of a conversation, to be encoded with special tokens parsed and added.

        Args:
            messages: at least one; see ``Message``.
            tools: JSON schemas of the tools that the model may call.
            add_generation_prompt: end with what asks for an answer; if ``None``, unless the last
                message is to be continued.
            continue_final_message: end inside the last message, so that the model goes on with it.
            variables: others that the template knows, such as ``enable_thinking``.

        Raises ``TemplateError`` if the template fails, takes too much time or memory, or refuses
        the conversation; ``UsageError`` if the arguments contradict or are malformed.
        """
        if add_generation_prompt and continue_final_message:
            raise UsageError(
                "add_generation_prompt and continue_final_message contradict: the one begins an"
                " answer, the other goes on with one"
            )
        for name in RESERVED & variables.keys():
            raise UsageError(f"the template's variable {quoted(name)} is set by pyllama itself")
        given = normalized(messages)
        text = self._program.run(
            {
                "documents": None,
                **self._tokens.variables,
                **{name: plain(value, f"variable {name}") for name, value in variables.items()},
                "messages": marked(given) if continue_final_message else given,
                "tools": None if tools is None else plain(list(tools), "tools"),
                "add_generation_prompt": (
                    not continue_final_message
                    if add_generation_prompt is None
                    else add_generation_prompt
                ),
            }
        )
        if continue_final_message:
            text = cut(text, given, self.source)
        return text.removeprefix(self._tokens.added)

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the template can express, found out by rendering small conversations."""
        return probe(self.render)

    def adapt(self, messages: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        """``messages`` with what this template cannot express expressed by other means.

        A system message goes into the first user message, content parts become one text; where
        the template knows both, nothing changes. Raises ``UsageError`` if they are malformed.
        """
        return adapted(messages, self.capabilities)
