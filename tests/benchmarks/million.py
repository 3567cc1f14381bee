"""Search among a million moments: latency, and the time to open their local index. Building them takes an hour."""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
from langchain_core.documents import Document
from numpy.typing import NDArray

from langchain_videochat.store.addresses import VideoSource
from langchain_videochat.store.filters import Filter
from langchain_videochat.store.hits import TimedWords
from langchain_videochat.store.index_reader import IndexReader
from langchain_videochat.store.local_index import IndexedMoment, IndexedVersion, LocalIndex
from langchain_videochat.store.search import Diversity, Query, search
from langchain_videochat.store.words import index_text
from langchain_videochat.timeline import MOMENT_SECONDS
from langchain_videochat.utils.vectors import unit
from tests.benchmarks.media import cached
from tests.benchmarks.report import Table, progress
from tests.benchmarks.search import (
    DIMENSIONS,
    MODALITIES,
    MOMENTS_PER_VIDEO,
    PERCENTAGES,
    QUERIES,
    WARM_UP,
    minute,
    random_video_id,
    random_words,
)
from tests.benchmarks.timing import percentile_95, seconds

MOMENTS = 1_000_000
LINES = 6
"""Observations of a moment, so that it has seven vectors with its own."""

BATCH = 300
"""Vectors that are added to Chroma at once."""

MAX_OPEN_SECONDS = 1.0


def measure(scale: float) -> Table:
    """Search the local index with each kind of filter, alternating with plain queries of Chroma for the same vector."""
    videos = max(20, round(MOMENTS * scale) // MOMENTS_PER_VIDEO)
    moments = videos * MOMENTS_PER_VIDEO
    folder = cached(f"chroma-{moments}-vectors", partial(_in_subprocess, _build_chroma, moments))
    path = cached(f"index-{moments}-moments", partial(_in_subprocess, _build_index, videos)) / "videos.index.sqlite3"
    table = Table(f"Search among {moments:,} moments: 95th percentile", "ms")
    _in_subprocess(_open_and_search, 0, path)  # The first time, it is read from disk.
    opened = _in_subprocess(_open_and_search, 0, path)
    table.cost("open the local index and search", 1000 * opened, "the limit", 1000 * MAX_OPEN_SECONDS, at_most=1)
    _add_searches(table, IndexReader(path), chromadb.PersistentClient(folder).get_collection("videos"), videos)
    on_disk = sum(one.stat().st_size for one in path.parent.iterdir())
    table.notes = [
        f"{moments:,} moments of {MOMENT_SECONDS:g} s in videos of {MOMENTS_PER_VIDEO} moments. The local index, of "
        f"{on_disk / 1e9:.1f} GB, has {1 + LINES} random unit vectors of {DIMENSIONS} dimensions for each, and Chroma "
        "has one. Chroma's plain query does not filter, and returns four neighbors."
    ]
    return table


def _add_searches(table: Table, reader: IndexReader, collection: chromadb.Collection, videos: int) -> None:
    generator = random.Random(1)
    filters: dict[str, Callable[[], dict[str, Any]]] = {
        "one video": lambda: {"video_id": random_video_id(generator, videos)},
        "a minute of all videos": lambda: minute(generator),
        "a common modality": lambda: {"modalities": "screen_text"},
        "a rare modality": lambda: {"modalities": "caption"},
        "no filter": dict,
    }
    progress("  searching")
    plain: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in filters}
    for _ in range(WARM_UP + QUERIES):
        text = " ".join(random_words(generator, 8))
        vector = _vectors(generator.getrandbits(32), 1)[0]
        ask_chroma = partial(collection.query, query_embeddings=vector[None], n_results=4)
        plain.append(1000 * seconds(ask_chroma))
        for name, draw in filters.items():
            taken[name].append(1000 * seconds(partial(_search, reader, text, vector, Filter.of(**draw()))))
    reference = percentile_95(plain[WARM_UP:])
    for name, times in taken.items():
        table.cost(f"search by text, {name}", percentile_95(times[WARM_UP:]), "Chroma", reference, at_most=3)


def _search(reader: IndexReader, text: str, vector: NDArray[np.float32], condition: Filter) -> list[Document]:
    with reader.snapshot() as index:
        query = Query(text, vector)
        return search(index, query, k=4, condition=condition, diversity=Diversity(), min_score=0.0)


def _open_and_search(path: Path, _: int) -> float:
    start = time.perf_counter()
    index = LocalIndex(path)
    _search(IndexReader(index.path), "word1 word2", _vectors(0, 1)[0], Filter())
    return time.perf_counter() - start


def _in_subprocess(work: Callable[[Path, int], Any], size: int, path: Path) -> Any:
    # In another process, so that an index is read from disk.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, path, size).result()


def _build_chroma(folder: Path, moments: int) -> None:
    configuration: Any = {"hnsw": {"space": "cosine", "sync_threshold": 50_000, "batch_size": 1000}}
    client = chromadb.PersistentClient(folder)
    collection = client.create_collection("videos", configuration=configuration, embedding_function=None)
    for first in range(0, moments, BATCH):
        numbers = range(first, min(first + BATCH, moments))
        if first % (100 * BATCH) == 0:
            progress(f"  {first:,} of {moments:,} vectors in Chroma")
        ids = [f"{number:08d}" for number in numbers]
        collection.add(ids, _vectors(first, len(ids)), documents=[f"moment {one}" for one in ids])


def _build_index(folder: Path, videos: int) -> None:
    folder.mkdir()
    index = LocalIndex(folder / "videos.index.sqlite3")
    generator = random.Random(0)
    for number in range(videos):
        if number % 100 == 0:
            progress(f"  {number:,} of {videos:,} videos in the local index")
        video_id = f"{number:016x}"
        source = VideoSource(f"/films/{video_id}.mp4", "")
        moments = _moments(video_id, generator, number)
        index.put_video(video_id, IndexedVersion("saved", video_id, (source,)), moments)
    index.set_token("token")
    reader = IndexReader(index.path)
    with reader.snapshot():
        pass
    reader.pack()


def _moments(video_id: str, generator: random.Random, seed: int) -> Iterator[IndexedMoment]:
    vectors = _vectors(seed, MOMENTS_PER_VIDEO * (1 + LINES)).reshape(MOMENTS_PER_VIDEO, 1 + LINES, -1)
    scaled = 127 * vectors / np.abs(vectors).max(axis=2, keepdims=True)
    for number, quantized in enumerate(np.rint(scaled).astype(np.int8)):
        names = generator.choices(MODALITIES, PERCENTAGES)[0]
        start = number * MOMENT_SECONDS
        texts = [" ".join(random_words(generator, 10)) for _ in range(LINES)]
        times = [start + line * MOMENT_SECONDS / LINES for line in range(LINES)]
        rows = zip(times, texts, range(LINES), strict=True)
        observations = [TimedWords(at, at + 4, names[line % len(names)], index_text(text)) for at, text, line in rows]
        metadata = {
            "title": video_id,
            "video_id": video_id,
            "source": f"/films/{video_id}.mp4",
            "start": start,
            "end": start + MOMENT_SECONDS,
            "modalities": ",".join(names),
        }
        document = Document(page_content="\n".join([video_id, *texts]), metadata=metadata)
        yield IndexedMoment(document, observations, quantized)


def _vectors(seed: int, count: int) -> NDArray[np.float32]:
    """Return random unit vectors [vectors, dimensions]."""
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSIONS), np.float32)
    return unit(vectors)
