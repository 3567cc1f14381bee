"""The pipeline reads a video once for all perceivers, lets them work side by side, and survives those that fail."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from time import sleep
from typing import Any, ClassVar

import pytest
import torch

from langchain_videochat.errors import ModelError, ModelUnavailableError
from langchain_videochat.media import AudioChunk, FrameBatch
from langchain_videochat.models.weights import Weights, share
from langchain_videochat.perception import (
    Failure,
    Frames,
    Modality,
    Observation,
    ObservationInputs,
    Perceiver,
    PerceptionCallbacks,
    Sound,
    keep_models,
    perceive,
)
from langchain_videochat.perception.pretrained import BatchPerceiver
from tests.media_files import make_beeps
from tests.slides import render_talk


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render a talk of two minutes without sound."""
    return render_talk(tmp_path_factory.mktemp("talk") / "talk.mp4", [["one"], ["two"]], seconds=60.0)


class Watching(Perceiver[FrameBatch]):
    """Tells every frame that it is handed, and in which thread."""

    modality: ClassVar[Modality] = "tag"
    inputs = Frames(every=1.0, tolerance=0.0, size=16)

    def __init__(self, name: str = "seen") -> None:
        self.name = name
        self.threads: set[str] = set()
        self.batches: list[FrameBatch] = []
        self.closed = 0

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        self.threads.add(threading.current_thread().name)
        self.batches.append(batch)
        for time in batch.times.tolist():
            yield Observation(time, time + 5.0, "tag", self.name)

    def close(self) -> None:
        self.closed += 1


class Broken(Watching):
    """Fails at a given time."""

    modality = "caption"

    def __init__(self, at: float, error: Exception) -> None:
        super().__init__("broken")
        self.at = at
        self.error = error

    def load(self) -> None:
        if self.at < 0:
            raise self.error

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        if batch.times[-1] >= self.at:
            raise self.error
        return super().perceive(batch)


class BrokenAtTheEnd(Watching):
    """Fails when it is to tell what is left."""

    def finish(self, end: float) -> Iterable[Observation]:
        raise RuntimeError(f"nothing at {end}")


class Counting(Perceiver[Any]):
    """Counts what others tell."""

    modality = "summary"
    inputs = ObservationInputs(("tag",))

    def perceive(self, batch: list[Observation]) -> Iterator[Observation]:
        yield Observation(0.0, batch[-1].end, "summary", f"{len(batch)} tags", source="counting")


class Listening(Perceiver[AudioChunk]):
    """Notes which chunks of sound it is handed."""

    modality = "speech"
    inputs = Sound(seconds=1.0)

    def __init__(self, *, unless_subtitles: bool = False) -> None:
        self.inputs = Sound(seconds=1.0, unless_subtitles=unless_subtitles)
        self.starts: list[float] = []

    def perceive(self, batch: AudioChunk) -> Iterator[Observation]:
        self.starts.append(batch.start)
        yield Observation(batch.start, batch.start + 1.0, "speech", "beep")


def test_observations_come_in_time_order_from_threads_of_their_own(talk: Path) -> None:
    perceivers = [Watching("one"), Watching("two"), Watching("three")]
    seen = list(perceive(talk, perceivers, end=30.0))
    assert [one.start for one in seen] == sorted([float(second) for second in range(30)] * 3)
    assert len(set.union(*(one.threads for one in perceivers))) == 3
    assert threading.main_thread().name not in set.union(*(one.threads for one in perceivers))


def test_nothing_lasts_longer_than_the_stretch(talk: Path) -> None:
    assert max(one.end for one in perceive(talk, [Watching()], end=30.0)) == 30.0


@pytest.mark.parametrize("at", [-1.0, 0.0, 20.0])
def test_one_that_fails_does_not_lose_what_the_others_tell(at: float, talk: Path) -> None:
    failures: list[Failure] = []
    perceivers = [Watching(), Broken(at, ModelError("model.bin", "this is damaged", "Fetch it again")), Watching("too")]
    seen = list(perceive(talk, perceivers, end=30.0, listener=PerceptionCallbacks(failure=failures.append)))
    assert [sum(one.text == name for one in seen) for name in ("seen", "too")] == [30, 30]
    assert all(one.end <= at + 5 for one in seen if one.text == "broken")
    assert [str(failure) for failure in failures] == [
        "no caption from Broken: model.bin: this is damaged. Fetch it again."
    ]


