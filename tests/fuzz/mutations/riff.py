"""Mutations of RIFF files (AVI, WAV, WebP): chunk sizes, headers and indexes."""

import struct
from random import Random

from tests.fuzz.mutations.numbers import change_integer, draw_integer, draw_text
from tests.fuzz.mutations.tree import Node, leaves, rearrange, walk

LISTS = (b"RIFF", b"LIST")

HEADERS = (b"avih", b"strh", b"strf", b"fmt ", b"VP8X", b"ANIM", b"ANMF", b"dmlh", b"indx", b"vprp")


def mutate(data: bytes, random: Random) -> bytes:
    """Change one thing in a file of chunks."""
    chunks = parse(data)
    changes = (_change_header, _change_header, _change_index, _change_sound, _lie, _retitle, rearrange)
    random.choice(changes)(random, chunks)
    return write(chunks)


def parse(data: bytes) -> list[Node]:
    """Parse chunks; what cannot be parsed becomes the content of a last one."""
    chunks, position = [], 0
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        if size > len(data) - position - 8:
            break
        content = data[position + 8 : position + 8 + size]
        if kind in LISTS and size >= 4:
            chunks.append(Node(kind, content[:4], parse(content[4:])))
        else:
            chunks.append(Node(kind, content))
        position += 8 + size + size % 2
    return [*chunks, Node(b"", data[position:])] if position < len(data) else chunks


def write(chunks: list[Node]) -> bytes:
    """Write chunks."""
    return b"".join(map(_write, chunks))


def _write(chunk: Node) -> bytes:
    content = chunk.content + write(chunk.children or [])
    if not chunk.kind:
        return content
    size = struct.pack("<I", len(content)) if chunk.size is None else chunk.size
    return chunk.kind + size + content + b"\0" * (len(content) % 2)


def _change_header(random: Random, chunks: list[Node]) -> None:
    headers = [chunk for chunk in leaves(chunks) if chunk.kind in HEADERS]
    if headers:
        _change_word(random, random.choice(headers), 64)


def _change_index(random: Random, chunks: list[Node]) -> None:
    for chunk in leaves(chunks):
        if chunk.kind == b"idx1":
            for _ in range(random.choice((1, 5, 100))):
                _change_word(random, chunk, len(chunk.content))


def _change_sound(random: Random, chunks: list[Node]) -> None:
    """Change channels, sample rate or block size of the sound."""
    for chunk in leaves(chunks):
        if chunk.kind in (b"fmt ", b"strf") and len(chunk.content) < 40:
            position, size = random.choice(((0, 2), (2, 2), (4, 4), (8, 4), (12, 2), (14, 2)))
            chunk.content = change_integer(random, chunk.content, position, size, "little")


def _change_word(random: Random, chunk: Node, limit: int) -> None:
    size = random.choice((2, 4))
    position = random.randrange(0, max(min(len(chunk.content), limit) - size, 1), size)
    chunk.content = change_integer(random, chunk.content, position, size, "little")


def _lie(random: Random, chunks: list[Node]) -> None:
    chunk = random.choice(list(walk(chunks)))
    true = len(chunk.content)
    chunk.size = struct.pack("<I", random.choice((max(true - 1, 0), true + 1, draw_integer(random, 32, true))))


def _retitle(random: Random, chunks: list[Node]) -> None:
    for chunk in chunks:
        if chunk.kind == b"RIFF" and chunk.children is not None:
            chunk.children.insert(1, Node(b"LIST", b"INFO", [Node(b"INAM", draw_text(random, 100_000))]))
