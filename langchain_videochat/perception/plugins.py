"""Entry points: the perceivers of this package and those that other packages provide."""

import logging
from importlib.metadata import EntryPoint, entry_points

logger = logging.getLogger(__name__)

GROUP = "langchain_videochat.perceivers"
"""The entry point group in which other packages register their perceivers."""

_BUILT_IN = {
    "actions": "actions:Actions",
    "captions": "captions:Captions",
    "objects": "objects:Objects",
    "regions": "regions:Regions",
    "scenes": "scenes:Scenes",
    "screen_text": "screen_text:ScreenText",
    "speech": "speech:Speech",
    "subtitles": "subtitle_tracks:SubtitleTracks",
    "summaries": "summaries:Summaries",
    "tags": "tags:Tags",
    "visual": "visual:Visual",
}


def find_entry_points() -> dict[str, EntryPoint]:
    """Return the entry point of each perceiver by its name in profiles; built-in names cannot be overridden."""
    built_in = {name: EntryPoint(name, f"{__package__}.{path}", GROUP) for name, path in _BUILT_IN.items()}
    return built_in | {point.name: point for point in entry_points(group=GROUP) if point.name not in built_in}


def find_entry_point(name: str) -> EntryPoint | None:
    """Return the entry point of a perceiver, or None if there is none; built-in ones are found without a search."""
    if name in _BUILT_IN:
        return EntryPoint(name, f"{__package__}.{_BUILT_IN[name]}", GROUP)
    return find_entry_points().get(name)


def import_plugins() -> None:
    """Import the perceivers of other packages; one that fails is logged and left out."""
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            logger.warning("The perceiver %s (%s) cannot be loaded: %s", point.name, point.value, error)
