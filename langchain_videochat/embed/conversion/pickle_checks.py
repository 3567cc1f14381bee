"""Checks of pickles before they are loaded: a few bytes can make the unpickler use gigabytes, or crash it."""

import pickletools
from dataclasses import dataclass
from typing import Any, BinaryIO

from langchain_videochat.errors import ModelError

MAX_DEPTH = 1000
"""Maximum depth of nested tuples; Python's recursion limit prevents pickling deeper ones."""

_PUTS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GETS = {"GET", "BINGET", "LONG_BINGET"}
_TUPLES = {"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_VALUES = {
    opcode.name
    for opcode in pickletools.opcodes
    if not opcode.stack_before and len(opcode.stack_after) == 1 and opcode.name not in {*_GETS, "MARK"}
}
"""Operations that only push a value."""


def check_pickle(file: BinaryIO, subject: object) -> None:
    r"""Read a pickle to its end without building any object, and refuse it if it would exhaust memory.

    The unpickler allocates its memo up to the highest index, regardless of the number of objects, and hashing deeply
    nested tuples, as keys of dicts for example, overflows the stack.

    Args:
        file: A file positioned at the start of the pickle; afterwards, at its end.
        subject: The file to name in the error message.

    Raises:
        ModelError: The pickle would exhaust memory.
        ValueError: The pickle is damaged.
        IndexError: The pickle is damaged.
        KeyError: The pickle is damaged.

    Example:
        >>> import io, pickle
        >>> check_pickle(io.BytesIO(pickle.dumps({"weight": [1, 2]})), "weights.pth")
        >>> check_pickle(io.BytesIO(b"Nr\xff\xff\xff\x7f."), "weights.pth")
        Traceback (most recent call last):
        langchain_videochat.errors.ModelError: weights.pth: its pickle would exhaust memory. Do not trust this file.
    """
    stack: list[int] = []  # depth of nested tuples in each object on the unpickler's stack
    marks: list[int] = []
    memo: dict[int, int] = {}
    argument: Any
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        name = opcode.name
        if name in _VALUES:
            stack.append(0)
        elif name in _PUTS:
            index = len(memo) if name == "MEMOIZE" else argument
            if index > number:
                raise _refusal(subject)
            memo[index] = stack[-1]
        elif name in _GETS:
            stack.append(memo[argument])
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "POP" and marks and marks[-1] == len(stack):
            marks.pop()
        else:
            effect = _EFFECTS[name]
            first = (marks.pop() if effect.pops_mark else len(stack)) - effect.pops
            depth = max(stack[first:], default=0) + (name in _TUPLES)
            if depth > MAX_DEPTH:
                raise _refusal(subject)
            stack[first:] = [depth] * effect.pushes


@dataclass(frozen=True)
class _Effect:
    """What an operation does to the unpickler's stack."""

    pops_mark: bool
    """Whether it pops the last mark and all objects after it."""

    pops: int
    """Number of other objects that it pops."""

    pushes: int

    @classmethod
    def of(cls, opcode: pickletools.OpcodeInfo) -> "_Effect":
        before = opcode.stack_before
        pops_mark = pickletools.markobject in before
        pops = before.index(pickletools.markobject) if pops_mark else len(before)
        return cls(pops_mark, pops, len(opcode.stack_after))


_EFFECTS = {opcode.name: _Effect.of(opcode) for opcode in pickletools.opcodes}


def _refusal(subject: object) -> ModelError:
    return ModelError(subject, "its pickle would exhaust memory", "Do not trust this file")
