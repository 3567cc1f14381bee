"""Quality gates: each returns what is wrong with an item, or None.

Gates that match words apply to English only: a word list of one language says nothing about another. Gates that match
symbols, times, repetitions, sentence ends and the language apply to all languages.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import regex

from langchain_videochat.instruct.items import GateFailure, InstructionItem
from langchain_videochat.instruct.language_detection import (
    detect_other_language,
    language_code,
    load_language_identifier,
)
from langchain_videochat.instruct.sentences import count_words, split_sentences, split_words
from langchain_videochat.utils.unicode import ascii_digits

Gate = Callable[[InstructionItem], str | None]
"""Returns the reason why an item is rejected, or None if it passes."""

MIN_TURNS = 2
"""Questions in a multi-turn conversation."""

MIN_REPEATED_WORDS = 4
"""Words in the shortest sentence that must not be repeated."""

# Thai and Lao sentences end with a space.
_LANGUAGES_WITHOUT_STOPS = {"th", "lo"}

_END = re.compile(r"[.!?。！？।։؟۔။។][\"'”’»)\]」』]*$")  # noqa: RUF001 - other scripts
_TRAILING_OFF = re.compile(r"(\.\.|…)[\"'”’»)\]」』]*$")  # noqa: RUF001 - other scripts

_TIMECODE = re.compile(r"(?<![\d:])\d{1,3}(?::[0-5]\d){1,2}(?![\d:])")
_SECONDS = re.compile(
    r"\b\d+(?:\.\d+)?(?:\s|-)?(?:s|secs?|seconds?)\b|\b(?:second|minute|frame|timestamp)s?\s+\d|\btimestamps?\b",
    re.IGNORECASE,
)

# "Text" alone may be text in the picture, which may be mentioned.
_NOTES = r"(?:notes?|description|transcript|captions?|observations?|timeline|metadata)"
_DOES_NOT = r"do(?:es)?(?:n['’]t| not)\b"  # noqa: RUF001 - models write either
_REPORTS = rf"(?:mention|describe|state|indicate|suggest|specif|note|provide|tell|say|list|{_DOES_NOT})"
_MENTION = re.compile(
    rf"\b(?:from|in|by|per) (?:the|this|these|your|my) (?:\w+ )?{_NOTES}\b"
    rf"|\b(?:according to|based on) (?:the|this|these|your|my) (?:\w+ )?(?:text|{_NOTES})\b"
    rf"|\b(?:provided|given|above) (?:\w+ )?(?:text|{_NOTES})\b"
    rf"|\b(?:the|this|these) (?:\w+ )?{_NOTES} (?:\w+ )?{_REPORTS}"
    rf"|\b(?:the|this) text (?:mention|describe|state|indicate|suggest|{_DOES_NOT})"
    r"|\b(?:mentioned|described|noted|stated) in the\b",
    re.IGNORECASE,
)
_MARKS = re.compile(r"video_notes|```|###|</?video>|\[\d+\]", re.IGNORECASE)

_REFUSAL = re.compile(
    r"^\W*(?:(?:i['’]m|i am) (?:sorry|unable|not able)|sorry\b|i apologi[sz]e"  # noqa: RUF001 - models write either
    r"|i (?:can['’]t|cannot|can not|won['’]t)\b"  # noqa: RUF001
    r"|unfortunately, i\b|as an? (?:ai|(?:large )?language) )|\bas an ai (?:language )?model\b",
    re.IGNORECASE,
)

# A phrase of two to eight words, three times in a row.
_LOOP = regex.compile(r"\b(\w+(?:\W+\w+){1,7})(?:\W+\1\b){2}", regex.IGNORECASE)

_SINGLE_FRAME = re.compile(
    r"^(?:what (?:colou?r|shape|size|kind|type|sort)\b|how many\b|(?:is|are) there\b|where (?:is|are)\b|who is\b"
    r"|what (?:is|are) .*\b(?:wearing|holding|on|in|behind|beside|like)\b|what do(?:es)? .*\blooks? like\b)",
    re.IGNORECASE,
)
_NEEDS_TIME = re.compile(
    r"\b(?:before|after|then|next|first|last|finally|while|during|when|until|begin|beginning|start|end|ends|again"
    r"|times|chang\w*|mov\w*|turn\w*|becom\w*|happen\w*|appear\w*|disappear\w*|go|goes|going|into|towards?)\b",
    re.IGNORECASE,
)


def run_gates(gates: Mapping[str, Gate], item: InstructionItem) -> tuple[GateFailure, ...]:
    """Return the failures of all gates that reject an item."""
    reasons = {name: gate(item) for name, gate in gates.items()}
    return tuple(GateFailure(gate=name, reason=reason) for name, reason in reasons.items() if reason is not None)


def build_gates(language: str, words: tuple[int, int]) -> dict[str, Gate]:
    """Return all gates by name.

    Args:
        language: English name of the required language.
        words: Minimum and maximum number of words in a description.

    Raises:
        InputError: The language is unknown.
        ModelUnavailableError: The language identifier cannot be loaded.

    Example:
        >>> text = "At 0:05 a cat jum"
        >>> item = InstructionItem(video_id="a", video="a.mp4", kind="description", language="English", text=text)
        >>> [failure.gate for failure in run_gates(build_gates("English", (150, 200)), item)]
        ['length', 'times', 'unfinished']
    """
    code = language_code(language)
    load_language_identifier()
    english: dict[str, Gate] = {"refusal": check_refusal, "mention": check_mention} if code == "en" else {}
    return {
        "length": partial(check_length, words=words),
        "turns": check_turns,
        "language": partial(check_language, code=code),
        "times": partial(check_times, code=code),
        "marks": check_marks,
        "repeats": check_repeats,
        "unfinished": partial(check_unfinished, code=code),
        **english,
    }


def check_length(item: InstructionItem, words: tuple[int, int]) -> str | None:
    """Require a number of words in descriptions."""
    count = count_words(item.text)
    if item.kind != "description" or words[0] <= count <= words[1]:
        return None
    return f"it has {count} words instead of {words[0]} to {words[1]}"


def check_turns(item: InstructionItem) -> str | None:
    """Require several turns in conversations."""
    if item.kind == "description" or len(item.pairs) >= MIN_TURNS:
        return None
    return f"it has {len(item.pairs)} questions instead of at least {MIN_TURNS}"


def check_language(item: InstructionItem, code: str) -> str | None:
    """Require the requested language, except in texts that are too short to identify."""
    for text in _turns(item):
        other = detect_other_language(text, code)
        if other is not None:
            return f"it is not in {item.language}, but in {other!r}: {_shorten(text)}"
    return None


def check_times(item: InstructionItem, code: str) -> str | None:
    """Reject times in descriptions. Conversations may ask when something happens."""
    if item.kind != "description":
        return None
    found = _TIMECODE.search(ascii_digits(item.text)) or (_SECONDS.search(item.text) if code == "en" else None)
    return found and f"it contains a time: {found[0]!r}"


def check_marks(item: InstructionItem) -> str | None:
    """Reject prompt markup: note numbers, tags, separators."""
    found = _first(_MARKS, item)
    return found and f"it contains {found!r}"


def check_mention(item: InstructionItem) -> str | None:
    """Reject mentions of the notes. Text in the picture may be mentioned."""
    found = _first(_MENTION, item)
    return found and f"it mentions its source: {found!r}"


def check_refusal(item: InstructionItem) -> str | None:
    """Reject refusals to answer."""
    found = _first(_REFUSAL, item)
    return found and f"it refuses: {found!r}"


def check_repeats(item: InstructionItem) -> str | None:
    """Reject repeated sentences in an answer, repeated questions, and phrases repeated three times in a row."""
    for sentences in [*map(split_sentences, item.answers), item.questions]:
        seen: set[tuple[str, ...]] = set()
        for sentence in sentences:
            words = tuple(split_words(sentence))
            if len(words) >= MIN_REPEATED_WORDS and words in seen:
                return f"it repeats a sentence: {_shorten(sentence)}"
            seen.add(words)
    found = _first(_LOOP, item)
    return found and f"it repeats a phrase: {_shorten(found)}"


def check_unfinished(item: InstructionItem, code: str) -> str | None:
    """Reject texts that do not end a sentence, in languages that have full stops."""
    for text in _texts(item):
        if code not in _LANGUAGES_WITHOUT_STOPS and (_TRAILING_OFF.search(text) or not _END.search(text)):
            return f"it is cut off: {text[-60:]!r}"
    return None


def single_frame_flags(item: InstructionItem) -> tuple[str, ...]:
    """Return flags for questions that a single frame answers, judging by their words. Only English is supported.

    Example:
        >>> pairs = [{"q": "What color is the cat?", "a": "Red."}, {"q": "Where is it after that?", "a": "Gone."}]
        >>> item = InstructionItem(video_id="a", video="a", kind="temporal", language="English", pairs=pairs)
        >>> single_frame_flags(item)
        ('answered by one frame: What color is the cat?',)
    """
    if item.language.casefold() != "english":
        return ()
    found = [one for one in item.questions if _SINGLE_FRAME.search(one) and not _NEEDS_TIME.search(one)]
    return tuple(f"answered by one frame: {question}" for question in found)


def _texts(item: InstructionItem) -> list[str]:
    return [*item.questions, *item.answers]


def _turns(item: InstructionItem) -> Iterable[str]:
    """Return the texts whose languages are identified: whole turns, because short texts are ambiguous."""
    return [f"{pair.q} {pair.a}" for pair in item.pairs] or [item.text]


def _first(pattern: re.Pattern[str] | regex.Pattern[str], item: InstructionItem) -> str | None:
    return next((found[0] for text in _texts(item) if (found := pattern.search(text))), None)


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")  # noqa: PLR2004 - one line of a report
