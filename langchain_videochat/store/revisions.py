"""Revisions: numbers that order the changes of a catalogue, so that readers read only what has changed.

A revision is a hybrid logical clock (Kulkarni et al. 2014): the server's time in milliseconds, or one more than the
revision that the writer has found, whichever is later. It therefore increases even if a clock is set back. The clocks
of the writers' machines do not matter.
"""

import uuid

MARGIN_MS = 60_000
"""Readers read again what changed up to so many milliseconds before the revision that they have read. A call that was
in flight then may have an earlier revision, and may have replaced a later token by its own."""


def next_revision(now_ms: int, token: str | None) -> int:
    """Return the revision of a change.

    Example:
        >>> next_revision(1000, "900:5a3e"), next_revision(1000, "2000:5a3e"), next_revision(1000, "5a3e")
        (1000, 2001, 1000)
    """
    latest = revision_of(token)
    return now_ms if latest is None else max(now_ms, latest + 1)


def make_token(revision: int) -> str:
    """Return a token that no other change has."""
    return f"{revision}:{uuid.uuid4().hex}"


def revision_of(token: str | None) -> int | None:
    """Return the revision in a token; None if it has none, because an earlier version of this package wrote it."""
    number, colon, _ = (token or "").partition(":")
    return int(number) if colon and number.isdecimal() else None


def unread_since(known: str | None, latest: str | None) -> int | None:
    """Return the revision from which a reader has to read changes; None if it has to read everything.

    Args:
        known: The token that the reader is up to date with.
        latest: The present token.

    Example:
        >>> unread_since("100000:5a3e", "300000:c0ff"), unread_since("100000:5a3e", "90000:c0ff")
        (40000, 30000)
        >>> unread_since("5a3e", "100000:c0ff")
    """
    before, now = revision_of(known), revision_of(latest)
    # A store that is restored from a backup has an earlier revision.
    if before is None or now is None or now < before - MARGIN_MS:
        return None
    return min(before, now) - MARGIN_MS
