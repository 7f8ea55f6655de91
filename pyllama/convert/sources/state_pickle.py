"""Reads the pickle of a state dict without pickle: as data, by a machine that can do nothing else.

A pickle is a program for a stack machine whose instructions import and call what the file names.
The machine here knows the instructions that make up containers, numbers and texts. It calls
nothing: the few functions that a state dict consists of are names to it, and a call of one of them
becomes a ``TensorView``; any other one is refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
"""Element types, by the classes of PyTorch's storages."""


class PickleProblem(ValueError):
    """The pickle is damaged, or more than a state dict."""


@dataclass(frozen=True)
class Storage:
    """Elements that tensors share: their key in the archive, their type, how many there are."""

    key: str
    dtype: str
    elements: int


@dataclass(frozen=True)
class TensorView:
    """A tensor: elements of a storage from ``offset`` on; strides count elements, too."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    """A function or class that the pickle refers to."""

    text: str


def read_state(data: bytes) -> dict[str, Any]:
    """What the pickle holds: values by name, the tensors among them as ``TensorView``.

    Raises PickleProblem.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                break
            machine.run(opcode.name, argument)
        state = machine.pop()
    except PickleProblem:
        raise
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise PickleProblem(f"it is damaged ({error})") from error
    if not isinstance(state, dict):
        raise PickleProblem("it holds no tensors by name")
    return state


class _Machine:
    """The stack, what was set aside (the memo), and the instructions."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        """One instruction."""
        if name in _ARGUMENTS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name]())
        elif name in _INSTRUCTIONS:
            _INSTRUCTIONS[name](self, argument)
        elif name not in _NOTHING:
            raise PickleProblem(f"it has the instruction {name}, which no weights need")

    def pop(self) -> Any:
        """Take the top of the stack."""
        return self._stack.pop()

    def mark(self, _: Any) -> None:
        """Remember the height of the stack."""
        self._marks.append(len(self._stack))

    def _since_mark(self) -> list[Any]:
        height = self._marks.pop()
        items = self._stack[height:]
        del self._stack[height:]
        return items

    def store(self, key: Any) -> None:
        """Set the top of the stack aside; without a key under the next number."""
        self._memo[len(self._memo) if key is None else key] = self._stack[-1]

    def load(self, key: int) -> None:
        """Get back what was set aside."""
        self._stack.append(self._memo[key])

    def make_tuple(self, _: Any) -> None:
        """Everything since the mark as one tuple."""
        self._stack.append(tuple(self._since_mark()))

    def make_short_tuple(self, count: int) -> None:
        """The last few items as one tuple."""
        items = [self.pop() for _ in range(count)]
        self._stack.append(tuple(reversed(items)))

    def append(self, _: Any) -> None:
        """An item to the list below it."""
        self._extend([self.pop()])

    def extend(self, _: Any) -> None:
        """Everything since the mark to the list below it."""
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise PickleProblem("it appends to what is no list")
        self._stack[-1].extend(items)

    def set_item(self, _: Any) -> None:
        """A key and a value to the dictionary below them."""
        value, key = self.pop(), self.pop()
        self._set([key, value])

    def set_items(self, _: Any) -> None:
        """Keys and values since the mark to the dictionary below them."""
        self._set(self._since_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise PickleProblem("it sets items of what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise PickleProblem("it has values without a name")
            target[key] = value

    def name(self, argument: str | None) -> None:
        """A function or class, by module and name."""
        if argument is None:
            name, module = self.pop(), self.pop()
            argument = f"{module} {name}"
        self._stack.append(_Name(argument.replace(" ", ".")))

    def storage(self, _: Any) -> None:
        """The storage that a reference names."""
        kind, type, key, _, elements = self.pop()
        dtype = STORAGES.get(type.text.removeprefix("torch.")) if isinstance(type, _Name) else None
        if kind != "storage" or dtype is None or not isinstance(key, str):
            raise PickleProblem("it refers to what is no storage of a known type")
        self._stack.append(Storage(key, dtype, _size(elements)))

    def call(self, _: Any) -> None:
        """A call, of which only its meaning for a state dict is taken."""
        arguments, function = self.pop(), self.pop()
        meaning = _CALLS.get(function.text) if isinstance(function, _Name) else None
        if meaning is None:
            what = function.text if isinstance(function, _Name) else "what is no function"
            raise PickleProblem(f"it calls {what:.80}, which no weights need")
        self._stack.append(meaning(arguments))

    def build(self, _: Any) -> None:
        """Attributes of an object; those of a state dict do not matter."""
        self.pop()


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise PickleProblem(f"it has the size {value!r:.40}")
    return value


def _tensor(arguments: tuple[Any, ...]) -> TensorView:
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, Storage):
        raise PickleProblem("it has a tensor without a storage")
    return TensorView(storage, _size(offset), tuple(map(_size, shape)), tuple(map(_size, strides)))


_CALLS: Mapping[str, Callable[[tuple[Any, ...]], Any]] = {
    "collections.OrderedDict": lambda _: {},
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda arguments: arguments[0],
}

_NOTHING = ("PROTO", "FRAME")

_ARGUMENTS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE")
"""Instructions that put their argument on the stack."""

_CONSTANTS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
"""Instructions that put something new on the stack."""

_INSTRUCTIONS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "BINPUT": _Machine.store,
    "LONG_BINPUT": _Machine.store,
    "MEMOIZE": _Machine.store,
    "BINGET": _Machine.load,
    "LONG_BINGET": _Machine.load,
    "TUPLE": _Machine.make_tuple,
    "TUPLE1": lambda machine, _: machine.make_short_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_short_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_short_tuple(3),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.extend,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name,
    "BINPERSID": _Machine.storage,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.build,
}
