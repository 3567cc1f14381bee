"""Mutations of any file: bits, blocks, huge integers, truncation, and parts of another file."""

from collections.abc import Callable
from random import Random

from tests.fuzz.mutations.numbers import BYTE_ORDERS, change_integer

Mutator = Callable[[bytes, Random], bytes]
"""Changes a file."""

HEADER = 512
"""Bytes at the beginning of a file that are changed more often than others."""


def mutate(data: bytes, random: Random) -> bytes:
    """Change a file without knowing its format."""
    changes = (_flip_bits, _flip_bits, _change_integer, _change_integer, _change_integer, _truncate, _move_block)
    return random.choice((*changes, _overwrite, _delete))(data, random)


def splice(data: bytes, other: bytes, random: Random) -> bytes:
    """Replace a part of a file by a part of another."""
    length = random.choice((4, 64, 1024, len(other)))
    start, source = random.randrange(len(data) + 1), random.randrange(max(len(other) - length, 0) + 1)
    return data[:start] + other[source : source + length] + data[start + length :]


def _place(data: bytes, random: Random) -> int:
    end = len(data) if random.random() < 0.5 else min(len(data), HEADER)
    return random.randrange(max(end, 1))


def _flip_bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8, 64)) if data else 0):
        changed[_place(data, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _change_integer(data: bytes, random: Random) -> bytes:
    """Change what looks like an integer: bytes that begin or end with a zero."""
    size, order = random.choice((2, 4, 8)), random.choice(BYTE_ORDERS)
    zero = 0 if order == "big" else size - 1
    for _ in range(50):
        place = _place(data, random)
        if place + size <= len(data) and data[place + zero] == 0:
            break
    return change_integer(random, data, place, size, order)


def _truncate(data: bytes, random: Random) -> bytes:
    # Not into the header: what remains should still be recognized.
    return data[: random.randrange(min(len(data), HEADER), len(data) + 1)]


def _block(data: bytes, random: Random) -> tuple[int, int]:
    start = _place(data, random)
    return start, start + random.choice((1, 4, 16, 256, 4096))


def _move_block(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    rest = data if random.random() < 0.5 else data[:start] + data[end:]
    place = random.randrange(len(rest) + 1)
    return rest[:place] + data[start:end] + rest[place:]


def _overwrite(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    return data[:start] + random.choice((b"\0", b"\xff", b"\x80"))[:1] * len(data[start:end]) + data[end:]


def _delete(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    return data[:start] + data[end:]
