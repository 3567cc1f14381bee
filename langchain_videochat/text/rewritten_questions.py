"""Questions that a language model has rewritten: the question alone, or nothing if the model wrote something else."""

import regex

from langchain_videochat.text.prompts import is_not_shown, strip_invisible
from langchain_videochat.text.questions import MAX_QUESTION_LENGTH

MAX_ADDED_LENGTH = 500
"""Characters that a rewritten question may have more than the original: names replace pronouns, nothing is answered."""

_THOUGHT = r"(?:think(?:ing)?|thoughts?|reasoning|reflection)"
_THOUGHT_BEGINS = regex.compile(rf"[<\[]{_THOUGHT}[>\]]", regex.VERSION1 | regex.IGNORECASE)
_THOUGHT_ENDS = regex.compile(rf"[<\[]/{_THOUGHT}[>\]]", regex.VERSION1 | regex.IGNORECASE)

# "Rewritten question: ...", "Sure! Here is the standalone version:", "**Umformulierte Frage:** ...".
_LABEL = regex.compile(
    r"""
    (?: (?: sure | certainly | of\ course | okay | ok | here\ is | here['’]s | the | your | my | a | an | user['’]s
          | new | last | final | full | complete | clear | clearer | improved | revised | updated | rewritten
          | rephrased | reformulated | reworded | standalone | stand-alone | self-contained | follow-up
          | umformulierte | eigenständige | neue | überarbeitete | nueva | nouvelle | nuova
        ) [\s,.!*_]++ ){0,8}+
    (?: questions? | query | version | rewrite | rewritten | rephrased | reformulated | standalone | answer | output
      | frage | pregunta | domanda | pergunta | вопрос | 问题 | 問題 | 質問 | السؤال )
    (?: \s++ \p{L}++ ){0,3}? [\s*_]*+ [:：] [\s*_]*+
    """,  # noqa: RUF001
    regex.VERSION1 | regex.VERBOSE | regex.IGNORECASE,
)

_QUOTES = [tuple(pair) for pair in ['""', "''", "``", "“”", "„“", "‘’", "«»", "‹›", "「」", "『』", "**", "__"]]  # noqa: RUF001


def clean_rewritten(text: str, original: str) -> str | None:
    """Return the question in a language model's answer to a request to rewrite one.

    Thinking, labels and quotes around the question are removed.

    Args:
        text: The model's answer.
        original: The question that it was asked to rewrite.

    Returns:
        The question, or None if the answer is something else: it is empty, has more lines than the original, is much
        longer, or says that the video does not show something.

    Example:
        >>> clean_rewritten('<think>Eggs.</think> **Rewritten question:** "When are the eggs whisked?"', "When?")
        'When are the eggs whisked?'
    """
    question = _without_thinking(strip_invisible(text))
    # A label may be within quotes, and quotes follow a label.
    for _ in range(2):
        question = _unquote(question)
        label = _LABEL.match(question.lstrip("*_# "))
        if label and not _LABEL.match(original):
            question = question.lstrip("*_# ")[label.end() :]
    question = _unquote(question)
    lines = [line for line in question.splitlines() if line.strip()]
    max_length = min(MAX_QUESTION_LENGTH, len(original) + MAX_ADDED_LENGTH)
    if not any(map(str.isalnum, question)) or is_not_shown(question) or len(question) > max_length:
        return None
    return question if len(lines) <= max(1, len(original.splitlines())) else None


def _without_thinking(text: str) -> str:
    # Templates may put the opening tag into the prompt; a model that is cut off does not write the closing one.
    ends = [tag.end() for tag in _THOUGHT_ENDS.finditer(text)]
    rest = text[ends[-1] :] if ends else text
    begins = _THOUGHT_BEGINS.search(rest)
    return rest[: begins.start()] if begins else rest


def _unquote(text: str) -> str:
    text = text.strip()
    for opening, closing in _QUOTES:
        inside = text.strip(opening + closing)
        is_quoted = text.startswith(opening) and text.endswith(closing)
        if is_quoted and opening not in inside and closing not in inside:
            return inside.strip()
    return text
