"""A store of many videos: indexing, Chroma, and hybrid search."""

from langchain_videochat.media.subtitles.sidecar_fingerprint import sidecar_fingerprint
from langchain_videochat.store.addresses import VideoSource
from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.index_report import IndexedVideo, IndexReport
from langchain_videochat.store.retriever import VideoTimelineRetriever
from langchain_videochat.store.run_status import FailedSource, RunningSource, RunStatus
from langchain_videochat.store.status import StoreStatus
from langchain_videochat.store.store import VideoTimelineStore

__all__ = [
    "FailedSource",
    "IndexReport",
    "IndexedVideo",
    "RunStatus",
    "RunningSource",
    "StoreStatus",
    "VideoRecord",
    "VideoSource",
    "VideoTimelineRetriever",
    "VideoTimelineStore",
    "sidecar_fingerprint",
]
