"""SubRip (.srt). The format has no specification, and many files are written by hand."""

import html
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from langchain_videochat.media.subtitles.cues import CueProblem, ParsedCue, Problems

_TIME = r"(-?)(?:(\d{1,9}) ?: ?)?(\d{1,3}) ?: ?(\d{1,2})(?: ?[.,:;] ?(\d{1,9}))?"
_FULL_TIME = r"(-?)(\d{1,9}):(\d{1,3}):(\d{1,2})[.,](\d{1,9})"
_ARROW = r"(?:(?:[-\u2013\u2014] ?)+>|\u2192|--&gt;)"  # with dashes, or a character of its own
# The cue's number may stand before the times, and positions or text after them. Between two full times, anything is
# taken for an arrow.
_TIMES = (
    re.compile(rf"\s*(?:\d+\s+)?{_TIME}\s*{_ARROW}\s*(?:{_TIME}(?!\d))?(.*)"),
    re.compile(rf"\s*(?:\d+\s+)?{_FULL_TIME}\D{{1,9}}{_FULL_TIME}(?!\d)(.*)"),
)
_MAX_LETTERS = 3
"""Number of letters up to which a line with an arrow and digits is one of times that are damaged."""

_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_MARKUP = re.compile(
    # Not "2 < 3" and "<laughs>".
    r"</?(?:i|b|u|s|c|v|em|strong|font|span|p|div|ruby|rt|lang)(?:[\s.=/][^<>]*)?>|<[\d:.]+>"
    # ASS overrides as in {\an8}, and MicroDVD codes for italics and colors.
    r"|\{\\[^{}]*\}|\{y:[ibus,]+\}|\{c:\$[0-9a-f]+\}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _TimingLine:
    """A line with the times of a cue."""

    index: int
    times: re.Match[str] | None
    """None if the times are damaged."""


def parse_subrip(text: str, problems: Problems) -> Iterator[ParsedCue]:
    r"""Parse the cues of a file.

    A cue reaches from its times to the next: numbers may be missing or wrong, and empty lines missing or in excess.

    Args:
        text: The file, with LF for line breaks.
        problems: Updated with cues that have no valid times.

    Yields:
        Cues in file order; the end is NaN if it is missing.

    Example:
        >>> list(parse_subrip("1\n00:00:01,5 --> 00:00:02\n<i>Hello</i>\n42\n", Problems()))
        [ParsedCue(start=1.5, end=2.0, text='Hello\n42', speaker=None)]
    """
    lines = [line.strip() for line in text.split("\n")]
    timing_lines = list(_find_timing_lines(lines))
    labels = [_number_before(lines, line.index) for line in timing_lines]
    numbered = 2 * sum(label is not None for label in labels) >= len(labels)
    number = 0
    for position, line in enumerate(timing_lines):
        number = labels[position] or number
        if position + 1 < len(timing_lines):
            content = _without_number(lines[line.index + 1 : timing_lines[position + 1].index], number + 1, numbered)
        else:
            content = lines[line.index + 1 :]
        if line.times is None:
            problems[CueProblem.NO_TIME] += 1
        else:
            yield _cue(line.times, content)


def plain_text(text: str) -> str:
    r"""Remove markup, and resolve escapes such as `&amp;`.

    Example:
        >>> plain_text("{\\an8}<i>Tom</i> &amp; Jerry: 2 < 3")
        'Tom & Jerry: 2 < 3'
    """
    return html.unescape(_MARKUP.sub("", _LINE_BREAK.sub("\n", text)))


def _find_timing_lines(lines: list[str]) -> Iterator[_TimingLine]:
    for index, line in enumerate(lines):
        if ":" in line:
            times = next(filter(None, (pattern.match(line) for pattern in _TIMES)), None)
            if times or _has_damaged_times(line):
                yield _TimingLine(index, times)


def _has_damaged_times(line: str) -> bool:
    return (
        re.search(r"[-\u2013\u2014] ?>|\u2192|--&gt;", line) is not None
        and re.search(r"\d ?: ?\d", line) is not None
        and sum(map(str.isalpha, line)) <= _MAX_LETTERS
    )


def _number_before(lines: list[str], index: int) -> int | None:
    """Return the number that stands before a timing line."""
    last = _last_filled(lines, index)
    return int(lines[last]) if last is not None and _is_number(lines[last]) else None


def _without_number(content: list[str], expected: int, numbered: bool) -> list[str]:
    """Remove the number of the next cue from the end of a cue's lines."""
    last = _last_filled(content, len(content))
    if last is None or not _is_number(content[last]):
        return content
    next_to_times = last == len(content) - 1
    after_empty_line = last == 0 or not content[last - 1]
    is_expected = numbered and int(content[last]) == expected
    return content[:last] if is_expected or (next_to_times and (numbered or after_empty_line)) else content


def _last_filled(lines: list[str], end: int) -> int | None:
    return next((index for index in range(end - 1, -1, -1) if lines[index]), None)


def _is_number(line: str) -> bool:
    return re.fullmatch(r"[0-9]{1,9}", line) is not None


def _cue(times: re.Match[str], content: list[str]) -> ParsedCue:
    *numbers, beside = times.groups()
    start = _seconds(*numbers[:5])
    end = math.nan if numbers[7] is None else _seconds(*numbers[5:])
    if all(re.match(r"[A-Za-z]\w*:\S", word) for word in beside.split()):
        beside = ""  # positions, as in "X1:40 X2:600"
    return ParsedCue(start, end, plain_text("\n".join([beside, *content])).strip())


def _seconds(sign: str, hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    total = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction or 0}")
    return -total if sign else total
