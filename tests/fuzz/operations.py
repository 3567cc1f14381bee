"""What is tried with each file."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from langchain_videochat.media import (
    cut_clip,
    probe,
    read_audio,
    read_subtitle_pictures,
    read_subtitles,
    sample_frames,
    thumbnail,
)
from langchain_videochat.media.frames import SamplingMode
from langchain_videochat.perception import PerceiverFailure, PerceptionCallbacks, perceive
from langchain_videochat.perception.scenes import Scenes
from langchain_videochat.perception.subtitle_tracks import SubtitleTracks
from tests.fuzz.files import FuzzedFile
from tests.fuzz.seeds import CHECKPOINTS, SIDECARS

MAX_OPERATIONS = 4
"""Number of operations with a file: more files find more than more operations with each."""

INDEX_EVERY = 20
"""Of so many files, one is indexed, because text recognition takes long."""


@dataclass(frozen=True)
class Operation:
    """Something that the package does with a file."""

    name: str
    """Its name."""

    run: Callable[[Path, Path], object]
    """Takes the file and an empty folder for what it writes; returns something true if it got anything of the file."""

    keeps_resources: bool = False
    """Whether threads and descriptors may remain: those of loaded models, here for text, and of open stores."""


def _probe(path: Path, _: Path) -> bool:
    return probe(path).duration >= 0


def _sample(path: Path, _: Path, *, mode: SamplingMode, size: int | None = None) -> int:
    return sum(len(batch.frames) for batch in sample_frames(path, 8, mode=mode, size=size))


def _sample_times(path: Path, _: Path) -> int:
    duration = probe(path).duration
    times = [duration * part for part in (0, 0.3, 0.3, 0.7, 1, 2)]
    return sum(len(batch.frames) for batch in sample_frames(path, times=times, mode="exact"))


def _read_audio(path: Path, _: Path) -> int:
    return sum(len(chunk.samples) for chunk in read_audio(path))


def _read_subtitles(path: Path, _: Path) -> int:
    return len(read_subtitles(path))


def _read_pictures(path: Path, _: Path) -> int:
    return sum(1 for _ in read_subtitle_pictures(path))


def _thumbnail(path: Path, _: Path) -> int:
    return len(thumbnail(path, probe(path).duration / 2))


def _cut_clip(path: Path, folder: Path) -> bool:
    middle = probe(path).duration / 2
    output = cut_clip(path, middle, middle + 0.5, folder / "clip.mp4", preview=True)
    output.unlink()
    return True


def _perceive(path: Path, _: Path) -> int:
    callbacks = PerceptionCallbacks(failure=_raise)
    return sum(1 for _ in perceive(path, [SubtitleTracks(), Scenes()], callbacks=callbacks))


def _raise(failure: PerceiverFailure) -> None:
    raise failure.error


def _index(path: Path, _: Path) -> int:
    from langchain_videochat.store import VideoTimelineStore
    from tests.unit_tests.embeddings import BagOfWords

    store = VideoTimelineStore(embedding=BagOfWords())
    (video,) = store.index(path, profile="lite", show_progress=False).videos
    if video.failures:
        raise RuntimeError(video.failures)
    return video.moments


def _read_checkpoint(path: Path, _: Path) -> int:
    from langchain_videochat.embed.conversion.checkpoint_files import read_checkpoint

    return sum(tensor.numel() for tensor in read_checkpoint(path).values())


_SUBTITLES, _PERCEIVE = Operation("subtitles", _read_subtitles), Operation("perceive", _perceive, keeps_resources=True)
_INDEX = Operation("index", _index, keeps_resources=True)
_READING = [
    Operation("probe", _probe),
    Operation("frames, keyframes", partial(_sample, mode="keyframes")),
    Operation("frames, exact", partial(_sample, mode="exact")),
    Operation("frames, auto, size 64", partial(_sample, mode="auto", size=64)),
    Operation("frames at times", _sample_times),
    Operation("audio", _read_audio),
    _SUBTITLES,
    Operation("subtitle pictures", _read_pictures),
    Operation("thumbnail", _thumbnail),
    Operation("cut_clip", _cut_clip),
    _PERCEIVE,
]


def operations_for(file: FuzzedFile) -> list[Operation]:
    """Return the operations to try with a file: some of those that read its kind, which follow from its number."""
    if file.seed in CHECKPOINTS:
        return [Operation("checkpoint", _read_checkpoint)]
    reading = [_SUBTITLES, _PERCEIVE] if file.seed in SIDECARS else _READING
    drawn = Random(file.number).sample(reading, min(MAX_OPERATIONS, len(reading)))
    return [*drawn, _INDEX] if file.number % INDEX_EVERY == 0 else drawn
