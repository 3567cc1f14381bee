"""Ways to view timelines: a web page, a self-contained HTML report and a picture, all with the same swim lanes."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.app.chat import Chat, ChatQuestion, EmbedChat, TimelineChat
    from langchain_videochat.app.collection import Collection
    from langchain_videochat.app.plot import draw_timeline
    from langchain_videochat.app.report import write_report
    from langchain_videochat.app.server import create_app

__all__ = [
    "Chat",
    "ChatQuestion",
    "Collection",
    "EmbedChat",
    "TimelineChat",
    "create_app",
    "draw_timeline",
    "write_report",
]

_EXPORTS = {
    "chat": ("Chat", "ChatQuestion", "EmbedChat", "TimelineChat"),
    "collection": ("Collection",),
    "plot": ("draw_timeline",),
    "report": ("write_report",),
    "server": ("create_app",),
}

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
