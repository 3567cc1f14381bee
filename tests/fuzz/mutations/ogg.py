"""Mutations of Ogg: pages, their positions, serial numbers and segment tables, with correct checksums."""

from random import Random

from tests.fuzz.mutations.numbers import change_integer

MAGIC = b"OggS"
CHECKSUM = slice(22, 26)


def mutate(data: bytes, random: Random) -> bytes:
    """Change one thing in a file of pages."""
    pages = [MAGIC + page for page in data.split(MAGIC)[1:]]
    if not pages:
        return data
    if random.random() < 0.3:
        page = pages.pop(random.randrange(len(pages)))
        for _ in range(random.choice((0, 1, 2, 20))):
            pages.insert(random.randrange(len(pages) + 1), page)
        return b"".join(pages)
    place = random.randrange(len(pages))
    # Flags, position, serial number, page number, number of segments, the first segment, the codec's header.
    fields = ((5, 1), (6, 8), (14, 4), (18, 4), (26, 1), (27, 1), (28 + random.randrange(60), random.choice((1, 2, 4))))
    pages[place] = _sign(change_integer(random, pages[place], *random.choice(fields), order="little"))
    return b"".join(pages)


def _sign(page: bytes) -> bytes:
    """Write the checksum, without which FFmpeg would drop the page."""
    unsigned = bytearray(page)
    unsigned[CHECKSUM] = bytes(4)
    crc = 0
    for byte in unsigned:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    unsigned[CHECKSUM] = crc.to_bytes(4, "little")
    return bytes(unsigned)