def test_one_that_fails_at_the_end_keeps_what_it_told(talk: Path) -> None:
    failures: list[Failure] = []
    seen = list(
        perceive(
            talk, [Watching(), BrokenAtTheEnd("half")], end=10.0, listener=PerceptionCallbacks(failure=failures.append)
        )
    )
    assert sum(one.text == "half" for one in seen) == 10
    assert [failure.perceiver for failure in failures] == ["BrokenAtTheEnd"]


def test_where_all_fail_the_error_is_raised(talk: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        list(perceive(talk, [Broken(5.0, ZeroDivisionError()), Broken(9.0, KeyError())], end=30.0))


def test_weights_that_cannot_be_had_stop_everything_before_it_begins(talk: Path) -> None:
    watching = Watching()
    error = ModelUnavailableError("model", "this cannot be fetched", "Connect to the network")
    with pytest.raises(ModelUnavailableError, match='profile="lite"'):
        list(perceive(talk, [watching, Broken(-1.0, error)]))
    assert watching.batches == []


def test_who_leaves_early_leaves_threads_that_serve_the_next(talk: Path) -> None:
    perceivers = [Watching() for _ in range(20)]
    before = threading.active_count()
    for taken in range(10):
        seen = perceive(talk, perceivers[2 * taken : 2 * taken + 2])
        for _ in range(1 + taken):
            next(seen)
        seen.close()  # type: ignore[attr-defined]
        sleep(0.1)
    assert len(set.union(*(one.threads for one in perceivers))) < 10
    assert threading.active_count() - before < 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_forked_process_reads_with_threads_of_its_own(talk: Path) -> None:
    program = f"""
import os
from langchain_videochat.media import sample_frames

def read():
    return sum(len(batch.times) for batch in sample_frames({str(talk)!r}, times=range(20), size=64))

frames = read()
child = os.fork()
if child == 0:
    os._exit(0 if read() == frames else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_frames_in_memory_are_bounded_however_slow_a_perceiver_is(talk: Path) -> None:
    handed = threading.Semaphore(0)
    most = 0

    class Slow(Watching):
        def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
            handed.acquire(timeout=0.2)
            return super().perceive(batch)

    quick, slow = Watching(), Slow()
    for _ in perceive(talk, [quick, slow], end=120.0):
        most = max(most, len(quick.batches) - len(slow.batches))
    assert 0 < most <= 3


def test_what_others_told_comes_last_and_whole(talk: Path) -> None:
    seen = list(perceive(talk, [Counting(), Watching()], end=20.0))
    assert (seen[-1].text, seen[-1].end, len(seen)) == ("20 tags", 20.0, 21)


def test_a_failing_afterthought_keeps_the_rest(talk: Path) -> None:
    failures: list[Failure] = []
    seen = list(perceive(talk, [Counting()], end=20.0, listener=PerceptionCallbacks(failure=failures.append)))
    assert seen == []
    assert [failure.modality for failure in failures] == ["summary"]


def test_sound_goes_beside_the_pictures(tmp_path: Path) -> None:
    video = make_beeps(tmp_path / "beeps.mp4")
    listening, watching = Listening(), Watching()
    seen = list(perceive(video, [listening, watching]))
    assert listening.starts == [float(second) for second in range(len(listening.starts))]
    assert {one.modality for one in seen} == {"speech", "tag"}
    assert [one.start for one in seen] == sorted(one.start for one in seen)


def test_a_video_without_sound_says_nothing(talk: Path) -> None:
    listening = Listening()
    assert list(perceive(talk, [listening], end=5.0)) == []
    assert listening.starts == []


@pytest.mark.parametrize("preferred", [True, False])
def test_subtitles_stand_in_for_speech_when_asked(preferred: bool, tmp_path: Path) -> None:
    video = make_beeps(tmp_path / "beeps.mp4")
    (tmp_path / "beeps.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nBeep.\n")
    listening = Listening(unless_subtitles=preferred)
    list(perceive(video, [listening]))
    assert bool(listening.starts) is not preferred


class Scale:
    """A model of one number: what a test needs to see who shares it."""

    loads = 0

    def __init__(self, weights: Weights) -> None:
        type(self).loads += 1
        self.factor = torch.load(weights.model, weights_only=True)


class Brightness(BatchPerceiver[Scale, Any, float]):
    """Tells how bright each frame is, on a device that holds `room` frames at most."""

    modality = "tag"
    inputs = Frames(every=1.0, tolerance=0.0, size=16)
    default_model = "nowhere/brightness"

    def __init__(self, *arguments: Any, room: int = 100, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.room = room
        self.sizes: list[int] = []

    @staticmethod
    def _load(weights: Weights) -> Scale:
        return Scale(weights)

    def infer(self, items: Any) -> Iterator[float]:
        if len(items) > self.room:
            raise torch.OutOfMemoryError
        self.sizes.append(len(items))
        yield from (float(item.mean() * self._model.factor) for item in items)

    def emit(self, time: float, until: float, seen: float) -> Iterator[Observation]:
        yield Observation(time, until, "tag", f"{seen:.0f}")


@pytest.fixture
def factor(tmp_path: Path) -> Path:
    """Save the weights of a Scale."""
    torch.save(torch.tensor(1.0), tmp_path / "factor.pt")
    return tmp_path / "factor.pt"


def test_a_batch_that_does_not_fit_is_halved_and_loses_nothing(talk: Path, factor: Path) -> None:
    roomy, tight = Brightness(factor, batch_size=8), Brightness(factor, batch_size=8, room=3)
    seen = [list(perceive(talk, [one], end=30.0)) for one in (roomy, tight)]
    assert seen[0] == seen[1]
    assert max(roomy.sizes) == 8
    assert max(tight.sizes) == tight.batch_size == 2


def test_where_not_even_one_fits_the_model_is_named(talk: Path, factor: Path) -> None:
    with pytest.raises(ModelError, match=r"factor\.pt.*memory"):
        list(perceive(talk, [Brightness(factor, room=0)], end=5.0))


@pytest.mark.parametrize("batch_size", [1, 3, 8, 50])
def test_batches_are_of_the_size_that_was_asked_for(batch_size: int, talk: Path, factor: Path) -> None:
    brightness = Brightness(factor, batch_size=batch_size)
    assert len(list(perceive(talk, [brightness], end=30.0))) == 30
    assert set(brightness.sizes[:-1]) <= {batch_size}
    assert sum(brightness.sizes) == 30


def test_perceivers_that_name_the_same_model_share_it(talk: Path, factor: Path) -> None:
    Scale.loads = 0
    perceivers = [Brightness(factor), Brightness(factor), Brightness(factor, dtype="bfloat16")]
    list(perceive(talk, perceivers, end=5.0))
    assert Scale.loads == 2
    perceivers[0].close()
    share(Brightness._load, perceivers[1].weights)
    assert Scale.loads == 2
    perceivers[1].close()
    share(Brightness._load, perceivers[1].weights)
    assert Scale.loads == 3


def test_models_can_be_kept_from_one_video_to_the_next(talk: Path, factor: Path) -> None:
    Scale.loads = 0
    with keep_models():
        for _ in range(3):
            list(perceive(talk, [Brightness(factor)], end=2.0))
    assert Scale.loads == 1
    list(perceive(talk, [Brightness(factor)], end=2.0))
    assert Scale.loads == 2


@pytest.mark.parametrize(
    ("options", "field"), [({"device": "abacus"}, "device"), ({"dtype": "int8"}, "dtype"), ({"dtype": "x"}, "dtype")]
)
def test_devices_and_types_that_do_not_exist_are_named(options: dict[str, str], field: str) -> None:
    weights = Weights("model", **options)
    with pytest.raises(ValueError, match=field):
        print(weights.torch_device, weights.torch_dtype)


def test_a_batch_has_a_size() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        Brightness(batch_size=0)


def test_a_file_that_is_no_model_is_named(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"model\.pt: this model cannot be loaded"):
        list(perceive(talk, [Brightness(tmp_path / "model.pt")], end=2.0))


def test_the_video_is_read_once_however_many_look_at_it(talk: Path) -> None:
    program = """
import sys
opened = []
sys.addaudithook(lambda event, arguments: event == "open" and opened.append(str(arguments[0])))
from langchain_videochat.perception import perceive
from langchain_videochat.perception.scenes import Scenes
from langchain_videochat.perception.screen_text import ScreenText
perceivers = [Scenes() for _ in range(int(sys.argv[2]) - 1)] + [ScreenText()]
list(perceive(sys.argv[1], perceivers, end=6.0))
print(opened.count(sys.argv[1]))
"""
    counts = [
        subprocess.run(
            [sys.executable, "-c", program, talk, str(count)], capture_output=True, text=True, check=True
        ).stdout
        for count in (1, 5)
    ]
    assert int(counts[0]) > 0
    assert counts[0] == counts[1]
