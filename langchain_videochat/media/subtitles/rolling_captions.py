"""Rolling captions: each line is displayed two or three times, first alone, then above the next one."""

from itertools import pairwise

from langchain_videochat.media.subtitles.cues import ParsedCue

MAX_GAP_SECONDS = 0.5
"""Longest gap between two cues for which a line stays on display."""

MIN_FRACTION = 1 / 3
"""Fraction of the cues that must repeat lines of the one before: in dialogue, one line in a hundred does."""

MAX_LINES = 10
"""Lines of a cue up to which captions roll; more are a text of its own."""


def merge_rolling(cues: list[ParsedCue]) -> list[ParsedCue]:
    r"""Merge the repeated lines of captions such as those that YouTube generates; other cues are returned as they are.

    Args:
        cues: Cues with text, by start.

    Returns:
        Cues by start, each with one line if captions roll, from its first display to its last.

    Example:
        >>> texts = ["so today", "so today\nwe talk", "we talk\nabout"]
        >>> merged = merge_rolling([ParsedCue(2 * index, 2 * index + 2, text) for index, text in enumerate(texts)])
        >>> [(cue.start, cue.end, cue.text) for cue in merged]
        [(0, 4, 'so today'), (2, 6, 'we talk'), (4, 6, 'about')]
    """
    lines = [_lines(cue) for cue in cues]
    repeated = [0, *(_count_repeated(*pair) for pair in pairwise(zip(cues, lines, strict=True)))]
    # Cues that are repeated as a whole may be dialogue: "No!" "No!"
    rolling = sum(count > 0 and one != other for count, (one, other) in zip(repeated[1:], pairwise(lines), strict=True))
    if rolling < MIN_FRACTION * (len(cues) - 1) or not rolling:
        return cues
    merged: list[ParsedCue] = []
    displayed: list[int] = []  # positions in `merged` of the lines of the current cue
    for cue, texts, count in zip(cues, lines, repeated, strict=True):
        displayed = displayed[len(displayed) - count :]
        for position in displayed:
            # After a pause, a line returns above the next one.
            if cue.start <= merged[position].end + MAX_GAP_SECONDS:
                merged[position] = merged[position]._replace(end=max(merged[position].end, cue.end))
        for text in texts[count:]:
            displayed.append(len(merged))
            merged.append(cue._replace(text=text))
    return merged


def _lines(cue: ParsedCue) -> list[str]:
    return [" ".join(line.split()) for line in cue.text.split("\n") if line.strip()]


def _count_repeated(earlier: tuple[ParsedCue, list[str]], later: tuple[ParsedCue, list[str]]) -> int:
    """Return how many of a cue's first lines were the last lines of the cue before it."""
    (cue, lines), (next_cue, next_lines) = earlier, later
    is_possible = cue.start < next_cue.start and cue.speaker == next_cue.speaker
    if not is_possible or max(len(lines), len(next_lines)) > MAX_LINES:
        return 0
    # A cue that is repeated as a whole after a pause was spoken again.
    is_near = next_cue.start <= cue.end + MAX_GAP_SECONDS
    most = min(len(lines), len(next_lines) if is_near else len(next_lines) - 1)
    return next((count for count in range(most, 0, -1) if lines[-count:] == next_lines[:count]), 0)
