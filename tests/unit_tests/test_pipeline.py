"""The pipeline: reading once, concurrent perceivers, failures, and models that are shared and run in batches."""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import torch

from langchain_videochat.errors import InputError, ModelError, ModelUnavailableError
from langchain_videochat.media import AudioChunk, FrameBatch
from langchain_videochat.models.weights import Weights, share
from langchain_videochat.perception import (
    AudioInputs,
    FrameInputs,
    Observation,
    ObservationInputs,
    Perceiver,
    PerceiverFailure,
    PerceptionCallbacks,
    keep_models,
    load_profile,
    perceive,
    perceive_segment,
)
from langchain_videochat.perception.pretrained import BatchPerceiver
from langchain_videochat.utils.interval import Interval
from tests.media_files import make_beeps
from tests.slides import render_talk


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render a talk of two minutes without sound."""
    return render_talk(tmp_path_factory.mktemp("talk") / "talk.mp4", [["one"], ["two"]], seconds=60.0)


class FrameRecorder(Perceiver[FrameInputs, FrameBatch]):
    """Records its frames and threads, and returns an observation for each frame."""

    modality = "tag"
    inputs = FrameInputs(every=1.0, tolerance=0.0, size=16)

    def __init__(self, name: str = "frame") -> None:
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


class Broken(FrameRecorder):
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


class BrokenAtTheEnd(FrameRecorder):
    """Fails in `finish`."""

    def finish(self, end: float) -> Iterable[Observation]:
        raise RuntimeError(f"nothing at {end}")


class Counting(Perceiver[ObservationInputs, Sequence[Observation]]):
    """Counts the tags of others."""

    modality = "summary"
    inputs = ObservationInputs(("tag",))

    def perceive(self, batch: Sequence[Observation]) -> Iterator[Observation]:
        yield Observation(0.0, batch[-1].end, "summary", f"{len(batch)} tags", source="counting")


class AudioRecorder(Perceiver[AudioInputs, AudioChunk]):
    """Records the starts of its audio chunks."""

    modality = "speech"
    inputs = AudioInputs(chunk_seconds=1.0)

    def __init__(self, *, prefer_subtitles: bool = False) -> None:
        self.inputs = AudioInputs(chunk_seconds=1.0, prefer_subtitles=prefer_subtitles)
        self.starts: list[float] = []

    def perceive(self, batch: AudioChunk) -> Iterator[Observation]:
        self.starts.append(batch.start)
        yield Observation(batch.start, batch.start + 1.0, "speech", "beep")


def test_observations_are_in_time_order_and_each_perceiver_has_a_thread(talk: Path) -> None:
    perceivers = [FrameRecorder("one"), FrameRecorder("two"), FrameRecorder("three")]
    observations = list(perceive(talk, perceivers, end=30.0))
    assert [one.start for one in observations] == sorted([float(second) for second in range(30)] * 3)
    assert len(set.union(*(one.threads for one in perceivers))) == 3
    assert threading.main_thread().name not in set.union(*(one.threads for one in perceivers))


def test_observations_are_clipped_to_the_segment(talk: Path) -> None:
    assert max(one.end for one in perceive(talk, [FrameRecorder()], end=30.0)) == 30.0


@pytest.mark.parametrize("at", [-1.0, 0.0, 20.0])
def test_a_failing_perceiver_does_not_affect_the_others(at: float, talk: Path) -> None:
    failures: list[PerceiverFailure] = []
    perceivers = [
        FrameRecorder(),
        Broken(at, ModelError("model.bin", "this is damaged", "Fetch it again")),
        FrameRecorder("too"),
    ]
    observations = list(perceive(talk, perceivers, end=30.0, callbacks=PerceptionCallbacks(failure=failures.append)))
    assert [sum(one.text == name for one in observations) for name in ("frame", "too")] == [30, 30]
    assert all(one.end <= at + 5 for one in observations if one.text == "broken")
    assert [str(failure) for failure in failures] == [
        "no caption from Broken: model.bin: this is damaged. Fetch it again."
    ]


def test_observations_before_a_failure_are_kept(talk: Path) -> None:
    failures: list[PerceiverFailure] = []
    observations = list(
        perceive(
            talk,
            [FrameRecorder(), BrokenAtTheEnd("half")],
            end=10.0,
            callbacks=PerceptionCallbacks(failure=failures.append),
        )
    )
    assert sum(one.text == "half" for one in observations) == 10
    assert [failure.perceiver for failure in failures] == ["BrokenAtTheEnd"]


def test_the_error_is_raised_if_all_perceivers_fail(talk: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        list(perceive(talk, [Broken(5.0, ZeroDivisionError()), Broken(9.0, KeyError())], end=30.0))


def test_unavailable_weights_stop_everything_at_the_start(talk: Path) -> None:
    recorder = FrameRecorder()
    error = ModelUnavailableError("model", "this cannot be fetched", "Connect to the network")
    with pytest.raises(ModelUnavailableError, match='profile="lite"'):
        list(perceive(talk, [recorder, Broken(-1.0, error)]))
    assert recorder.batches == []


def test_threads_are_reused_after_an_iterator_is_closed_early(talk: Path) -> None:
    perceivers = [FrameRecorder() for _ in range(20)]
    before = threading.active_count()
    for index in range(10):
        observations = perceive(talk, perceivers[2 * index : 2 * index + 2])
        for _ in range(1 + index):
            next(observations)
        observations.close()  # type: ignore[attr-defined]
        sleep(0.1)
    assert len(set.union(*(one.threads for one in perceivers))) < 10
    assert threading.active_count() - before < 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_forked_process_has_its_own_threads(talk: Path) -> None:
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


def test_frames_in_memory_are_bounded_if_a_perceiver_is_slow(talk: Path) -> None:
    received = threading.Semaphore(0)
    max_lead = 0

    class Slow(FrameRecorder):
        def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
            received.acquire(timeout=0.2)
            return super().perceive(batch)

    quick, slow = FrameRecorder(), Slow()
    for _ in perceive(talk, [quick, slow], end=120.0):
        max_lead = max(max_lead, len(quick.batches) - len(slow.batches))
    assert 0 < max_lead <= 3


def test_perceivers_of_observations_run_last_with_all_of_them(talk: Path) -> None:
    observations = list(perceive(talk, [Counting(), FrameRecorder()], end=20.0))
    assert (observations[-1].text, observations[-1].end, len(observations)) == ("20 tags", 20.0, 21)


def test_a_failing_perceiver_of_observations_is_reported(talk: Path) -> None:
    failures: list[PerceiverFailure] = []
    observations = list(perceive(talk, [Counting()], end=20.0, callbacks=PerceptionCallbacks(failure=failures.append)))
    assert observations == []
    assert [failure.modality for failure in failures] == ["summary"]


def test_audio_and_frames_are_read_side_by_side(tmp_path: Path) -> None:
    video = make_beeps(tmp_path / "beeps.mp4")
    audio, frames = AudioRecorder(), FrameRecorder()
    observations = list(perceive(video, [audio, frames]))
    assert audio.starts == [float(second) for second in range(len(audio.starts))]
    assert {one.modality for one in observations} == {"speech", "tag"}
    assert [one.start for one in observations] == sorted(one.start for one in observations)


def test_a_video_without_audio_has_no_chunks(talk: Path) -> None:
    audio = AudioRecorder()
    assert list(perceive(talk, [audio], end=5.0)) == []
    assert audio.starts == []


@pytest.mark.parametrize("preferred", [True, False])
def test_subtitles_replace_audio_if_preferred(preferred: bool, tmp_path: Path) -> None:
    video = make_beeps(tmp_path / "beeps.mp4")
    (tmp_path / "beeps.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nBeep.\n")
    audio = AudioRecorder(prefer_subtitles=preferred)
    list(perceive(video, [audio]))
    assert bool(audio.starts) is not preferred


class Scale:
    """A model of one number, which counts how often it is loaded."""

    loads = 0

    def __init__(self, weights: Weights) -> None:
        type(self).loads += 1
        self.factor = torch.load(weights.model, weights_only=True)


class Brightness(BatchPerceiver[Scale, Any, float]):
    """Returns the brightness of each frame, on a device that runs out of memory above `room` frames."""

    modality = "tag"
    inputs = FrameInputs(every=1.0, tolerance=0.0, size=16)
    default_model = "nowhere/brightness"

    def __init__(self, *arguments: Any, room: int = 100, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.room = room
        self.sizes: list[int] = []

    @staticmethod
    def load_model(weights: Weights) -> Scale:
        return Scale(weights)

    def infer(self, items: Any) -> Iterator[float]:
        if len(items) > self.room:
            raise torch.OutOfMemoryError
        self.sizes.append(len(items))
        yield from (float(item.mean() * self.model.factor) for item in items)

    def emit(self, time: float, until: float, result: float) -> Iterator[Observation]:
        yield Observation(time, until, "tag", f"{result:.0f}")


@pytest.fixture
def factor(tmp_path: Path) -> Path:
    """Save the weights of a Scale."""
    torch.save(torch.tensor(1.0), tmp_path / "factor.pt")
    return tmp_path / "factor.pt"


def test_a_batch_that_exceeds_the_memory_is_halved(talk: Path, factor: Path) -> None:
    roomy, tight = Brightness(factor, batch_size=8), Brightness(factor, batch_size=8, room=3)
    observations = [list(perceive(talk, [one], end=30.0)) for one in (roomy, tight)]
    assert observations[0] == observations[1]
    assert max(roomy.sizes) == 8
    assert max(tight.sizes) == tight.batch_size == 2


def test_too_little_memory_for_one_frame_is_an_error(talk: Path, factor: Path) -> None:
    with pytest.raises(ModelError, match=r"factor\.pt.*memory"):
        list(perceive(talk, [Brightness(factor, room=0)], end=5.0))


@pytest.mark.parametrize("batch_size", [1, 3, 8, 50])
def test_batches_have_the_requested_size(batch_size: int, talk: Path, factor: Path) -> None:
    brightness = Brightness(factor, batch_size=batch_size)
    assert len(list(perceive(talk, [brightness], end=30.0))) == 30
    assert set(brightness.sizes[:-1]) <= {batch_size}
    assert sum(brightness.sizes) == 30


def test_perceivers_with_the_same_weights_share_the_model(talk: Path, factor: Path) -> None:
    Scale.loads = 0
    perceivers = [Brightness(factor), Brightness(factor), Brightness(factor, dtype="bfloat16")]
    list(perceive(talk, perceivers, end=5.0))
    assert Scale.loads == 2
    perceivers[0].close()
    share(Brightness.load_model, perceivers[1].weights)
    assert Scale.loads == 2
    perceivers[1].close()
    share(Brightness.load_model, perceivers[1].weights)
    assert Scale.loads == 3


def test_keep_models_keeps_them_from_one_video_to_the_next(talk: Path, factor: Path) -> None:
    Scale.loads = 0
    with keep_models():
        for _ in range(3):
            list(perceive(talk, [Brightness(factor)], end=2.0))
    assert Scale.loads == 1
    list(perceive(talk, [Brightness(factor)], end=2.0))
    assert Scale.loads == 2


def test_keep_models_can_be_nested(talk: Path, factor: Path) -> None:
    Scale.loads = 0
    with keep_models():
        with keep_models():
            pass
        for _ in range(2):
            list(perceive(talk, [Brightness(factor)], end=2.0))
    assert Scale.loads == 1


@pytest.mark.parametrize(
    ("options", "field"), [({"device": "abacus"}, "device"), ({"dtype": "int8"}, "dtype"), ({"dtype": "x"}, "dtype")]
)
def test_unknown_devices_and_dtypes_are_refused(options: dict[str, Any], field: str) -> None:
    weights = Weights("model", **options)
    with pytest.raises(ValueError, match=field):
        print(weights.torch_device, weights.torch_dtype)


def test_the_batch_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="batch_size"):
        Brightness(batch_size=0)


def test_an_invalid_model_file_is_named(talk: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"model\.pt: cannot be loaded"):
        list(perceive(talk, [Brightness(tmp_path / "model.pt")], end=2.0))


def test_a_segment_is_perceived_from_pickled_arguments(talk: Path) -> None:
    task = pickle.dumps((talk, load_profile("lite"), Interval(50.0, 70.0)))
    result = perceive_segment(*pickle.loads(task))
    assert {(one.start, one.end, one.text) for one in result.observations if one.modality == "screen_text"} == {
        (50.0, 60.0, "one"),
        (60.0, 70.0, "two"),
    }
    assert (result.missing, result.failures) == (0.0, ())
    assert pickle.loads(pickle.dumps(result)) == result


def test_a_segment_after_the_end_of_the_video_is_refused(talk: Path) -> None:
    with pytest.raises(InputError, match=r"before the end of the video \(120 s\), got 500"):
        perceive(talk, "lite", start=500.0)


def test_the_video_is_read_once_for_any_number_of_perceivers(talk: Path) -> None:
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
