"""Tools for agents, one a file: each answers a language model in words, and programs with an artifact."""

from langchain_videochat.text.tools.ask import AskVideoTool
from langchain_videochat.text.tools.clip import CutClipTool
from langchain_videochat.text.tools.frames import ViewFramesTool
from langchain_videochat.text.tools.index import IndexVideoTool
from langchain_videochat.text.tools.search import SearchVideosTool
from langchain_videochat.text.tools.text import VideoChatTextTool
from langchain_videochat.text.tools.videos import ListVideosTool

__all__ = [
    "AskVideoTool",
    "CutClipTool",
    "IndexVideoTool",
    "ListVideosTool",
    "SearchVideosTool",
    "VideoChatTextTool",
    "ViewFramesTool",
]
