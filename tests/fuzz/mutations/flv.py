"""Mutations of FLV: tags, their timestamps, and the numbers of the metadata."""

from random import Random

from tests.fuzz.mutations.numbers import change_integer, draw_float

HEADER, TAG_HEADER, METADATA = 13, 11, 18


def mutate(data: bytes, random: Random) -> bytes:
    """Change one thing in a file of tags."""
    tags = _parse(data)
    if len(tags) < 2:
        return change_integer(random, data, random.randrange(max(len(data), 1)), 1)
    action = random.choice((_change_field, _change_field, _change_metadata, _rearrange))
    action(random, tags)
    return data[:HEADER] + b"".join(tags)


def _parse(data: bytes) -> list[bytes]:
    tags, position = [], HEADER
    while position + TAG_HEADER < len(data):
        end = position + TAG_HEADER + int.from_bytes(data[position + 1 : position + 4], "big") + 4
        tags.append(data[position:end])
        position = end
    return tags


def _change_field(random: Random, tags: list[bytes]) -> None:
    """Change type, size, timestamp or stream of a tag, or the codec and the time offset of its frame."""
    for _ in range(random.choice((1, 1, 5))):
        place = random.randrange(len(tags))
        position, size = random.choice(((0, 1), (1, 3), (4, 3), (7, 1), (8, 3), (11, 1), (12, 1), (13, 3)))
        tags[place] = change_integer(random, tags[place], position, size)


def _change_metadata(random: Random, tags: list[bytes]) -> None:
    """Change a number: in AMF, a zero byte before eight bytes of a floating-point number."""
    found = [place for place, tag in enumerate(tags) if tag[0] == METADATA]
    if not found:
        return
    tag = tags[found[0]]
    numbers = [place for place in range(len(tag) - 9) if tag[place] == 0 and tag[place + 1] in (0x3F, 0x40, 0x41)]
    if numbers:
        at = random.choice(numbers) + 1
        tags[found[0]] = tag[:at] + draw_float(random, 8) + tag[at + 8 :]


def _rearrange(random: Random, tags: list[bytes]) -> None:
    tag = tags.pop(random.randrange(len(tags)))
    for _ in range(random.choice((0, 1, 2, 50))):
        tags.insert(random.randrange(len(tags) + 1), tag)
