"""Indexing a talk with the profile `lite`, in total and by part, and one that is spoken with `talk`."""

import tempfile
from collections import defaultdict
from pathlib import Path

from langchain_videochat import VideoTimelineStore
from langchain_videochat.media import VideoInfo, probe, video_id
from langchain_videochat.perception import create_perceivers, keep_models, perceive
from langchain_videochat.perception.streams import open_streams
from langchain_videochat.store.embeddings import SentenceTransformerEmbeddings
from langchain_videochat.timeline import Timeline
from langchain_videochat.utils.interval import Interval
from tests.benchmarks.media import SLIDE_SECONDS, talk, with_sound
from tests.benchmarks.real_models import talk_profile
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import Seconds, seconds, time_method

TALK_SECONDS = 600


def measure(scale: float) -> Table:
    """Index talks of ten minutes."""
    length = max(2 * SLIDE_SECONDS, round(TALK_SECONDS * scale))
    table = Table("Indexing: a 720p talk with `lite` and `talk`, one run each", "s")
    _shares(talk(2 * SLIDE_SECONDS))
    _add_talk(table, "slides only", talk(length))
    _add_talk(table, "with a moving speaker", talk(length, speaker=True))
    _add_talk(table, "speaker, keyframes 10 s apart", talk(length, gop=10, speaker=True))
    spoken = with_sound(talk(length, speaker=True))
    with keep_models():
        progress("  speech")
        _index(spoken, talk_profile())
        table.speed(
            "**spoken, `talk`**", _index(spoken, talk_profile()), "playing it", probe(spoken).duration, at_least=5
        )
    table.notes = [
        f"{length} s of video at 25 frames per second, with a new slide of seven lines every {SLIDE_SECONDS} s and "
        "keyframes 2 s apart unless stated otherwise. The ratio of a talk is seconds of video per second; the goal of "
        "`lite` beyond the target is 20. For `talk`, a sentence of four seconds is spoken every five, and Whisper base "
        "transcribes it. All models were loaded before. Parts are timed in a second run of the same calls: decoding "
        "alone, storing without embedding. In the total they overlap.",
    ]
    return table


def _add_talk(table: Table, name: str, video: Path) -> None:
    progress(f"  {name}")
    total = _index(video, "lite")
    table.speed(f"**{name}**", total, "playing it", probe(video).duration, at_least=12)
    shares = _shares(video)
    for part, share in shares.items():
        table.cost(f"{name}: {part}", share, "its parts together", sum(shares.values()))


def _index(video: Path, profile: str | Path) -> float:
    """Return the seconds that indexing takes."""
    with tempfile.TemporaryDirectory() as folder:
        store = VideoTimelineStore(folder, embedding=_loaded_embeddings())
        return seconds(lambda: store.index(video, profile=profile, show_progress=False))


def _shares(video: Path) -> Seconds:
    """Run the parts of indexing one by one, and time each."""
    taken: Seconds = defaultdict(float)
    perceivers = create_perceivers("lite")
    for perceiver in perceivers:
        for method in ("perceive", "finish"):
            time_method(perceiver, method, taken, "scenes" if perceiver.modality == "scene" else "OCR")
    embedding = _loaded_embeddings()
    facts = probe(video)
    taken["decoding"] = seconds(lambda: _read(video, facts))
    timeline = Timeline.of(facts, video_id(video), perceive(video, perceivers))
    with tempfile.TemporaryDirectory() as folder:
        store = VideoTimelineStore(folder, embedding=embedding)
        time_method(embedding, "embed_documents", taken, "embedding")
        adding = seconds(lambda: store.add(timeline))
    taken["storing"] = adding - taken["embedding"]
    return taken


def _read(video: Path, facts: VideoInfo) -> None:
    for stream in open_streams(video, facts, create_perceivers("lite"), Interval(0.0, facts.duration)):
        for _ in stream.chunks:
            pass


def _loaded_embeddings() -> SentenceTransformerEmbeddings:
    embedding = SentenceTransformerEmbeddings()
    embedding.embed_query("This loads the model.")
    return embedding
