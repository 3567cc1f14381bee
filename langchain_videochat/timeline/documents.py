"""Observations and moments as LangChain Documents."""

from typing import Literal

from langchain_core.documents import Document

from langchain_videochat.media import VideoInfo
from langchain_videochat.perception.observation import Observation
from langchain_videochat.timeline.citation import citation
from langchain_videochat.timeline.moments import Moment

Granularity = Literal["observation", "moment"]
"""The content of one Document: an Observation, or a moment with all its Observations."""


def observation_document(video: VideoInfo, video_id: str, observation: Observation) -> Document:
    """Convert an Observation to a Document; metadata fields that are unknown are left out."""
    optional = {
        "score": observation.score,
        "language": observation.language,
        "perceiver": observation.source,
        "speaker": observation.speaker,
    }
    return Document(
        page_content=observation.attributed_text,
        metadata=_metadata(video, video_id, observation.start, observation.end, observation.modality)
        | {key: value for key, value in optional.items() if value is not None},
    )


def moment_document(video: VideoInfo, video_id: str, moment: Moment) -> Document:
    """Convert a moment to a Document; the metadata field `modalities` lists its modalities, separated by commas."""
    return Document(
        page_content=moment.text,
        metadata=_metadata(video, video_id, moment.start, moment.end, "moment")
        | {"modalities": ",".join(moment.modalities)},
    )


def _metadata(video: VideoInfo, video_id: str, start: float, end: float, modality: str) -> dict[str, str | float]:
    return {
        "source": video.source,
        "video_id": video_id,
        "start": round(start, 3),
        "end": round(end, 3),
        "modality": modality,
        "citation": citation(video.source, start, end),
        "title": video.title,
    }
