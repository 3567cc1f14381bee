"""VideoChat-Text for LangChain: videos as Documents."""

from langchain_videochat.text.loader import VideoChatTextLoader
from langchain_videochat.text.parser import VideoChatTextParser

__all__ = ["VideoChatTextLoader", "VideoChatTextParser"]
