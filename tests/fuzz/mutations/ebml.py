"""Mutations of Matroska and WebM: element sizes, ids, numbers, timestamps, lacing and titles."""

from random import Random

from tests.fuzz.mutations.numbers import change_integer, draw_float, draw_integer, draw_text
from tests.fuzz.mutations.tree import Node, leaves, rearrange, walk

SEGMENT, CLUSTER, TIMESTAMP, SIMPLE_BLOCK, BLOCK_GROUP, BLOCK = (
    b"\x18\x53\x80\x67",
    b"\x1f\x43\xb6\x75",
    b"\xe7",
    b"\xa3",
    b"\xa0",
    b"\xa1",
)
INFO, TITLE = b"\x15\x49\xa9\x66", b"\x7b\xa9"
MASTERS = {
    *(SEGMENT, CLUSTER, BLOCK_GROUP, INFO, b"\x1a\x45\xdf\xa3"),
    *(b"\x16\x54\xae\x6b", b"\xae", b"\xe0", b"\xe1", b"\x55\xb0"),  # tracks, a track, video, audio, color
    *(b"\x1c\x53\xbb\x6b", b"\xbb", b"\xb7"),  # cues, a cue, its position
    *(b"\x12\x54\xc3\x67", b"\x73\x73", b"\x63\xc0", b"\x67\xc8"),  # tags, a tag, its target, a value
    *(b"\x11\x4d\x9b\x74", b"\x4d\xbb"),  # the index of the segment, an entry
}
FLOATS = {b"\x44\x89", b"\xb5", b"\x78\xb5", b"\x23\x31\x4f"}
"""Duration, sampling frequencies, scale of timestamps."""
UNKNOWN_SIZE = b"\x01" + b"\xff" * 7


def mutate(data: bytes, random: Random) -> bytes:
    """Change one thing in a file of elements."""
    elements = parse(data)
    changes = (_change_number, _change_number, _change_block, _change_block, _change_time, _rename, _lie, _retitle)
    random.choice((*changes, rearrange))(random, elements)
    return write(elements)


def parse(data: bytes) -> list[Node]:
    """Parse elements; what cannot be parsed becomes the content of a last one."""
    elements, position = [], 0
    while position < len(data):
        id_length = _length(data[position])
        start = position + id_length
        if id_length > 4 or start >= len(data):
            break
        size_length = _length(data[start])
        size = int.from_bytes(data[start : start + size_length], "big") & (1 << 7 * size_length) - 1
        begin, kind = start + size_length, data[position:start]
        is_unknown = size == (1 << 7 * size_length) - 1
        end = len(data) if is_unknown else begin + size
        if size_length > 8 or end > len(data):
            break
        content = data[begin:end]
        elements.append(Node(kind, b"", parse(content)) if kind in MASTERS else Node(kind, content))
        position = end
    return [*elements, Node(b"", data[position:])] if position < len(data) else elements


def _length(first: int) -> int:
    return 9 - first.bit_length()


def write(elements: list[Node]) -> bytes:
    """Write elements."""
    return b"".join(map(_write, elements))


def _write(element: Node) -> bytes:
    content = element.content + write(element.children or [])
    if not element.kind:
        return content
    size = _encode_size(len(content)) if element.size is None else element.size
    return element.kind + size + content


def _encode_size(size: int) -> bytes:
    return (size | 1 << 56).to_bytes(8, "big")


def _change_number(random: Random, elements: list[Node]) -> None:
    found = [leaf for leaf in leaves(elements) if len(leaf.content) <= 8]
    if not found:
        return
    leaf = random.choice(found)
    if leaf.kind in FLOATS and len(leaf.content) in (4, 8):
        leaf.content = draw_float(random, len(leaf.content))
    else:
        size = random.choice((len(leaf.content), 8))
        old = int.from_bytes(leaf.content, "big")
        leaf.content = draw_integer(random, 8 * size, old).to_bytes(size, "big")


def _change_block(random: Random, elements: list[Node]) -> None:
    """Change the track, the relative timestamp, the flags (lacing) or the first bytes of a block."""
    blocks = [leaf for leaf in leaves(elements) if leaf.kind in (SIMPLE_BLOCK, BLOCK) and len(leaf.content) > 8]
    for block in random.sample(blocks, min(len(blocks), random.choice((1, 1, 5, 1000)))):
        position, size = random.choice(((0, 1), (1, 2), (3, 1), (4, 1), (4, 4)))
        block.content = change_integer(random, block.content, position, size)


def _change_time(random: Random, elements: list[Node]) -> None:
    times = [leaf for leaf in leaves(elements) if leaf.kind == TIMESTAMP]
    if times:
        leaf = random.choice(times)
        leaf.content = draw_integer(random, 64, int.from_bytes(leaf.content, "big")).to_bytes(8, "big")


def _rename(random: Random, elements: list[Node]) -> None:
    found = list(walk(elements))
    random.choice(found).kind = random.choice(found).kind


def _lie(random: Random, elements: list[Node]) -> None:
    element = random.choice(list(walk(elements)))
    true = len(element.content) + len(write(element.children or []))
    sizes = (max(true - 1, 0), true + 1, true * 2, draw_integer(random, 56, true))
    element.size = random.choice((UNKNOWN_SIZE, *map(_encode_size, sizes)))


def _retitle(random: Random, elements: list[Node]) -> None:
    for element in walk(elements):
        if element.kind == INFO and element.children is not None:
            element.children.append(Node(TITLE, draw_text(random, 100_000)))
            return
