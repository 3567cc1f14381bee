"""VideoChat for LangChain: videos as timestamped text that chains can search, and answers that cite it."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.embed import VideoChatEmbed
    from langchain_videochat.errors import VideoChatError
    from langchain_videochat.server import ChatVideoServer
    from langchain_videochat.store import VideoTimelineRetriever, VideoTimelineStore
    from langchain_videochat.text import VideoChatTextLoader, VideoChatTextParser
    from langchain_videochat.text.middleware import VideoMiddleware
    from langchain_videochat.text.question_answering import create_video_qa_chain
    from langchain_videochat.text.toolkit import VideoChatToolkit
    from langchain_videochat.text.tools import VideoChatTextTool

__version__ = "0.1.0"

__all__ = [
    "ChatVideoServer",
    "VideoChatEmbed",
    "VideoChatError",
    "VideoChatTextLoader",
    "VideoChatTextParser",
    "VideoChatTextTool",
    "VideoChatToolkit",
    "VideoMiddleware",
    "VideoTimelineRetriever",
    "VideoTimelineStore",
    "create_video_qa_chain",
]

# Importing the package must be cheap, so each export is imported when it is first used.
_EXPORTS = {
    "embed": ("VideoChatEmbed",),
    "errors": ("VideoChatError",),
    "server": ("ChatVideoServer",),
    "store": ("VideoTimelineRetriever", "VideoTimelineStore"),
    "text": ("VideoChatTextLoader", "VideoChatTextParser"),
    "text.middleware": ("VideoMiddleware",),
    "text.question_answering": ("create_video_qa_chain",),
    "text.toolkit": ("VideoChatToolkit",),
    "text.tools": ("VideoChatTextTool",),
}

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
