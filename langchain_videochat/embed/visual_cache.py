"""Encoded videos and images, cached so that each segment is read and encoded once."""

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Generic, TypeVar, cast
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from cachetools import LRUCache, TTLCache
from tqdm.auto import tqdm

from langchain_videochat.embed.conversation import (
    Audio,
    Image,
    Video,
    Visual,
    image_size,
    read_audio,
    read_image,
    read_segments,
    sampling_times,
)
from langchain_videochat.embed.errors import NotEnoughMemoryError, is_out_of_memory
from langchain_videochat.embed.media_refs import DATA_URL, MediaRef, file_state, opened
from langchain_videochat.media import media_duration, probe, video_id
from langchain_videochat.media.sources import is_web_address
from langchain_videochat.utils.interval import Interval

VisualT = TypeVar("VisualT", bound=Visual)

MAX_BYTES = 2**30
"""Size limit of the cache, in CPU memory: 1,300 videos or segments of a 7B model in bfloat16."""

SOURCE_TTL = 600
"""Seconds for which the content behind a path or URL is remembered. A URL is then downloaded again."""

MAX_SOURCES = 1024

PROGRESS_DELAY = 2.0
"""Seconds before a progress bar appears."""


@dataclass(frozen=True)
class MediaFacts:
    """Metadata of a video, an image or audio."""

    video_id: str
    """Hash of its content."""

    duration: float
    """In seconds; 0 for an image."""

    size: tuple[int, int]
    """Width and height as displayed, in pixels."""

    has_audio: bool = False
    """Whether it has audio."""


@dataclass(frozen=True)
class MediaFormat:
    """How the segments of a video, an image or audio are read."""

    num_frames: int = 1
    """Number of frames per segment."""

    frame_size: int | None = None
    """Length of the shorter side to which frames or an image are scaled down, in pixels; None keeps their size."""

    sampling_rate: int | None = None
    """Samples per second of the audio; None leaves the audio out."""


@dataclass(frozen=True)
class _Content:
    """Identity of the content behind a path or URL."""

    video_id: str
    download: UUID | None
    """Set if the content is from a URL, which may serve another file at the next download."""


@dataclass(frozen=True)
class _Key:
    content: _Content
    segment: Interval
    format: MediaFormat


class LazyFile:
    """A file that is opened, or downloaded, when its path is first used; see `opened` for the errors."""

    def __init__(self, media: MediaRef, state: Hashable, stack: ExitStack) -> None:
        self.media = media
        self.state = state
        self._stack = stack
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """Path of the local file."""
        # Python 3.11's cached_property has one lock for all files, which would stay locked in a forked process.
        if self._path is None:
            self._path = self._stack.enter_context(opened(self.media))
        return self._path


