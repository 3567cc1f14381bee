"""Timelines to look at: the web page, a report to send to others, and a picture, all with the same swim lanes."""

from typing import TYPE_CHECKING

from langchain_videochat.lazy import lazy_names

if TYPE_CHECKING:
    from langchain_videochat.app.plot import draw_timeline
    from langchain_videochat.app.report import write_report
    from langchain_videochat.app.server import create_app

__all__ = ["create_app", "draw_timeline", "write_report"]

__getattr__, __dir__ = lazy_names(__name__, {"create_app": "server", "draw_timeline": "plot", "write_report": "report"})
