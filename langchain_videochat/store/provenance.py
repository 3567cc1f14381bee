"""How a stored timeline was made, and what is missing from it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from langchain_videochat.media import Damage, VideoInfo, sum_damage

MAX_PROBLEM_LENGTH = 200
"""Characters of a single problem: it may name a file."""

MAX_PROBLEMS = 10
"""Maximum number of problems that are described: a file can be damaged in any number of ways."""


@dataclass(frozen=True)
class Provenance:
    """How a timeline was made; the fields are those of `VideoRecord`."""

    profile: str = ""
    """Name of the perception profile; empty for a timeline that was added."""

    decoded_fraction: float = 1.0
    """Fraction of the video's pictures that could be decoded, 0 to 1."""

    damage: str = ""
    """What could not be read of the file."""

    failures: str = ""
    """Which perceivers failed, and why."""

    sidecars: str = ""
    """Fingerprint of the subtitle files beside the video; empty if there were none."""

    @classmethod
    def of(
        cls,
        video: VideoInfo,
        profile: str,
        damage: Iterable[Damage] = (),
        failures: Iterable[str] = (),
        sidecars: str = "",
    ) -> Self:
        """Describe how a timeline of a video was made.

        Args:
            video: The video.
            profile: Name of the profile.
            damage: All damage that was found in the file.
            failures: Descriptions of the perceivers that failed, perhaps repeatedly.
            sidecars: Fingerprint of the subtitle files.
        """
        found = sum_damage(damage)
        missing = sum(one.seconds for one in found if one.kind == "picture")
        length = video.duration + video.missing
        decoded_fraction = round(max(0.0, 1 - missing / length), 6) if length > 0 else 1.0
        return cls(profile, decoded_fraction, describe_damage(found), "; ".join(dict.fromkeys(failures)), sidecars)


def describe_damage(damage: Iterable[Damage]) -> str:
    """Describe damage in one line of limited length, without control characters.

    Example:
        >>> describe_damage([Damage("picture", "the file ends early", 3.0), Damage("sound", "cannot be decoded")])
        'the file ends early (3.0 s); cannot be decoded'
    """
    problems = [_shorten(one) for one in sum_damage(damage)]
    more = [f"and {len(problems) - MAX_PROBLEMS} more"] if len(problems) > MAX_PROBLEMS else []
    return "; ".join([*problems[:MAX_PROBLEMS], *more])


def _shorten(damage: Damage) -> str:
    text = "".join(char if char.isprintable() else " " for char in str(damage))
    text = " ".join(text.split())
    return text if len(text) <= MAX_PROBLEM_LENGTH else f"{text[: MAX_PROBLEM_LENGTH - 1]}…"
