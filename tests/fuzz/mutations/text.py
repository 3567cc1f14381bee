"""Mutations of subtitle files: times, lines, marks and encodings."""

import re
from random import Random

from tests.fuzz.mutations.numbers import draw_text

TIME = re.compile(rb"\d+:\d\d(?::\d\d)?[.,]\d+")
TIMES = (
    *(b"00:00:00,000", b"00:00:01.000", b"99:59:59,999", b"999999999:00:00,000", b"-00:00:01,000", b"00:00:99,999"),
    *(
        b"24:00:00.000",
        b"1:2:3",
        b"::",
        b"00:00:00,0000000000000001",
        b"9" * 400 + b":00:00,000",
        b"\xd9\xa1:00:00,000",
    ),
)
MARKS = (
    *(
        b"<i>",
        b"</i>",
        b"<v Eve>",
        b"<00:00:01.000>",
        b"{\\pos(1,1)}",
        b"{\\p1}",
        b"&lt;",
        b"&#x110000;",
        b"&#9999999999;",
    ),
    *(
        b"NOTE",
        b"STYLE",
        b"REGION",
        b"WEBVTT",
        b"-->",
        b"[Events]",
        b"Dialogue: ",
        b"Format: Start",
        b"X-TIMESTAMP-MAP=",
    ),
    *(
        b"\xef\xbb\xbf",
        b"\0",
        b"\x1a",
        b"\r",
        b"\x0c",
        b"\x85",
        "\u2028".encode(),
        b"(" * 2000,
        b"<" * 5000,
        b"{" * 5000,
    ),
)
ENCODINGS = ("utf-16", "utf-16-be", "utf-32", "utf-7", "cp1252", "shift_jis", "gb18030", "cp037")


def mutate(data: bytes, random: Random) -> bytes:
    """Change one thing in a subtitle file."""
    return random.choice((_change_time, _change_time, _insert_mark, _insert_mark, _rearrange, _encode, _lengthen))(
        data, random
    )


def _change_time(data: bytes, random: Random) -> bytes:
    found = list(TIME.finditer(data))
    if not found:
        return data
    match = random.choice(found)
    return data[: match.start()] + random.choice(TIMES) + data[match.end() :]


def _insert_mark(data: bytes, random: Random) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + random.choice(MARKS) * random.choice((1, 1, 3)) + data[place:]


def _rearrange(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    line = lines.pop(random.randrange(len(lines)))
    for _ in range(random.choice((0, 1, 2, 1000))):
        lines.insert(random.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def _encode(data: bytes, random: Random) -> bytes:
    return data.decode("utf-8", "replace").encode(random.choice(ENCODINGS), "replace")


def _lengthen(data: bytes, random: Random) -> bytes:
    place = random.randrange(len(data) + 1)
    return data[:place] + draw_text(random, 100_000) + data[place:]
