"""The errors of this package: each names its subject, what is wrong with it, and what to do."""


class VideoChatError(Exception):
    """Base of all errors that this package raises on purpose.

    Args:
        subject: What the error is about: a file, an argument, a collection.
        problem: What is wrong with it, as the rest of a sentence.
        advice: What the reader can do, as a sentence without its full stop.

    Example:
        >>> str(VideoChatError("talk.mp4", "there is no such file", "Check the path"))
        'talk.mp4: there is no such file. Check the path.'
    """

    def __init__(self, subject: object, problem: str, advice: str) -> None:
        super().__init__(subject, problem, advice)
        self.subject = subject
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.subject}: {self.problem}. {self.advice}."


class SourceError(VideoChatError):
    """A source names nothing that can be opened: no such file, no video in a folder, a refused address."""


class MediaError(VideoChatError):
    """A file is there but cannot be read as what is asked of it."""


class ModelUnavailableError(VideoChatError):
    """The weights or the package of a model cannot be had on this machine."""


class ModelError(VideoChatError):
    """A model's files are damaged or of another kind, or the model failed at its work."""


class StoreError(VideoChatError):
    """A store cannot be opened, read or written as asked."""


class InputError(VideoChatError, ValueError):
    """An argument, or a field of a record, has a value that makes no sense."""
