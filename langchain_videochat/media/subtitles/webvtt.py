"""WebVTT, parsed as its specification says: https://www.w3.org/TR/webvtt1/."""

import html
import re
from collections.abc import Iterator

from langchain_videochat.media.subtitles.cues import CueProblem, ParsedCue, Problems

# The comma is not in the specification: it is left over where SubRip was converted by hand.
_TIME = r"(?:([0-9]{1,9}):)?([0-5][0-9]):([0-5][0-9])[.,]([0-9]{3})(?![0-9])"
_SPACE = r"[ \t\n\f\r]*"
_TIMES = re.compile(f"{_SPACE}{_TIME}{_SPACE}-->{_SPACE}{_TIME}")
# A tag ends at the end of the text at the latest.
_TOKEN = re.compile(r"<(?P<tag>[^>]*)>?|(?P<text>[^<]+)")
_VOICE = re.compile(r"v(?:\.[^\s>]*)?(?:\s(?P<speaker>.*))?", re.DOTALL)


def is_webvtt(text: str) -> bool:
    r"""Return whether a file is WebVTT. Browsers insist on capitals and no space before them.

    Example:
        >>> is_webvtt("WEBVTT - a talk"), is_webvtt("1\n00:00:00,000 --> 00:00:01,000")
        (True, False)
    """
    return re.match(r"\s*WEBVTT(?:\s|$)", text, re.IGNORECASE) is not None


def parse_webvtt(text: str, problems: Problems) -> Iterator[ParsedCue]:
    r"""Parse the cues of a file; ids, comments, styles and regions are left out.

    Args:
        text: The file, with LF for line breaks.
        problems: Updated with cues that have no valid times.

    Yields:
        Cues in file order, one for each speaker.

    Example:
        >>> list(parse_webvtt("WEBVTT\n\nid-1\n00:01.000 --> 00:02.000 line:0\n<v Ada>Hello</v>", Problems()))
        [ParsedCue(start=1.0, end=2.0, text='Hello', speaker='Ada')]
    """
    for timing, lines in _blocks(text.lstrip().split("\n")[1:]):
        times = _TIMES.match(timing)
        if times is None:
            problems[CueProblem.NO_TIME] += 1
            continue
        start, end = _seconds(*times.groups()[:4]), _seconds(*times.groups()[4:])
        yield from (ParsedCue(start, end, part, speaker) for speaker, part in parse_cue_text("\n".join(lines)))


def parse_cue_text(text: str) -> list[tuple[str | None, str]]:
    """Parse the text of a cue.

    Returns:
        Speakers (None if unknown) with what they say, without markup.

    Example:
        >>> parse_cue_text("<v.loud Ada>We <i>start</i> &amp; run.</v> <v Bob>No!")
        [('Ada', 'We start & run.'), ('Bob', 'No!')]
    """
    parts: list[tuple[str | None, str]] = []
    speakers: list[str | None] = [None]
    for token in _TOKEN.finditer(text):
        if token["text"] is None:
            _open_or_close(token["tag"], speakers)
            continue
        speaker, plain = speakers[-1], html.unescape(token["text"])
        # Space between two voices belongs to neither.
        if parts and (speaker == parts[-1][0] or plain.isspace()):
            speaker, before = parts.pop()
            plain = before + plain
        parts.append((speaker, plain))
    return [(speaker, part.strip()) for speaker, part in parts if part.strip()]


def _open_or_close(tag: str, speakers: list[str | None]) -> None:
    """Update the stack of nested voices with a tag; all other tags are formatting, or the times of single words."""
    if voice := _VOICE.fullmatch(tag):
        speakers.append(" ".join(html.unescape(voice["speaker"] or "").split()) or None)
    elif tag == "/v" and len(speakers) > 1:
        speakers.pop()


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the timing line and the text of each cue.

    A timing line is the first or second line of a block; one further down begins another block, as if an empty line
    stood before it.
    """
    block: list[str] = []
    timing: int | None = None  # index of the timing line in the block
    for line in [*lines, ""]:
        has_arrow = "-->" in line
        if line and not (has_arrow and (timing is not None or len(block) > 1)):
            timing = len(block) if has_arrow else timing
            block.append(line)
            continue
        if timing is not None:
            yield block[timing], block[timing + 1 :]
        block, timing = ([line], 0) if line else ([], None)


def _seconds(hours: str | None, minutes: str, seconds: str, milliseconds: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(milliseconds) / 1000
