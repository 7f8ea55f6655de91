"""Every error that pyllama raises on purpose.

PyllamaError                 a failure explained in one line: exit code 1
├── FileError                something is wrong with a file: names it, the thing, the remedy
│   ├── ModelError           the file is sound, but is no model that pyllama can run
│   └── ConversionError      a checkpoint, or a file of it, that cannot be converted
├── CapacityError            the request does not fit (context, batch, memory)
├── PromptError              the prompt cannot be used (empty, not UTF-8)
├── GrammarError             a grammar or schema does not parse, or the text leaves it
├── TemplateError            a chat template does not parse, fails, or refuses a conversation
├── HubError                 a model hub does not have, or does not give, what was asked for
│   └── HubUnreachable       it does not answer: no network, or trouble on its side
├── TargetError              this processor or operating system cannot do what was asked
├── UsageError               the call contradicts itself or is out of range: exit code 2
└── Interrupted              someone asked for the work to stop (Ctrl-C): exit code 130
"""

from __future__ import annotations

import os


class PyllamaError(Exception):
    """A failure explained in one line; commands print it and exit with ``exit_code``."""

    exit_code = 1


class FileError(PyllamaError):
    """Something is wrong with a file; the message reads ``path: problem; remedy``."""

    def __init__(self, path: str | os.PathLike[str], problem: str, remedy: str = "") -> None:
        self.path = os.fspath(path)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{self.path}: {problem}" + (f"; {remedy}" if remedy else ""))

    @classmethod
    def from_os_error(cls, path: str | os.PathLike[str], error: OSError) -> FileError:
        """The same for an ``OSError``, with the remedy that fits its kind."""
        remedies: dict[type[OSError], str] = {
            FileNotFoundError: "check the path",
            PermissionError: "check the file's permissions",
            IsADirectoryError: "name a file, not a directory",
        }
        return cls(path, (error.strerror or str(error)).lower(), remedies.get(type(error), ""))


class ModelError(FileError):
    """The file is well formed, but is no model that pyllama can run."""


class ConversionError(FileError):
    """A checkpoint, or one of its files, cannot be converted to GGUF."""


class CapacityError(PyllamaError):
    """The request does not fit into the context, the batch or the memory."""


class PromptError(PyllamaError):
    """The prompt cannot be used."""


class HubError(PyllamaError):
    """A hub does not have, or does not give, the model; reads ``subject: problem; remedy``."""

    def __init__(self, subject: str, problem: str, remedy: str = "") -> None:
        self.subject = subject
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{subject}: {problem}" + (f"; {remedy}" if remedy else ""))


class HubUnreachable(HubError):
    """The hub does not answer: there is no network, or it has trouble. Trying again may help."""


class GrammarError(PyllamaError):
    """A grammar or JSON schema does not parse, or no text can satisfy it any more.

    The message reads ``source, line 3, column 5: problem``. ``source`` is the grammar's file or
    option; ``line`` and ``column`` count from 1 and are ``None`` where no place is at fault.
    """

    def __init__(
        self, source: str, problem: str, line: int | None = None, column: int | None = None
    ) -> None:
        self.source = source
        self.problem = problem
        self.line = line
        self.column = column
        place = source if line is None else f"{source}, line {line}, column {column}"
        super().__init__(f"{place}: {problem}")


class TemplateError(PyllamaError):
    """A chat template does not parse, fails, or refuses a conversation.

    The message reads ``source, line 3: problem; remedy``. ``source`` is the template's file or
    key, ``line`` counts from 1 and is ``None`` where no line is at fault; ``refused``: the
    template itself says, in ``problem``, that it does not take this conversation.
    """

    def __init__(
        self,
        source: str,
        problem: str,
        line: int | None = None,
        *,
        remedy: str = "",
        refused: bool = False,
    ) -> None:
        self.source = source
        self.problem = problem
        self.line = line
        self.remedy = remedy
        self.refused = refused
        place = source if line is None else f"{source}, line {line}"
        says = "the template refuses this conversation: " if refused else ""
        super().__init__(f"{place}: {says}{problem}" + (f"; {remedy}" if remedy else ""))


class TargetError(PyllamaError):
    """This processor or operating system cannot do what was asked."""


class UsageError(PyllamaError):
    """The call contradicts itself or a value is out of range."""

    exit_code = 2


class Interrupted(PyllamaError):
    """The work was stopped on request, by Ctrl-C or from another thread."""

    exit_code = 130
