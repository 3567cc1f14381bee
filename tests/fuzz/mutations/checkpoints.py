"""Mutations of checkpoints: the header of safetensors, and the pickle in a zip archive."""

import contextlib
import io
import pickletools
import re
import warnings
import zipfile
from random import Random

from tests.fuzz.mutations.generic import mutate as mutate_bytes
from tests.fuzz.mutations.numbers import draw_integer

NUMBER = re.compile(rb"\d+")

OPCODES = (
    *(b"r\xff\xff\xff\x7f", b"r\xff\xff\xff\x00", b"j\xff\xff\xff\x7f", b"\x94" * 100, b"0", b"1", b"2" * 1000),
    *(
        b"(" * 10_000,
        b"]" * 10_000,
        b"]\x94" + b"h\x00" * 100,
        b"\x8a\xff" + b"\xff" * 255,
        b"\x8e" + b"\xff" * 7 + b"\0",
    ),
    *(
        b"X\xff\xff\xff\x7f",
        b"B\xff\xff\xff\x7f",
        b"\x96\xff\xff\xff\x7f\0\0\0\0",
        b"cos\nsystem\n",
        b"\x95" + b"\xff" * 8,
    ),
)
"""Memo entries of huge indexes, stacks, long strings, and other things that pickles may ask for."""


def mutate(data: bytes, random: Random) -> bytes:
    """Change one thing in a checkpoint."""
    with contextlib.suppress(zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError):
        return _mutate_archive(data, random)
    if data[8:9] == b"{":
        return _mutate_safetensors(data, random)
    return _mutate_pickle(data, random)


def _mutate_archive(data: bytes, random: Random) -> bytes:
    """Change the pickle, and write an archive with correct checksums, so that it is read."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(changed, "w") as output:
        for info in archive.infolist():
            content = archive.read(info)
            is_pickle = info.filename.endswith("data.pkl")
            output.writestr(zipfile.ZipInfo(info.filename), _mutate_pickle(content, random) if is_pickle else content)
    return changed.getvalue()


def _mutate_pickle(data: bytes, random: Random) -> bytes:
    if random.random() < 0.4:
        return mutate_bytes(data, random)
    place = random.choice(_opcode_positions(data))
    return data[:place] + random.choice(OPCODES) + data[place:]


def _opcode_positions(data: bytes) -> list[int]:
    """Return where operations begin, up to the first that is invalid."""
    positions = [0]
    with contextlib.suppress(ValueError, IndexError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escape sequences
        positions.extend(position for _, _, position in pickletools.genops(data) if position)
    return positions[2:] or positions


def _mutate_safetensors(data: bytes, random: Random) -> bytes:
    size = int.from_bytes(data[:8], "little")
    header, tensors = data[8 : 8 + size], data[8 + size :]
    numbers = list(NUMBER.finditer(header))
    action = random.choice(("number", "number", "header", "size"))
    if action == "number" and numbers:
        match = random.choice(numbers)
        new = str(draw_integer(random, 64, int(match[0]))).encode()
        header = header[: match.start()] + new + header[match.end() :]
    elif action == "header":
        header = mutate_bytes(header, random)
    declared = draw_integer(random, 64, len(header)) if action == "size" else len(header)
    return declared.to_bytes(8, "little") + header + tensors
