"""Moments as text for a language model that gets nothing else of them."""

from langchain_core.documents import Document

from langchain_videochat.utils.timecode import format_timecode
from langchain_videochat.utils.untrusted_text import DATA_TAG, mark_as_data, strip_invisible

_OPENING, _CLOSING = f"<{DATA_TAG}>\n", f"\n</{DATA_TAG}>"


def describe(moment: Document) -> Document:
    r"""Return a result of a search whose text has its title, times and citation, and is marked as data.

    Example:
        >>> data = {"title": "Eggs", "start": 0, "end": 15, "citation": "file:///films/eggs.mp4#t=5,10"}
        >>> print(describe(Document("Eggs\nSpeech: Hello; Whisk two eggs", metadata=data)).page_content)
        <video_notes>
        Eggs 00:00-00:15
        file:///films/eggs.mp4#t=5,10
        Speech: Hello; Whisk two eggs
        </video_notes>
    """
    body = moment.page_content.removeprefix(moment.metadata["title"])
    return _with_text(moment, mark_as_data(f"{_heading(moment)}\n{body.strip()}"))


def undescribe(document: Document) -> Document:
    """Return a Document that `describe` has changed as it was, except for characters that were replaced."""
    text, data = document.page_content, document.metadata
    if not (text.startswith(_OPENING) and text.endswith(_CLOSING)) or not {"title", "citation"} <= data.keys():
        return document
    heading = mark_as_data(_heading(document)).removesuffix(_CLOSING)
    body = text.removesuffix(_CLOSING).removeprefix(heading).removeprefix(_OPENING)
    return _with_text(document, f"{data['title']}\n{body.strip()}".strip())


def _heading(moment: Document) -> str:
    data = moment.metadata
    title = " ".join(strip_invisible(data["title"]).split())
    return f"{title} {format_timecode(data['start'])}-{format_timecode(data['end'])}\n{data['citation']}"


def _with_text(document: Document, text: str) -> Document:
    return Document(page_content=text, metadata=document.metadata, id=document.id)
