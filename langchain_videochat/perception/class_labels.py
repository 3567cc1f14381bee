"""Class labels of classifiers."""

from importlib.resources import files
from pathlib import Path

from langchain_videochat.errors import InputError


def kinetics_labels() -> list[str]:
    """Return the 400 labels of Kinetics-400, in the order of UniFormerV2's official checkpoints.

    Example:
        >>> labels = kinetics_labels()
        >>> len(labels), labels[370]
        (400, 'yoga')
    """
    return _lines(files("langchain_videochat.perception").joinpath("kinetics400.txt").read_text(encoding="utf-8"))


def read_labels(path: str | Path) -> list[str]:
    """Read labels from a text file.

    Args:
        path: A UTF-8 file with one label per line, in the order of the model's classes; blank lines are ignored.

    Raises:
        InputError: The file cannot be read as text.
    """
    try:
        return _lines(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        problem = f"{path} cannot be read ({error})"
        raise InputError("labels", problem, "Give a text file with one label per line") from error


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
