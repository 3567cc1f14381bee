"""SubStation Alpha (.ass and .ssa)."""

import re
from collections.abc import Iterator

from langchain_videochat.media.subtitles.cues import CueProblem, ParsedCue, Problems

_FIELDS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
_LINE = re.compile(r"\s*(?P<kind>Format|Dialogue)\s*:(?P<values>.*)", re.IGNORECASE)
_TIME = re.compile(r"\s*(-?)(\d{1,9}):(\d{1,2}):(\d{1,2}(?:[.:,]\d{1,9})?)\s*")


def is_substation(text: str) -> bool:
    r"""Return whether a file is SubStation Alpha.

    Example:
        >>> is_substation("[Script Info]\nTitle: a talk")
        True
    """
    return re.match(r"\s*\[(?:Script Info|V4\+? Styles|Events)\]", text, re.IGNORECASE) is not None


def parse_substation(text: str, problems: Problems) -> Iterator[ParsedCue]:
    r"""Parse the dialogue of a file; comments and drawings are left out.

    Args:
        text: The file, with LF for line breaks.
        problems: Updated with events that have no valid times.

    Yields:
        Cues in file order; the speaker is the actor's name.

    Example:
        >>> list(parse_substation("Dialogue: 0,0:00:01.00,0:00:02.50,Default,Ada,0,0,0,,Hello,\\Nyou", Problems()))
        [ParsedCue(start=1.0, end=2.5, text='Hello,\nyou', speaker='Ada')]
    """
    fields: tuple[str, ...] = _FIELDS
    for line in map(_LINE.fullmatch, text.split("\n")):
        if line is None:
            continue
        if line["kind"].casefold() == "format":
            # The styles have such a line, too.
            names = tuple(name.strip().casefold() for name in line["values"].split(","))
            fields = names if {"start", "end", "text"} <= set(names) else fields
            continue
        values = dict(zip(fields, line["values"].split(",", len(fields) - 1), strict=False))
        start, end = _TIME.fullmatch(values.get("start", "")), _TIME.fullmatch(values.get("end", ""))
        if start is None or end is None or "text" not in values:
            problems[CueProblem.NO_TIME] += 1
        else:
            yield ParsedCue(_seconds(start), _seconds(end), event_text(values["text"]), actor(values.get("name", "")))


def event_text(text: str) -> str:
    r"""Return the text of an event without override codes; empty if it is a drawing.

    Example:
        >>> event_text(r"{\i1}Hello{\i0}\Nworld"), event_text(r"{\p1}m 0 0 l 9 9{\p0}")
        ('Hello\nworld', '')
    """
    shown = []
    drawing = False
    *before_codes, rest = text.split("}")
    for part in [*(f"{part}}}" for part in before_codes), rest]:
        words, _, codes = part.partition("{")
        closed = codes.endswith("}")
        shown.append("" if drawing else words if closed else part)
        for level in re.findall(r"\\p(\d)", codes if closed else ""):
            drawing = level != "0"
    return re.sub(r"\\[Nn]", "\n", "".join(shown)).replace(r"\h", " ").strip()


def actor(name: str) -> str | None:
    """Return the name of the speaker in an event's field "Name", None if it is empty."""
    return " ".join(name.split()) or None


def _seconds(time: re.Match[str]) -> float:
    sign, hours, minutes, seconds = time.groups()
    total = int(hours) * 3600 + int(minutes) * 60 + float(re.sub("[:,]", ".", seconds))
    return -total if sign else total
