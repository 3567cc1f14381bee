"""The gates of quality: each tells what is wrong with an item, or nothing.

Gates that look for words look for English ones, and let items in other languages pass.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from langchain_videochat.instruct.items import Fault, Item
from langchain_videochat.instruct.languages import language_code, load_identifier, other_language
from langchain_videochat.instruct.wording import count_words, split_sentences, split_words

Gate = Callable[[Item], str | None]
"""Gives the reason why an item is rejected, as the rest of a sentence; None if it passes."""

LEAST_TURNS = 2
"""Questions that make a conversation one of several turns."""

LEAST_REPEATED = 4
"""Words of the shortest sentence that must not be said twice."""

# Thai and Lao sentences end with a space.
_WITHOUT_STOPS = {"th", "lo"}

_END = re.compile(r"[.!?。！？।։؟۔။។][\"'”’»)\]」』]*$")  # noqa: RUF001 - other scripts
_TRAILING_OFF = re.compile(r"(\.\.|…)[\"'”’»)\]」』]*$")  # noqa: RUF001 - other scripts

_CLOCK = re.compile(r"(?<![\d:])\d{1,3}(?::[0-5]\d){1,2}(?![\d:])")
_SECONDS = re.compile(
    r"\b\d+(?:\.\d+)?(?:\s|-)?(?:s|secs?|seconds?)\b|\b(?:second|minute|frame|timestamp)s?\s+\d|\btimestamps?\b",
    re.IGNORECASE,
)

# "Text" alone may be text in the picture, of which one may speak.
_NOTES = r"(?:notes?|description|transcript|captions?|observations?|timeline|metadata)"
_DENIES = r"do(?:es)?(?:n['’]t| not)\b"  # noqa: RUF001 - models write either
_TELLS = rf"(?:mention|describe|state|indicate|suggest|specif|note|provide|tell|say|list|{_DENIES})"
_MENTION = re.compile(
    rf"\b(?:from|in|by|per) (?:the|this|these|your|my) (?:\w+ )?{_NOTES}\b"
    rf"|\b(?:according to|based on) (?:the|this|these|your|my) (?:\w+ )?(?:text|{_NOTES})\b"
    rf"|\b(?:provided|given|above) (?:\w+ )?(?:text|{_NOTES})\b"
    rf"|\b(?:the|this|these) (?:\w+ )?{_NOTES} (?:\w+ )?{_TELLS}"
    rf"|\b(?:the|this) text (?:mention|describe|state|indicate|suggest|{_DENIES})"
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
_LOOP = re.compile(r"\b(\w+(?:\W+\w+){1,7})(?:\W+\1\b){2}", re.IGNORECASE)

_ONE_FRAME = re.compile(
    r"^(?:what (?:colou?r|shape|size|kind|type|sort)\b|how many\b|(?:is|are) there\b|where (?:is|are)\b|who is\b"
    r"|what (?:is|are) .*\b(?:wearing|holding|on|in|behind|beside|like)\b|what do(?:es)? .*\blooks? like\b)",
    re.IGNORECASE,
)
_NEEDS_TIME = re.compile(
    r"\b(?:before|after|then|next|first|last|finally|while|during|when|until|begin|beginning|start|end|ends|again"
    r"|times|chang\w*|mov\w*|turn\w*|becom\w*|happen\w*|appear\w*|disappear\w*|go|goes|going|into|towards?)\b",
    re.IGNORECASE,
)


def check_all(gates: Mapping[str, Gate], item: Item) -> tuple[Fault, ...]:
    """List all that is wrong with an item."""
    told = {name: gate(item) for name, gate in gates.items()}
    return tuple(Fault(gate=name, reason=reason) for name, reason in told.items() if reason is not None)


def make_gates(language: str, words: tuple[int, int]) -> dict[str, Gate]:
    """Give all gates by their names.

    Args:
        language: English name of the language that items are to be in.
        words: How many words a description has, at least and at most.

    Raises:
        InputError: There is no such language.
        ModelUnavailableError: What tells languages apart cannot be loaded.

    Example:
        >>> item = Item(video_id="a", video="a.mp4", kind="description", language="English", text="At 0:05 a cat jum")
        >>> [fault.gate for fault in check_all(make_gates("English", (150, 200)), item)]
        ['length', 'times', 'unfinished']
    """
    code = language_code(language)
    load_identifier()
    english: dict[str, Gate] = {"refusal": check_refusal, "mention": check_mention} if code == "en" else {}
    return {
        "length": partial(check_length, words=words),
        "turns": check_turns,
        "language": partial(check_language, code=code),
        "times": partial(check_times, code=code),
        "marks": check_marks,
        "repeats": check_repeats,
        "unfinished": partial(check_finished, code=code),
        **english,
    }


def check_length(item: Item, words: tuple[int, int]) -> str | None:
    """Pass descriptions of a number of words, and all conversations."""
    count = count_words(item.text)
    if item.kind != "description" or words[0] <= count <= words[1]:
        return None
    return f"it has {count} words, not {words[0]} to {words[1]}"


def check_turns(item: Item) -> str | None:
    """Pass conversations of several turns, and all descriptions."""
    if item.kind == "description" or len(item.pairs) >= LEAST_TURNS:
        return None
    return f"it has {len(item.pairs)} of at least {LEAST_TURNS} questions"


def check_language(item: Item, code: str) -> str | None:
    """Pass what is in the language that was asked for, or too short to tell."""
    for text in _parts(item):
        other = other_language(text, code)
        if other is not None:
            return f"it is not in {item.language}, but {other!r}: {_short(text)}"
    return None


def check_times(item: Item, code: str) -> str | None:
    """Pass descriptions that name no clock times, and all conversations, which may ask when."""
    if item.kind != "description":
        return None
    found = _CLOCK.search(item.text) or (_SECONDS.search(item.text) if code == "en" else None)
    return found and f"it names a time: {found[0]!r}"


def check_marks(item: Item) -> str | None:
    """Pass what has no marks of a prompt in it: numbers of notes, tags, separators."""
    found = _first(_MARKS, item)
    return found and f"it has {found!r} in it"


def check_mention(item: Item) -> str | None:
    """Pass what does not tell that it was written from a text. Text in the picture may be spoken of."""
    found = _first(_MENTION, item)
    return found and f"it mentions what it was written from: {found!r}"


def check_refusal(item: Item) -> str | None:
    """Pass what is no excuse for not answering."""
    found = _first(_REFUSAL, item)
    return found and f"it refuses: {found!r}"


def check_repeats(item: Item) -> str | None:
    """Pass what says nothing twice: no sentence in an answer, no question, and no phrase thrice in a row."""
    for sentences in [*map(split_sentences, item.answers), item.questions]:
        said: set[tuple[str, ...]] = set()
        for sentence in sentences:
            words = tuple(split_words(sentence))
            if len(words) >= LEAST_REPEATED and words in said:
                return f"it says twice: {_short(sentence)}"
            said.add(words)
    found = _first(_LOOP, item)
    return found and f"it goes round in circles: {_short(found)}"


def check_finished(item: Item, code: str) -> str | None:
    """Pass what ends as a sentence does, in scripts that have signs for that."""
    for text in _texts(item):
        if code not in _WITHOUT_STOPS and (_TRAILING_OFF.search(text) or not _END.search(text)):
            return f"it is cut off: {text[-60:]!r}"
    return None


def one_frame_flags(item: Item) -> tuple[str, ...]:
    """Name the questions that, by their words, a single frame answers; only of English ones it can be told.

    Example:
        >>> pairs = [{"q": "What color is the cat?", "a": "Red."}, {"q": "Where is it after that?", "a": "Gone."}]
        >>> one_frame_flags(Item(video_id="a", video="a", kind="temporal", language="English", pairs=pairs))
        ('one frame answers: What color is the cat?',)
    """
    if item.language.casefold() != "english":
        return ()
    found = [one for one in item.questions if _ONE_FRAME.search(one) and not _NEEDS_TIME.search(one)]
    return tuple(f"one frame answers: {question}" for question in found)


def _texts(item: Item) -> list[str]:
    return [*item.questions, *item.answers]


def _parts(item: Item) -> Iterable[str]:
    """Give texts that are long enough to tell their language."""
    return [f"{pair.q} {pair.a}" for pair in item.pairs] or [item.text]


def _first(pattern: re.Pattern[str], item: Item) -> str | None:
    return next((found[0] for text in _texts(item) if (found := pattern.search(text))), None)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")  # noqa: PLR2004 - what a line of a report holds
