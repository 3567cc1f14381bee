"""Questions that a language model has rewritten: the question alone, or nothing if the model wrote something else."""

import regex

from langchain_videochat.text.prompts import is_not_shown
from langchain_videochat.text.questions import MAX_QUESTION_LENGTH
from langchain_videochat.utils.template_marks import neutralize_marks
from langchain_videochat.utils.thinking import without_thinking
from langchain_videochat.utils.untrusted_text import strip_invisible

MAX_ADDED_LENGTH = 500
"""Characters that a rewritten question may have more than the original: names replace pronouns, nothing is answered."""

_FLAGS = regex.VERSION1 | regex.VERBOSE | regex.IGNORECASE

# "Rewritten question: ...", "Sure! Here is the standalone version:", "**Umformulierte Frage:** ...", "Q: ...".
_LABEL = regex.compile(
    r"""
    (?: [^:：?？{}]{0,80}?
        (?: question | query | rewrit | rewrote | rephras | reformulat | reword | standalone | stand-alone
          | self-contained | frage | umformul | pregunta | domanda | pergunta | вопрос | 问题 | 問題 | 質問 | السؤال )
        [^:：?？{}]{0,80}
      | (?: q | user | human | assistant | follow-up | output | answer ) [\s*_]*
    ) [:：]
    """,  # noqa: RUF001
    _FLAGS,
)

_MARKUP = "*_#> \n"
"""Characters of Markdown around a label or question."""

_QUOTES = [tuple(pair) for pair in ['""', "''", "``", "“”", "„“", "‘’", "«»", "‹›", "「」", "『』", "**", "__"]]  # noqa: RUF001

_REFUSAL = regex.compile(
    r"""(?:i['’]?m\ |i\ am\ )?(?:sorry | unable) | unfortunately | i\ (?:cannot | can['’]t | don['’]t | do\ not)""",  # noqa: RUF001
    _FLAGS,
)

_JSON_OR_CITATION = regex.compile(r"[{}] | \[\d", _FLAGS)


def clean_rewritten(text: str, original: str) -> str | None:
    """Return the question in a language model's answer to a request to rewrite one.

    Thinking, labels, quotes and Markdown around the question are removed.

    Args:
        text: The model's answer.
        original: The question that it was asked to rewrite.

    Returns:
        The question, or None if the answer is something else: it is empty, has more lines than the original, is much
        longer, lacks the question mark of the original, is a refusal, or contains JSON, citations or marks of a chat
        template.

    Example:
        >>> clean_rewritten('<think>Eggs.</think> **Rewritten question:** "When are the eggs whisked?"', "When?")
        'When are the eggs whisked?'
    """
    question = without_thinking(strip_invisible(text))
    # A label may be within quotes, and quotes follow a label.
    question = _unquote(_without_label(_unquote(question), original))
    return question if _is_rewrite(question, original) else None


def _without_label(text: str, original: str) -> str:
    label = _LABEL.match(text)
    # Rewriting keeps the colons of a question, and adds none.
    is_added = label is not None and _count_colons(text) > _count_colons(original)
    return text[label.end() :].strip(_MARKUP) if label and is_added else text


def _count_colons(text: str) -> int:
    return text.count(":") + text.count("：")  # noqa: RUF001


def _unquote(text: str) -> str:
    text = text.strip()
    for opening, closing in _QUOTES:
        inside = text.strip(opening + closing)
        is_quoted = text.startswith(opening) and text.endswith(closing)
        if is_quoted and opening not in inside and closing not in inside:
            return inside.strip()
    return text


def _is_rewrite(question: str, original: str) -> bool:
    """Return whether a text has the form of the original question, in other words."""
    lines = [line for line in question.splitlines() if line.strip()]
    if not any(map(str.isalnum, question)) or len(lines) > max(1, len(original.splitlines())):
        return False
    if len(question) > min(MAX_QUESTION_LENGTH, len(original) + MAX_ADDED_LENGTH):
        return False
    if not _is_asked(question) and (_is_asked(original) or _REFUSAL.match(question) or is_not_shown(question)):
        return False
    return not (_has_markup(question) and not _has_markup(original))


def _is_asked(text: str) -> bool:
    return regex.search("[?？؟՞]", text) is not None  # noqa: RUF001 - the question marks of several scripts


def _has_markup(text: str) -> bool:
    return _JSON_OR_CITATION.search(text) is not None or neutralize_marks(text) != text
