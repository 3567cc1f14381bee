"""One video's Observations in time order, and what can be made of them."""

from langchain_videochat.clock import format_clock
from langchain_videochat.timeline.citation import citation
from langchain_videochat.timeline.documents import Granularity
from langchain_videochat.timeline.moments import MOMENT_SECONDS, Moment
from langchain_videochat.timeline.timeline import Timeline

__all__ = ["MOMENT_SECONDS", "Granularity", "Moment", "Timeline", "citation", "format_clock"]
