"""Errors of this package: each states its subject, the problem and what to do about it."""

import re

# File names may contain line breaks, and bytes that are not UTF-8, as lone surrogates, which cannot be printed.
_UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
_SURROGATE = re.compile("[\\ud800-\\udfff]")


class VideoChatError(Exception):
    """Base class of all errors that this package raises.

    Args:
        subject: What the error is about: a file, an argument, a collection.
        problem: What is wrong with it, as the rest of a sentence.
        advice: What the user can do, as a sentence without its full stop.

    Example:
        >>> str(VideoChatError("talk.mp4", "no such file", "Check the path"))
        'talk.mp4: no such file. Check the path.'
    """

    def __init__(self, subject: object, problem: str, advice: str) -> None:
        super().__init__(subject, problem, advice)
        self.subject = subject
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        subject = _UNPRINTABLE.sub(_escape, str(self.subject))
        return _SURROGATE.sub(_escape, f"{subject}: {self.problem}. {self.advice}.")


def _escape(char: re.Match[str]) -> str:
    return char[0].encode("unicode_escape").decode()


class SourceError(VideoChatError):
    """A source cannot be opened: a missing file, a folder without videos, a blocked web address."""


class MediaError(VideoChatError):
    """A file exists but cannot be read as the requested kind of media."""


class ModelUnavailableError(VideoChatError):
    """The weights or the package of a model are not available on this machine."""


class ModelError(VideoChatError):
    """A model's files are damaged or of the wrong kind, or the model failed to run."""


class StoreError(VideoChatError):
    """A store cannot be opened, read or written."""


class StoreUnavailableError(StoreError):
    """The server of a store does not answer; the same call may succeed later."""


class WorkerError(VideoChatError):
    """The processes that index videos cannot be started."""


class InputError(VideoChatError, ValueError):
    """An argument, or a field of a record, has an invalid value."""
