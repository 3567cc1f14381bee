"""Timelines: the Observations of one video in time order, and the formats that they are written in."""

from langchain_videochat.timeline.citation import citation
from langchain_videochat.timeline.documents import Granularity
from langchain_videochat.timeline.moments import MOMENT_SECONDS, Moment
from langchain_videochat.timeline.timeline import Timeline
from langchain_videochat.utils.timecode import format_timecode

__all__ = ["MOMENT_SECONDS", "Granularity", "Moment", "Timeline", "citation", "format_timecode"]
