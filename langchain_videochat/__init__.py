"""VideoChat for LangChain: videos as text with times, kept where chains can search them."""

from typing import TYPE_CHECKING

from langchain_videochat.utils.lazy import lazy_exports

if TYPE_CHECKING:
    from langchain_videochat.embed import VideoChatEmbed
    from langchain_videochat.errors import VideoChatError
    from langchain_videochat.store import VideoTimelineRetriever, VideoTimelineStore
    from langchain_videochat.text import VideoChatTextLoader, VideoChatTextParser
    from langchain_videochat.text.question_answering import create_video_qa_chain
    from langchain_videochat.text.toolkit import VideoChatToolkit
    from langchain_videochat.text.tools import VideoChatTextTool

__all__ = [
    "VideoChatEmbed",
    "VideoChatError",
    "VideoChatTextLoader",
    "VideoChatTextParser",
    "VideoChatTextTool",
    "VideoChatToolkit",
    "VideoTimelineRetriever",
    "VideoTimelineStore",
    "create_video_qa_chain",
]

_ROOMS = {
    "VideoChatEmbed": "embed",
    "VideoChatError": "errors",
    "VideoChatTextLoader": "text",
    "VideoChatTextParser": "text",
    "VideoChatTextTool": "text.tools",
    "VideoChatToolkit": "text.toolkit",
    "VideoTimelineRetriever": "store",
    "VideoTimelineStore": "store",
    "create_video_qa_chain": "text.question_answering",
}

# Importing the package must cost nothing: what lies behind a name is imported when the name is first used.
__getattr__, __dir__ = lazy_exports(__name__, _ROOMS)
