"""Observations and moments as LangChain Documents."""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Literal, get_args

from langchain_core.documents import Document

from langchain_videochat.errors import InputError
from langchain_videochat.media import VideoInfo
from langchain_videochat.perception.observation import Observation
from langchain_videochat.timeline.citation import citation
from langchain_videochat.timeline.moments import Moment

Granularity = Literal["observation", "moment"]
"""The content of one Document: an Observation, or a moment with all its Observations."""


def check_granularity(granularity: str) -> None:
    """Check that a granularity exists.

    Raises:
        InputError: It does not.
    """
    if granularity not in get_args(Granularity):
        advice = f"Choose one of {', '.join(get_args(Granularity))}"
        raise InputError("granularity", f"unknown granularity {granularity!r}", advice)


def observation_documents(video: VideoInfo, video_id: str, observations: Iterable[Observation]) -> Iterator[Document]:
    """Convert Observations, which must be in time order, to Documents one by one.

    Metadata fields that are unknown are left out, and so are observations without text.
    """
    texts = (one for one in observations if one.text)
    for _, simultaneous in groupby(texts, key=lambda one: _milliseconds(one.start)):
        counts: Counter[tuple[int, str, str]] = Counter()
        for one in simultaneous:
            # Two dogs at one time, in different places: only their order distinguishes them.
            content = (_milliseconds(one.end), one.modality, one.attributed_text)
            yield _observation_document(video, video_id, one, counts[content])
            counts[content] += 1


def moment_document(video: VideoInfo, video_id: str, moment: Moment) -> Document:
    """Convert a moment to a Document; the metadata field `modalities` lists its modalities, separated by commas."""
    metadata = _metadata(video, video_id, moment.start, moment.end, "moment")
    return identify_moment(
        Document(page_content=moment.text, metadata=metadata | {"modalities": ",".join(moment.modalities)})
    )


def identify_moment(moment: Document) -> Document:
    """Return the Document of a moment with its id, which follows from `video_id`, `start` and `end` in its metadata."""
    return _identify(moment, "moment")


def moment_key(moment: Document) -> tuple[str, float]:
    """Return what identifies a moment in a store: its video and its start in seconds."""
    return moment.metadata["video_id"], moment.metadata["start"]


def with_metadata(document: Document, added: Mapping[str, Any]) -> Document:
    """Return a Document with more metadata, sorted by name."""
    metadata = dict(sorted({**document.metadata, **added}.items()))
    return Document(page_content=document.page_content, metadata=metadata, id=document.id)


def _observation_document(video: VideoInfo, video_id: str, observation: Observation, number: int) -> Document:
    optional = {
        "score": observation.score,
        "language": observation.language,
        "perceiver": observation.source,
        "speaker": observation.speaker,
    }
    metadata = _metadata(video, video_id, observation.start, observation.end, observation.modality)
    text = observation.attributed_text
    document = Document(
        page_content=text,
        metadata=metadata | {key: value for key, value in optional.items() if value is not None},
    )
    return _identify(document, observation.modality, text, str(number))


def _metadata(video: VideoInfo, video_id: str, start: float, end: float, modality: str) -> dict[str, Any]:
    return {
        "source": video.source,
        "video_id": video_id,
        "start": round(start, 3),
        "end": round(end, 3),
        "modality": modality,
        "citation": citation(video.source, start, end),
        "title": video.title,
    }


def _identify(document: Document, *content: str) -> Document:
    """Return a Document with an id that follows from its video, its times, and what distinguishes it at these times.

    It is also in the metadata, because LangChain's EnsembleRetriever looks for it there. A UUID, because some vector
    stores take nothing else; not named "id" in the metadata, because some reserve that name.
    """
    data = document.metadata
    times = (str(_milliseconds(data["start"])), str(_milliseconds(data["end"])))
    document_id = str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("videochat:", data["video_id"], *times, *content))))
    return Document(page_content=document.page_content, metadata=data | {"document_id": document_id}, id=document_id)


def _milliseconds(seconds: float) -> int:
    return round(round(seconds, 3) * 1000)  # as in the metadata
