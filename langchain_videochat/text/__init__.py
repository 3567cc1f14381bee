"""VideoChat-Text for LangChain: videos as text that language models read, search and cite."""

from langchain_videochat.text.loader import VideoChatTextLoader
from langchain_videochat.text.parser import VideoChatTextParser

__all__ = ["VideoChatTextLoader", "VideoChatTextParser"]
