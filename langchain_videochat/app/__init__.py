"""Timelines to look at: the web page, a report to send to others, and a picture, all with the same swim lanes."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.app.chat import Asked, Chat, TimelineChat, WatchingChat
    from langchain_videochat.app.collection import Collection
    from langchain_videochat.app.plot import draw_timeline
    from langchain_videochat.app.report import write_report
    from langchain_videochat.app.server import create_app

__all__ = [
    "Asked",
    "Chat",
    "Collection",
    "TimelineChat",
    "WatchingChat",
    "create_app",
    "draw_timeline",
    "write_report",
]

_MODULES = {
    "Asked": "chat",
    "Chat": "chat",
    "Collection": "collection",
    "TimelineChat": "chat",
    "WatchingChat": "chat",
    "create_app": "server",
    "draw_timeline": "plot",
    "write_report": "report",
}

__getattr__, __dir__ = lazy_exports(__name__, _MODULES)
