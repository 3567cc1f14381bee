"""Many videos in one place: indexing, Chroma, words and times, search."""

from langchain_videochat.store.catalogue import VideoRecord
from langchain_videochat.store.indexing import IndexedVideo, IndexReport
from langchain_videochat.store.retriever import VideoTimelineRetriever
from langchain_videochat.store.store import VideoTimelineStore

__all__ = ["IndexReport", "IndexedVideo", "VideoRecord", "VideoTimelineRetriever", "VideoTimelineStore"]
