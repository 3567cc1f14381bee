"""Tools for agents. Each returns content for the language model and an artifact for programs."""

from langchain_videochat.text.tools.ask_video import AskVideoTool
from langchain_videochat.text.tools.cut_clip import CutClipTool
from langchain_videochat.text.tools.index_video import IndexVideoTool
from langchain_videochat.text.tools.list_videos import ListVideosTool
from langchain_videochat.text.tools.search_videos import SearchVideosTool
from langchain_videochat.text.tools.videochat_text import VideoChatTextTool
from langchain_videochat.text.tools.view_frames import ViewFramesTool

__all__ = [
    "AskVideoTool",
    "CutClipTool",
    "IndexVideoTool",
    "ListVideosTool",
    "SearchVideosTool",
    "VideoChatTextTool",
    "ViewFramesTool",
]
