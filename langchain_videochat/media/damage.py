"""Damage: what a file contains, or declares, and cannot be read from it."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

logger = logging.getLogger(__name__)

DamageKind = Literal["clock", "picture", "sound", "subtitle"]


@dataclass(frozen=True)
class Damage:
    """A part of a file that is missing from what was read, or that had to be repaired to read it.

    Anything that a player would present and that this package does not return is damage: frames and sound that cannot
    be decoded, the end of a truncated file, cues without valid times, speech that is too quiet to transcribe. So is
    anything that was repaired by a guess: a clock that restarts, a timestamp that is days off, text in the wrong
    encoding. Gaps that were recorded as such, such as silence before a late start, are not.

    Example:
        >>> str(Damage("picture", "frames cannot be decoded", 1.5))
        'frames cannot be decoded (1.5 s)'
    """

    kind: DamageKind
    """What is damaged."""

    problem: str
    """What is wrong, as a phrase that names the file or track if there are several."""

    seconds: float = 0.0
    """Length of what is missing in seconds; 0 if nothing is missing or its length is unknown."""

    def __str__(self) -> str:
        return f"{self.problem} ({self.seconds:.1f} s)" if self.seconds else self.problem


OnDamage = Callable[[Damage], None]
"""Called for each damage."""


def log_damage(damage: Damage) -> None:
    """Log damage as a warning."""
    logger.warning("%s", damage)


def sum_damage(damage: Iterable[Damage]) -> tuple[Damage, ...]:
    """Merge damage with the same problem, adding the seconds.

    Example:
        >>> sum_damage([Damage("sound", "cannot be decoded", 1.0), Damage("sound", "cannot be decoded", 2.0)])
        (Damage(kind='sound', problem='cannot be decoded', seconds=3.0),)
    """
    merged: dict[tuple[str, str], Damage] = {}
    for one in damage:
        earlier = merged.get((one.kind, one.problem))
        merged[one.kind, one.problem] = replace(one, seconds=one.seconds + earlier.seconds) if earlier else one
    return tuple(merged.values())
