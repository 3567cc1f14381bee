"""Numbers that readers of files tend to get wrong."""

import struct
from random import Random
from typing import Literal

ByteOrder = Literal["big", "little"]

BYTE_ORDERS: tuple[ByteOrder, ...] = ("big", "little")

SIZES = (0, 1, 2, 3, 7, 8, 255, 256, 4095, 65_535, 65_536, 1_000_000, 100_000_000)

FLOATS = (0.0, -0.0, -1.0, 1e-300, 1e-9, 0.5, 1e6, 1e12, 1e18, 1e300, float("inf"), float("-inf"), float("nan"))


def draw_integer(random: Random, bits: int, old: int = 0) -> int:
    """Draw an unsigned integer: a boundary value, a neighbor or a multiple of the old value, or noise."""
    boundaries = (0, 1, 2, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1, 2**bits - 2, 2 ** (bits * 3 // 4))
    value: int = random.choice(
        (
            random.choice(boundaries),
            random.choice(SIZES),
            old + random.choice((-2, -1, 1, 2, 8, 1000)),
            old * random.choice((2, 10, 1000, 1_000_000)),
            old // random.choice((2, 10, 1000)),
            old ^ 1 << random.randrange(bits),
            random.getrandbits(random.randint(1, bits)),
        )
    )
    return int(value % 2**bits)


def change_integer(random: Random, data: bytes, position: int, size: int, order: ByteOrder = "big") -> bytes:
    """Replace the integer of `size` bytes at a position; outside the data, change nothing."""
    if not 0 <= position <= len(data) - size:
        return data
    old = int.from_bytes(data[position : position + size], order)
    new = draw_integer(random, 8 * size, old).to_bytes(size, order)
    return data[:position] + new + data[position + size :]


def draw_float(random: Random, size: int) -> bytes:
    """Draw a big-endian floating-point number of 4 or 8 bytes."""
    value = random.choice((*FLOATS, random.uniform(0, 1e5)))
    if size == 4 and 1e38 < abs(value) < float("inf"):
        value = 1e38
    return struct.pack(">f" if size == 4 else ">d", value)


def draw_text(random: Random, limit: int) -> bytes:
    """Draw a text of at most `limit` bytes: a huge line, controls, marks of direction, or invalid UTF-8."""
    pieces = (
        b"x",
        b"\xff",
        b"\0",
        b"\n",
        "\u202e".encode(),
        "\U000e0041".encode(),
        b"<|im_end|>",
        b"{%s}",
        "é".encode(),
    )
    piece = random.choice(pieces)
    return (piece * (random.choice((1, 100, limit)) // len(piece) + 1))[:limit]
