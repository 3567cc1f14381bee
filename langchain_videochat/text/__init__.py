"""VideoChat-Text for LangChain: videos as text that language models read, search and cite."""

from langchain_videochat.text.contact_sheet import ContactSheet, make_contact_sheet
from langchain_videochat.text.loader import VideoChatTextLoader
from langchain_videochat.text.parser import VideoChatTextParser

__all__ = ["ContactSheet", "VideoChatTextLoader", "VideoChatTextParser", "make_contact_sheet"]
