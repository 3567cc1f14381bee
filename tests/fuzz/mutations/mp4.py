"""Mutations of MP4 and QuickTime: box sizes, headers, sample tables, edit lists and titles."""

import struct
from random import Random

from tests.fuzz.mutations.numbers import change_integer, draw_integer, draw_text
from tests.fuzz.mutations.tree import Node, rearrange, walk

PREFIXES = {
    **dict.fromkeys((b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"edts", b"udta", b"moof", b"traf"), 0),
    **dict.fromkeys((b"mvex", b"mfra", b"ilst", b"tref", b"gmhd", b"wave"), 0),
    b"meta": 4,
    b"stsd": 8,
    b"dref": 8,
    **dict.fromkeys((b"avc1", b"hvc1", b"hev1", b"mp4v", b"vp09", b"jpeg", b"png "), 78),
    b"mp4a": 28,
}
"""Boxes that hold boxes, and the number of bytes before the first of them."""

TABLES = {
    b"stts": (4, 8),
    b"ctts": (4, 8),
    b"stsc": (4, 12),
    b"stco": (4, 4),
    b"co64": (4, 8),
    b"stss": (4, 4),
    b"stsz": (8, 4),
    b"elst": (4, 12),
    b"trun": (4, 4),
    b"sidx": (22, 12),
    b"sbgp": (8, 8),
    b"tfra": (12, 4),
}
"""Position of the number of entries in a box, and the size of an entry."""

FIELDS = {
    b"mvhd": (12, 16, 20, 36, 52, 96),
    b"tkhd": (0, 12, 20, 32, 36, 40, 44, 52, 56, 76, 80),
    b"mdhd": (12, 16, 20),
    b"hdlr": (8,),
    b"mehd": (4,),
    b"trex": (4, 8, 12, 16, 20),
    b"tfhd": (0, 4, 8, 12, 16),
    b"tfdt": (4, 8),
    b"mfhd": (4,),
    b"pasp": (0, 4),
    b"stsz": (4,),
    b"stsd": (4,),
    **dict.fromkeys((b"avc1", b"hvc1", b"mp4v", b"jpeg", b"png "), (4, 24, 28, 40, 74)),
    b"mp4a": (4, 8, 16, 20, 24),
}
"""Positions of fields of four bytes."""


def mutate(data: bytes, random: Random) -> bytes:
    """Change one thing in a file of boxes."""
    boxes = parse(data)
    change = random.choice((_change_field, _change_field, _change_table, _change_table, _lie, _retitle, rearrange))
    change(random, boxes)
    return write(boxes)


def parse(data: bytes) -> list[Node]:
    """Parse boxes; what cannot be parsed becomes the content of a last one."""
    boxes, position = [], 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if not 8 <= size <= len(data) - position:
            break
        boxes.append(_box(kind, data[position + 8 : position + size]))
        position += size
    return [*boxes, Node(b"", data[position:])] if position < len(data) else boxes


def _box(kind: bytes, content: bytes) -> Node:
    prefix = PREFIXES.get(kind)
    if prefix is None or len(content) < prefix:
        return Node(kind, content)
    return Node(kind, content[:prefix], parse(content[prefix:]))


def write(boxes: list[Node]) -> bytes:
    """Write boxes."""
    return b"".join(map(_write, boxes))


def _write(box: Node) -> bytes:
    content = box.content + write(box.children or [])
    if not box.kind:
        return content
    size = (len(content) + 8).to_bytes(4, "big") if box.size is None else box.size
    return size + box.kind + content


def _change_field(random: Random, boxes: list[Node]) -> None:
    found = [box for box in walk(boxes) if box.kind in FIELDS]
    if found:
        box = random.choice(found)
        box.content = change_integer(random, box.content, random.choice(FIELDS[box.kind]), 4)


def _change_table(random: Random, boxes: list[Node]) -> None:
    found = [box for box in walk(boxes) if box.kind in TABLES]
    if not found:
        return
    box = random.choice(found)
    count_at, entry_size = TABLES[box.kind]
    if random.random() < 0.3:
        box.content = change_integer(random, box.content, count_at, 4)
        return
    first = count_at + 4
    entries = (len(box.content) - first) // entry_size
    for _ in range(random.choice((1, 1, 3, max(entries, 1)))):
        place = first + random.randrange(max(entries, 1)) * entry_size + random.randrange(0, entry_size, 4)
        box.content = change_integer(random, box.content, place, 4)


def _lie(random: Random, boxes: list[Node]) -> None:
    box = random.choice(list(walk(boxes)))
    true = len(_write(box))
    box.size = random.choice((true - 1, true + 1, true * 2, draw_integer(random, 32, true))).to_bytes(4, "big")


def _retitle(random: Random, boxes: list[Node]) -> None:
    found = [box for box in boxes if box.kind == b"moov" and box.children is not None]
    for box in found:
        title = draw_text(random, 65_000)
        name = Node(b"\xa9nam", struct.pack(">HH", len(title), 0) + title)
        assert box.children is not None
        box.children.append(Node(b"udta", b"", [name]))
