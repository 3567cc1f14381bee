"""Latency of searching 100,000 moments by text and by picture, and of reading a minute of a timeline."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from zlib import crc32

import chromadb
import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_videochat import VideoTimelineStore
from langchain_videochat.media import VideoInfo
from langchain_videochat.models.weights import Weights
from langchain_videochat.perception import Observation
from langchain_videochat.perception.frame_vectors import dump_vector
from langchain_videochat.perception.visual_models import load_visual_model
from langchain_videochat.timeline import MOMENT_SECONDS, Timeline
from tests.benchmarks.media import cached
from tests.benchmarks.report import Table, progress
from tests.benchmarks.timing import percentile_95, seconds
from tests.tiny_vision import tiny_siglip

MOMENTS = 100_000
MOMENTS_PER_VIDEO = 100
QUERIES = 200
WARM_UP = 20
DIMENSIONS = 384
FRAMES_PER_MOMENT = 4
VISUAL_DIMENSIONS = 768
MAX_READ_MS = 20.0

LENGTHS = {"ten minutes": 20, "ten hours": 1200}
"""Number of moments of the two videos whose timelines are read."""

VOCABULARY = [f"word{number}" for number in range(50_000)]
CUMULATIVE_FREQUENCIES = list(accumulate(1 / (number + 2.7) for number in range(len(VOCABULARY))))
"""Frequencies of the words after Zipf's law: a few words are in most moments, and most words in a few."""

MODALITIES: list[tuple[str, ...]] = [("screen_text",), ("screen_text", "subtitle"), ("subtitle",), ("caption",)]
PERCENTAGES = [60, 20, 19, 1]
"""Modalities of a moment, and the percentage of moments that have them."""


class RandomEmbeddings(Embeddings):
    """Embeds each text as a random unit vector, seeded by the text."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Embed a text."""
        vector = np.random.default_rng(crc32(text.encode())).standard_normal(DIMENSIONS)
        return [float(value) for value in vector / np.linalg.norm(vector)]


def measure(scale: float) -> Table:
    """Search with each kind of filter, alternating with plain queries of Chroma for the same vector."""
    videos = max(20, round(MOMENTS * scale) // MOMENTS_PER_VIDEO)
    folder = cached(
        f"store-{videos * MOMENTS_PER_VIDEO}-moments-with-frames", partial(_build_in_subprocess, videos=videos)
    )
    siglip = cached(f"siglip-{VISUAL_DIMENSIONS}", partial(tiny_siglip, dimensions=VISUAL_DIMENSIONS))
    store = VideoTimelineStore(folder, embedding=RandomEmbeddings())
    visual_store = VideoTimelineStore(folder, embedding=RandomEmbeddings(), visual_embedding=siglip)
    table = Table("Search: 95th percentile", "ms")
    collection = chromadb.PersistentClient(folder).get_collection("videos")
    kinds: dict[str, Callable[..., object]] = {
        "by text": lambda query, _, **condition: store.search(query, **condition),
        "by text and picture": lambda query, frame, **condition: store.search(query, like=frame, **condition),
        "by picture": lambda _, frame, **condition: store.search(like=frame, **condition),
        "by text, also in frames": lambda query, _, **condition: visual_store.search(query, **condition),
    }
    for kind, search in kinds.items():
        _add_searches(table, kind, search, collection, videos)
    _add_reads(table, store)
    embedding = _embedding_milliseconds(siglip)
    table.notes = [
        f"{videos * MOMENTS_PER_VIDEO + sum(LENGTHS.values()):,} moments of {MOMENT_SECONDS:g} s with random unit "
        f"vectors of {DIMENSIONS} dimensions, mostly in videos of {MOMENTS_PER_VIDEO} moments, with "
        f"{FRAMES_PER_MOMENT} frames of {VISUAL_DIMENSIONS} dimensions each; {QUERIES} queries of eight words each. A "
        "time filter is one minute. Our search by text also ranks by words. Pictures are frames of the store. For the "
        f"search in frames, a tiny visual model embeds the text, which takes {embedding:.1f} ms. Chroma's plain query "
        "does not filter, and returns four neighbors."
    ]
    return table


def _milliseconds(work: Callable[[], object]) -> float:
    return seconds(work) * 1000


def _add_searches(
    table: Table, kind: str, search: Callable[..., object], collection: chromadb.Collection, videos: int
) -> None:
    generator = random.Random(1)
    filters: dict[str, Callable[[], dict[str, Any]]] = {
        "one video": lambda: {"video_id": random_video_id(generator, videos)},
        "a minute of one video": lambda: {"video_id": random_video_id(generator, videos)} | minute(generator),
        "a minute of all videos": lambda: minute(generator),
        "a common modality": lambda: {"modalities": "screen_text"},
        "a rare modality": lambda: {"modalities": "caption"},
        "no filter": dict,
    }
    embed = RandomEmbeddings().embed_query
    progress(f"  searching {kind}")
    plain: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in filters}
    for _ in range(WARM_UP + QUERIES):
        query = " ".join(random_words(generator, 8))
        vectors = np.array([embed(query)], np.float32)
        plain.append(_milliseconds(partial(collection.query, query_embeddings=vectors, n_results=4)))
        for name, draw in filters.items():
            frame = (random_video_id(generator, videos), generator.uniform(0, MOMENTS_PER_VIDEO * MOMENT_SECONDS))
            taken[name].append(_milliseconds(partial(search, query, frame, **draw())))
    reference = percentile_95(plain[WARM_UP:])
    for name, times in taken.items():
        amount = percentile_95(times[WARM_UP:])
        table.cost(f"search {kind}, {name}", amount, "Chroma's plain query", reference, at_most=3)


