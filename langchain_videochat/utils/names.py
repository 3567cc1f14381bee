"""Names that users give: options, fields, arguments."""

import difflib
from collections.abc import Collection, Iterable

from langchain_videochat.errors import InputError


def check_names(kind: str, given: Iterable[str], known: Collection[str]) -> None:
    """Check that all names are known.

    Args:
        kind: What the names stand for, for example "field of a question".
        given: The names to check.
        known: The names that exist.

    Raises:
        InputError: A name is unknown; the advice has the closest known one, or all.

    Example:
        >>> check_names("option", ["video_ids"], ["k", "video_id"])
        Traceback (most recent call last):
            ...
        langchain_videochat.errors.InputError: video_ids: unknown option. The closest known name is video_id.
    """
    for name in given:
        if name not in known:
            closest = closest_name(name, known)
            advice = f"The closest known name is {closest}" if closest else f"Use one of {', '.join(sorted(known))}"
            raise InputError(name, f"unknown {kind}", advice)


def closest_name(name: str, known: Collection[str]) -> str | None:
    """Return the known name that is most similar to another one, or None if none is similar.

    Example:
        >>> closest_name("video_ids", ["k", "video_id"])
        'video_id'
    """
    matches = difflib.get_close_matches(name, known, n=1)
    return matches[0] if matches else None
