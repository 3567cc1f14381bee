"""An embedding model for tests, and timelines to search."""

import hashlib
import math
import re

from langchain_core.embeddings import Embeddings
from langchain_core.load.serializable import Serializable

from langchain_videochat.media import VideoInfo
from langchain_videochat.perception import Observation
from langchain_videochat.timeline import Timeline


class BagOfWords(Embeddings):
    """Embeds texts as word counts, in the dimension given by the hash of each word."""

    def __init__(self, size: int = 64) -> None:
        self.size = size

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector = [1e-3] * self.size
        for word in re.findall(r"\w+", text.lower()):
            vector[int(hashlib.sha256(word.encode()).hexdigest(), 16) % self.size] += 1
        length = math.hypot(*vector)
        return [value / length for value in vector]


class SerializableWords(Serializable, Embeddings):
    """Embeds texts as `BagOfWords` does, and can be serialized by LangChain."""

    size: int = 64

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return BagOfWords(self.size).embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        return BagOfWords(self.size).embed_query(text)


def make_timeline(
    video_id: str, *observations: Observation, duration: float = 0.0, source: str | None = None
) -> Timeline:
    """Build a timeline of the given observations."""
    source = source or f"/films/{video_id}.mp4"
    duration = max([duration, *(one.end for one in observations)])
    video = VideoInfo(source=source, title=video_id, duration=duration, width=640, height=360)
    return Timeline.of(video, video_id, observations)


def make_slides(video_id: str, *texts: str, seconds: float = 30.0) -> Timeline:
    """Build a timeline with one scene, and so one moment, for each text on screen."""
    times = [(place * seconds, (place + 1) * seconds, text) for place, text in enumerate(texts)]
    shown = [Observation(start, end, "screen_text", text) for start, end, text in times]
    scenes = [Observation(start, end, "scene", f"scene {place}") for place, (start, end, _) in enumerate(times)]
    return make_timeline(video_id, *shown, *scenes)


def make_speech(video_id: str, *sentences: str, seconds: float = 5.0) -> Timeline:
    """Build a timeline of sentences that are said one after the other."""
    times = [place * seconds for place in range(len(sentences))]
    said = [Observation(start, start + seconds, "speech", text) for start, text in zip(times, sentences, strict=True)]
    return make_timeline(video_id, *said)