def _embedding_milliseconds(siglip: Path) -> float:
    model = load_visual_model(Weights(str(siglip)))
    generator = random.Random(3)
    texts = [" ".join(random_words(generator, 8)) for _ in range(WARM_UP + QUERIES)]
    return percentile_95([_milliseconds(partial(model.embed_texts, [text])) for text in texts][WARM_UP:])


def _add_reads(table: Table, store: VideoTimelineStore) -> None:
    progress("  reading timelines")
    generator = random.Random(2)
    taken: dict[str, list[float]] = {name: [] for name in LENGTHS}
    for _ in range(WARM_UP + QUERIES):
        for name, moments in LENGTHS.items():
            start = generator.uniform(0, moments * MOMENT_SECONDS - 60)
            taken[name].append(_milliseconds(partial(store.timeline, name, start, start + 60)))
    for name, times in taken.items():
        table.cost(f"a minute of {name}", percentile_95(times[WARM_UP:]), "the limit", MAX_READ_MS, at_most=1)


def _build_in_subprocess(folder: Path, videos: int) -> None:
    # In another process, so that a new store is read from disk like an existing one.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(_build, folder, videos).result()


def _build(folder: Path, videos: int) -> None:
    store = VideoTimelineStore(folder, embedding=RandomEmbeddings())
    generator = random.Random(0)
    lengths = {_video_id(number): MOMENTS_PER_VIDEO for number in range(videos)} | LENGTHS
    for number, (video_id, moments) in enumerate(lengths.items()):
        if number % 100 == 0:
            progress(f"  {number} of {len(lengths)} videos stored")
        store.add(make_timeline(video_id, moments, generator))
    # The first search builds the local index.
    store.search("word1")


def make_timeline(video_id: str, moments: int, generator: random.Random) -> Timeline:
    """Generate a video with six lines of ten words, and some frames, in each moment."""
    video = VideoInfo(f"/films/{video_id}.mp4", video_id, moments * MOMENT_SECONDS, 1280, 720)
    observations = []
    for number in range(moments):
        modalities = generator.choices(MODALITIES, PERCENTAGES)[0]
        for line in range(6):
            start = number * MOMENT_SECONDS + line * MOMENT_SECONDS / 6
            text = " ".join(random_words(generator, 10))
            observations.append(Observation(start, start + 4, modalities[line % len(modalities)], text))
    observations += _frames(moments, crc32(video_id.encode()))
    return Timeline.of(video, video_id, observations)


def _frames(moments: int, seed: int) -> Iterator[Observation]:
    seconds = MOMENT_SECONDS / FRAMES_PER_MOMENT
    vectors = np.random.default_rng(seed).standard_normal((moments * FRAMES_PER_MOMENT, VISUAL_DIMENSIONS))
    for place, vector in enumerate(vectors.astype(np.float32)):
        dumped = dump_vector(vector / np.linalg.norm(vector))
        yield Observation(place * seconds, (place + 1) * seconds, "visual", "", vector=dumped)


def random_words(generator: random.Random, count: int) -> list[str]:
    """Draw words with their frequencies."""
    return generator.choices(VOCABULARY, cum_weights=CUMULATIVE_FREQUENCIES, k=count)


def minute(generator: random.Random) -> dict[str, float]:
    """Draw a minute of a video, as arguments of a search."""
    start = generator.uniform(0, MOMENTS_PER_VIDEO * MOMENT_SECONDS - 60)
    return {"start": start, "end": start + 60}


def random_video_id(generator: random.Random, videos: int) -> str:
    """Draw the id of one of the videos."""
    return _video_id(generator.randrange(videos))


def _video_id(number: int) -> str:
    return f"{number:016x}"
