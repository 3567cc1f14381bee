"""Any retriever of LangChain as the source of the moments that questions are answered from."""

import math
from collections.abc import Iterable
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import RetrieverLike

from langchain_videochat.errors import InputError
from langchain_videochat.perception.modalities import list_modalities
from langchain_videochat.store import VideoTimelineRetriever
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.moment_text import undescribe
from langchain_videochat.text.questions import ParsedQuestion
from langchain_videochat.text.retrieval import moment_times, overlaps


class RetrieverLibrary:
    """A retriever whose Documents have the metadata `video_id`, `start` and `end` (seconds).

    `title` and `source` are optional. Each Document counts as a moment; there are neither neighbors nor whole videos.

    Args:
        retriever: A retriever, or any other Runnable from a query to Documents.
    """

    def __init__(self, retriever: RetrieverLike) -> None:
        self._retriever = retriever

    def search(self, question: ParsedQuestion) -> list[Document]:
        """Return the Documents that the retriever finds for a question, best first, each once.

        Raises:
            InputError: The retriever returns anything but Documents, or metadata are missing.
        """
        return _prepare(self._retriever.invoke(question.text, **self._arguments(question)), question)

    async def asearch(self, question: ParsedQuestion) -> list[Document]:
        """Return the Documents that the retriever finds for a question, as `search` does."""
        return _prepare(await self._retriever.ainvoke(question.text, **self._arguments(question)), question)

    def timed_words(self, moments: Iterable[Document]) -> list[list[TimedWords]]:
        """Return the words of the observations of each moment, with their times; none if only a store knew them.

        Raises:
            StoreError: The store of the retriever cannot be read.
        """
        if isinstance(self._retriever, VideoTimelineRetriever):
            return self._retriever.store.timed_words(moments)
        return [[] for _ in moments]

    def _arguments(self, question: ParsedQuestion) -> dict[str, Any]:
        """Return arguments that let our own retriever search only where the question asks; others are filtered."""
        retriever = self._retriever
        if not isinstance(retriever, VideoTimelineRetriever):
            return {}
        wanted = {"video_id": question.video_ids, "start": question.start, "end": question.end}
        # The retriever's own restrictions stay: a question must not reach beyond them.
        own = {name for name in wanted if getattr(retriever, name) is not None} | retriever.search_kwargs.keys()
        return {name: value for name, value in wanted.items() if value is not None and name not in own}


def _prepare(found: Any, question: ParsedQuestion) -> list[Document]:
    if not isinstance(found, list | tuple) or not all(isinstance(one, Document) for one in found):
        advice = "Pass a retriever, or a Runnable that returns a list of Documents"
        raise InputError("videos", f"returned {type(found).__name__}, not Documents", advice)
    documents = [_complete(one) for one in found]
    distinct = {(one.metadata["video_id"], *moment_times(one), one.page_content): one for one in documents}
    return [one for one in distinct.values() if _is_wanted(one, question)]


def _complete(document: Document) -> Document:
    """Return a Document in the form of a moment: with title and source, and text that begins with the title.

    Raises:
        InputError: Metadata are missing or of the wrong type.
    """
    data = document.metadata
    video_id = data.get("video_id")
    if not isinstance(video_id, str):
        raise _invalid("video_id", "a string", data)
    for name in ("start", "end"):
        value = data.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise _invalid(name, "a time in seconds", data)
    if data["end"] < data["start"]:
        raise InputError("metadata.end", f"is before the start in the Document {data}", "Correct its metadata")
    title, source = str(data.get("title") or video_id), str(data.get("source") or "")
    text = _labeled_text(document)
    if text.partition("\n")[0] != title:
        text = f"{title}\n{text}"
    # Rerankers may drop the id, but keep the metadata.
    document_id = data.get("document_id", document.id)
    return Document(page_content=text, metadata=data | {"title": title, "source": source}, id=document_id)


def _invalid(name: str, expected: str, data: dict[str, Any]) -> InputError:
    problem = f"must be {expected} in each Document of the retriever, got {data.get(name)!r}"
    advice = "Retrieve Documents that VideoChatTextLoader has made, or add video_id, start and end to their metadata"
    return InputError(f"metadata.{name}", problem, advice)


def _labeled_text(document: Document) -> str:
    """Return the text of a moment, or of an observation with the label that a moment would give it."""
    labels = {one.name: one.label for one in list_modalities()}
    label = labels.get(document.metadata.get("modality", ""))
    return undescribe(document).page_content if label is None else f"{label}: {document.page_content}"


def _is_wanted(document: Document, question: ParsedQuestion) -> bool:
    is_in_video = question.video_ids is None or document.metadata["video_id"] in question.video_ids
    return is_in_video and overlaps(document, question.start, question.end)
