"""Groups of questions that are scored together, as defined by Video-MME v2 (arXiv 2604.05015)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

GROUP_SIZE = 4

RELEVANCE = "relevance"
"""Structure of four questions about the same ability, in any order."""

# Which questions are interchangeable, and the points for 0, 1, ... correct steps.
_SCORING = {
    RELEVANCE: (slice(0, 4), (0, 1, 4, 9, 16)),
    "[1,2,3,4]": (slice(0, 0), (0, 1, 4, 9, 16)),
    "[1,[2,3],4]": (slice(1, 3), (0, 1, 4, 7, 12)),
    "[[1,2],3,4]": (slice(0, 2), (0, 1, 2, 5, 10)),
}

STRUCTURES = tuple(_SCORING)
"""`RELEVANCE`, and the chains of reasoning, in which inner brackets enclose interchangeable questions."""


@dataclass(frozen=True)
class QuestionGroup:
    """Four questions about a video that are scored together.

    A chain of reasoning counts up to its first wrong answer. Points grow faster than the number of correct answers.

    Example:
        >>> QuestionGroup("001", "[1,2,3,4]").score([True, True, False, True])
        0.25
        >>> QuestionGroup("002", "[[1,2],3,4]").score([False, True, True, True])
        0.1
    """

    name: str
    """The video."""

    structure: str
    """One of `STRUCTURES`."""

    def score(self, correct: Sequence[bool]) -> float:
        """Return the score of four answers, 0 to 1."""
        interchangeable, points = _SCORING[self.structure]
        steps = list(correct)
        steps[interchangeable] = sorted(steps[interchangeable], reverse=True)
        return points[len(list(takewhile(bool, steps)))] / points[-1]
