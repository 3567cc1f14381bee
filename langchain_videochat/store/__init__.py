"""A store of many videos: indexing, Chroma, and hybrid search."""

from langchain_videochat.media.subtitles.sidecar_fingerprint import sidecar_fingerprint
from langchain_videochat.store.addresses import VideoSource
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.index_report import IndexedVideo, IndexReport
from langchain_videochat.store.retriever import VideoTimelineRetriever
from langchain_videochat.store.store import VideoTimelineStore

__all__ = [
    "IndexReport",
    "IndexedVideo",
    "VideoRecord",
    "VideoSource",
    "VideoTimelineRetriever",
    "VideoTimelineStore",
    "sidecar_fingerprint",
]
