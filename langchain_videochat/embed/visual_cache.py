"""What a model sees in videos and images: it looks at each stretch once, and the tokens are kept."""

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

import torch
from cachetools import LRUCache, TTLCache
from tqdm.auto import tqdm

from langchain_videochat.embed.conversation import Image, Stretch, Video, VisualTokens, read_image, read_stretches
from langchain_videochat.embed.errors import TooManyFramesError, is_out_of_memory
from langchain_videochat.embed.media_refs import DATA_ADDRESS, MediaRef, count_frames, file_state, opened
from langchain_videochat.embed.modeling_videochat import VideoChatEmbedForConditionalGeneration
from langchain_videochat.embed.processing_videochat import VideoChatEmbedProcessor
from langchain_videochat.media import probe, video_id
from langchain_videochat.media.sources import is_web_address

KEPT_BYTES = 2**30
"""Bytes of visual tokens that are kept, never in a graphics card's memory: those of 1,300 videos or segments with a
7B model in bfloat16."""

FRESH_SECONDS = 600
"""So long a file or web address is known; what the address shows is fetched again then."""

KNOWN_FILES = 1024

PROGRESS_DELAY = 2.0
"""Seconds after which a progress bar is shown."""


@dataclass(frozen=True)
class VideoFacts:
    """What is known of a video before it is watched."""

    video_id: str
    """Of its content."""

    duration: float
    """Seconds."""


@dataclass(frozen=True)
class _Source:
    """What is known of a file or address."""

    video_id: str
    visit: UUID | None
    """Of an address: what it shows may be another file at the next one."""


@dataclass(frozen=True)
class _Key:
    """What visual tokens are made of."""

    source: _Source
    stretch: Stretch | None = None
    num_frames: int = 1


class VisualCache:
    """Looks at videos and images for a model.

    What it makes of them is kept by content, stretch and number of frames, so that a further question about a video
    does not open it again.

    Args:
        model: It makes the tokens.
        processor: It makes the pixels.
    """

    def __init__(self, model: VideoChatEmbedForConditionalGeneration, processor: VideoChatEmbedProcessor) -> None:
        self._model = model
        self._processor = processor
        self._sources: TTLCache[Hashable, _Source] = TTLCache(KNOWN_FILES, FRESH_SECONDS)
        self._durations: LRUCache[_Source, float] = LRUCache(KNOWN_FILES)
        self._tokens: LRUCache[_Key, VisualTokens] = LRUCache(KEPT_BYTES, lambda tokens: tokens.embeddings.nbytes)
        self._known = threading.Lock()
        self._looking: WeakValueDictionary[Hashable, threading.Lock] = WeakValueDictionary()
        self._encoding = threading.Lock()

    def look(self, image: MediaRef) -> VisualTokens:
        """Look at an image.

        Raises:
            SourceError: There is no such file, or the address is refused or fails.
            MediaError: It cannot be read as an image.
            InputError: Its data is no base64 or too large.
        """
        state = _state(image)
        with self._alone(image, state) as path:
            key = _Key(self._source(image, state, path))
            return self._view([key], lambda _: [read_image(path())])[0]

    def watch(
        self, video: MediaRef, plan: Callable[[VideoFacts], Sequence[Stretch]], *, show_progress: bool = False
    ) -> list[VisualTokens]:
        """Watch stretches of a video.

        Args:
            video: Which.
            plan: Decides which stretches, in the order of time.
            show_progress: Show a progress bar where it takes long.

        Raises:
            SourceError: There is no such file, or the address is refused or fails.
            MediaError: It cannot be read as a video.
            InputError: Its data is no base64 or too large, or too many frames are asked for.
            TooManyFramesError: The memory does not suffice for so many frames.
        """

        def read(missing: Sequence[_Key]) -> Iterable[Video]:
            stretches = [key.stretch for key in missing if key.stretch is not None]
            videos = read_stretches(path(), stretches, num_frames)
            name, is_quiet = path().name, not show_progress
            return tqdm(videos, f"Watching {name}", len(missing), False, delay=PROGRESS_DELAY, disable=is_quiet)

        state = _state(video)
        with self._alone(video, state) as path:
            source = self._source(video, state, path)
            stretches = plan(VideoFacts(source.video_id, self._duration(source, path)))
            num_frames = count_frames(video, stretches[0])
            return self._view([_Key(source, stretch, num_frames) for stretch in stretches], read)

    @contextmanager
    def _alone(self, visual: MediaRef, state: Hashable) -> Iterator[Callable[[], Path]]:
        """Let one thread at a time look at something, which is opened when its path is first asked for."""
        with self._known:
            looking = self._looking.setdefault(state, threading.Lock())
        with looking, ExitStack() as stack:
            yield cache(lambda: stack.enter_context(opened(visual)))

    def _source(self, visual: MediaRef, state: Hashable, path: Callable[[], Path]) -> _Source:
        with self._known:
            source: _Source | None = self._sources.get(state)
        if source is None:
            source = _Source(video_id(path()), uuid4() if is_web_address(visual.source) else None)
            with self._known:
                self._sources[state] = source
        return source

    def _duration(self, source: _Source, path: Callable[[], Path]) -> float:
        with self._known:
            duration: float | None = self._durations.get(source)
        if duration is None:
            duration = probe(path()).duration
            with self._known:
                self._durations[source] = duration
        return duration

    def _view(
        self, keys: Sequence[_Key], read: Callable[[Sequence[_Key]], Iterable[Video | Image]]
    ) -> list[VisualTokens]:
        """Give the tokens of each key, of which those that are missing are made from what `read` gives for them."""
        with self._known:
            tokens = {key: self._tokens[key] for key in keys if key in self._tokens}
        missing = [key for key in keys if key not in tokens]
        try:
            for key, shown in zip(missing, read(missing) if missing else (), strict=True):
                tokens[key] = self._encode(shown, key)
                with self._known:
                    self._tokens[key] = tokens[key]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            problem = f"the memory does not suffice to look at {keys[0].num_frames} frames at once"
            raise TooManyFramesError("num_frames", problem, "Show fewer frames of each video") from None
        return [tokens[key] for key in keys]

    def _encode(self, shown: Video | Image, key: _Key) -> VisualTokens:
        with self._encoding, torch.inference_mode():
            pixels = self._processor.pixels(shown, self._model.device).to(self._model.dtype)
            embeddings = self._model.get_video_features(pixels.unsqueeze(0))[0].cpu()
        if isinstance(shown, Image):
            return VisualTokens("image", embeddings, key)
        return VisualTokens("video", embeddings, key, shown.times)


def _state(visual: MediaRef) -> Hashable:
    """Tell what is known of a file or address without opening it; it changes when a local file does."""
    if DATA_ADDRESS.match(visual.source):
        return sha256(visual.source.encode()).digest()
    return (visual.source, visual.allowed_hosts) if is_web_address(visual.source) else file_state(visual.source)
