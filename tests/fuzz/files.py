"""Fuzzed files: each follows from its number alone."""

from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.mutations import generic
from tests.fuzz.seeds import CHECKPOINTS, FILM, MEDIA, SIDECARS, Seed

MAX_SIZE = 200_000
"""Maximum size of a fuzzed file in bytes: the limits on time and memory are for small files."""

SHARE_OF_MEDIA = 0.85
"""Share of fuzzed files that are media; the others are sidecars and checkpoints."""

MUTATIONS = (1, 1, 1, 2, 2, 3, 4)
"""Numbers of mutations; with more of them, few files would get past the first check of a reader."""


@dataclass(frozen=True)
class FuzzedFile:
    """A mutated file."""

    number: int
    """The seed of the random numbers that it is made with."""

    seed: Seed
    """The intact file."""

    content: bytes
    """The mutated content."""

    def write(self, folder: Path, seeds: Path) -> Path:
        """Write the file, and the video that it belongs to if it is a sidecar, into a folder of its own.

        Returns:
            The file to read.
        """
        folder.mkdir()
        path = folder / f"fuzzed{Path(self.seed.name).suffix}"
        path.write_bytes(self.content)
        if self.seed not in SIDECARS:
            return path
        film = path.with_suffix(Path(FILM.name).suffix)
        film.symlink_to(seeds / FILM.name)
        return film


def make_file(number: int, seeds: Path) -> FuzzedFile:
    """Mutate a seed.

    Args:
        number: The seed of the random numbers.
        seeds: The folder of the intact files.
    """
    random = Random(number)
    kinds = MEDIA if random.random() < SHARE_OF_MEDIA else SIDECARS + CHECKPOINTS
    seed = random.choice(kinds)
    content = (seeds / seed.name).read_bytes()
    for _ in range(random.choice(MUTATIONS)):
        content = _mutate(content, seed, seeds, random)
    return FuzzedFile(number, seed, content)


def _mutate(content: bytes, seed: Seed, seeds: Path, random: Random) -> bytes:
    draw = random.random()
    if draw < 0.7:
        changed = seed.mutate(content, random)
    elif draw < 0.97:
        changed = generic.mutate(content, random)
    else:
        changed = generic.splice(content, (seeds / random.choice(MEDIA).name).read_bytes(), random)
    return changed if 0 < len(changed) <= MAX_SIZE else content