class VisualCache(Generic[VisualT]):
    """Encodes videos and images, and caches the results by content, segment and number of frames.

    A further question about a video does not open it again. All methods may raise the errors of `opened`, and
    MediaError if a file cannot be read as a video or image.

    Args:
        encode: Encodes the frames of a video or segment, or an image, given a key that identifies its content; called
            by one thread at a time.
    """

    def __init__(self, encode: Callable[[Video | Image, Hashable], VisualT]) -> None:
        self._encode = encode
        self.reset()

    def reset(self) -> None:
        """Drop all results. Needed in a forked process, in which threads that hold the locks don't exist."""
        self._contents: TTLCache[Hashable, _Content] = TTLCache(MAX_SOURCES, SOURCE_TTL)
        self._facts: LRUCache[tuple[_Content, str], MediaFacts] = LRUCache(MAX_SOURCES)
        self._encoded: LRUCache[_Key, VisualT | Audio] = LRUCache(MAX_BYTES, lambda one: one.nbytes)
        self._lock = threading.Lock()
        self._file_locks: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()
        self._encoder_lock = threading.Lock()

    @contextmanager
    def open(self, media: MediaRef) -> Iterator[LazyFile]:
        """Provide a video, image or audio. Other threads wait for it, and then find it in the cache."""
        state = _state(media)
        with self._lock:
            file_lock = self._file_locks.setdefault(state, threading.Lock())
        with file_lock, ExitStack() as stack:
            yield LazyFile(media, state, stack)

    def probe(self, file: LazyFile) -> MediaFacts:
        """Return the metadata of a video, an image or audio."""
        content = self._content(file)
        with self._lock:
            facts: MediaFacts | None = self._facts.get((content, file.media.kind))
        if facts is None:
            facts = _read_facts(file, content.video_id)
            with self._lock:
                self._facts[content, file.media.kind] = facts
        return facts

    def known_facts(self, file: LazyFile) -> MediaFacts | None:
        """Return the metadata of a video, an image or audio; None if it would have to be downloaded."""
        if not is_web_address(file.media.source):
            return self.probe(file)
        with self._lock:
            content: _Content | None = self._contents.get(file.state)
            return None if content is None else self._facts.get((content, file.media.kind))

    def frame_times(
        self, file: LazyFile, segments: Sequence[Interval], media_format: MediaFormat
    ) -> list[tuple[float, ...]]:
        """Return the timestamps of the frames of each segment: exact if it is encoded, else where they are sampled."""
        with self._lock:
            content: _Content | None = self._contents.get(file.state)
            encoded = {
                segment: self._encoded.get(_Key(content, segment, media_format)) for segment in segments if content
            }
        times = {segment: one.times for segment, one in encoded.items() if one is not None}
        return [times.get(segment) or sampling_times(segment, media_format.num_frames) for segment in segments]

    def encode(self, file: LazyFile, media_format: MediaFormat, interval: Interval | None = None) -> VisualT | Audio:
        """Encode an image, or read an interval of audio.

        Raises:
            NotEnoughMemoryError: Out of memory while encoding.
        """
        return self._find_or_encode(file, [_Key(self._content(file), interval or Interval(), media_format)])[0]

    def encode_segments(
        self,
        file: LazyFile,
        segments: Sequence[Interval],
        media_format: MediaFormat,
        *,
        show_progress: bool = False,
    ) -> list[VisualT]:
        """Encode each segment of a video. The segments are in time order.

        Raises:
            NotEnoughMemoryError: Out of memory while encoding one segment.
        """
        content = self._content(file)
        keys = [_Key(content, segment, media_format) for segment in segments]
        return cast("list[VisualT]", self._find_or_encode(file, keys, show_progress))

    def _content(self, file: LazyFile) -> _Content:
        with self._lock:
            content: _Content | None = self._contents.get(file.state)
        if content is None:
            content = _Content(video_id(file.path), uuid4() if is_web_address(file.media.source) else None)
            with self._lock:
                self._contents[file.state] = content
        return content

    def _find_or_encode(
        self, file: LazyFile, keys: Sequence[_Key], show_progress: bool = False
    ) -> list[VisualT | Audio]:
        with self._lock:
            encoded = {key: self._encoded[key] for key in keys if key in self._encoded}
        missing = [key for key in keys if key not in encoded]
        try:
            for key, media in zip(missing, self._read(file, missing, show_progress), strict=True):
                with self._encoder_lock:
                    encoded[key] = media if isinstance(media, Audio) else self._encode(media, key)
                with self._lock, suppress(ValueError):  # too large to be kept
                    self._encoded[key] = encoded[key]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            problem = f"out of memory while encoding {keys[0].format.num_frames} frames"
            raise NotEnoughMemoryError("num_frames", problem, "Use fewer frames per video") from None
        return [encoded[key] for key in keys]

    def _read(self, file: LazyFile, keys: Sequence[_Key], show_progress: bool) -> Iterable[Video | Image | Audio]:
        if not keys:
            return ()
        segments, form = [key.segment for key in keys], keys[0].format
        if file.media.kind == "image":
            return [read_image(file.path, size=form.frame_size)]
        if file.media.kind == "audio":
            return [read_audio(file.path, segments[0], form.sampling_rate or 0)]
        videos = read_segments(
            file.path, segments, form.num_frames, size=form.frame_size, sampling_rate=form.sampling_rate
        )
        title = f"Encoding {file.path.name}"
        return tqdm(videos, title, len(keys), leave=False, delay=PROGRESS_DELAY, disable=not show_progress)


def _read_facts(file: LazyFile, video_id: str) -> MediaFacts:
    if file.media.kind == "image":
        return MediaFacts(video_id, 0.0, image_size(file.path))
    if file.media.kind == "audio":
        return MediaFacts(video_id, media_duration(file.path), (0, 0), has_audio=True)
    video = probe(file.path)
    return MediaFacts(video_id, video.duration, (video.width, video.height), video.has_audio)


def _state(media: MediaRef) -> Hashable:
    """Return a key that identifies a file or URL without opening it, and changes when a local file changes."""
    if DATA_URL.match(media.source):
        return sha256(media.source.encode()).digest()
    return (media.source, media.allowed_hosts) if is_web_address(media.source) else file_state(media.source)
