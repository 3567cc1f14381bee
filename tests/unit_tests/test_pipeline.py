"""The pipeline: reading once, concurrent perceivers, failures, and models that are shared and run in batches."""

import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import inf
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_videochat.errors import InputError, MediaError, ModelError, ModelUnavailableError
from langchain_videochat.media import AudioChunk, Damage, FrameBatch, probe, sum_damage
from langchain_videochat.models.weights import Weights, share
from langchain_videochat.perception import (
    AudioInputs,
    FrameInputs,
    Observation,
    ObservationInputs,
    Perceiver,
    PerceiverFailure,
    PerceptionCallbacks,
    Profile,
    keep_models,
    load_profile,
    perceive,
    perceive_segment,
)
from langchain_videochat.perception.pretrained import BatchPerceiver
from langchain_videochat.perception.subtitle_tracks import SubtitleTracks
from langchain_videochat.utils.interval import Interval
from tests.media_files import make_beeps, overwrite_frames
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


# Damage


class Critic(FrameRecorder):
    """Finds damage in its first batch and in `finish`, and fails after the given number of batches."""

    def __init__(self, fails_after: float = inf) -> None:
        super().__init__()
        self.fails_after = fails_after

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        if not self.batches:
            self.damage.append(Damage("picture", "the first frames are dark", 1.0))
        yield from super().perceive(batch)
        if len(self.batches) > self.fails_after:
            self.damage.append(Damage("picture", "the frames are too dark"))
            raise RuntimeError("it is dark")

    def finish(self, end: float) -> Iterable[Observation]:
        self.damage.append(Damage("sound", f"nobody spoke until {end:.0f} s"))
        return super().finish(end)


NITPICKER = """
from langchain_videochat.media import Damage
from langchain_videochat.perception.scenes import Scenes

class Nitpicker(Scenes):
    def finish(self, end):
        self.damage += [Damage("picture", f"problem {number} " + 1000 * "x", 1.0) for number in range(500)]
        return super().finish(end)
"""


def damage_of(source: Path, *perceivers: Perceiver[Any, Any], **interval: float) -> list[Damage]:
    """Perceive a video, and return the reported damage."""
    found: list[Damage] = []
    assert None not in list(
        perceive(source, perceivers, callbacks=PerceptionCallbacks(damage=found.append), **interval)
    )
    return found


def write_cues(path: Path, *starts: float) -> Path:
    """Write a subtitle file with a cue of half a second at each time."""
    times = [
        (f"00:00:{start:06.3f}".replace(".", ","), f"00:00:{start + 0.5:06.3f}".replace(".", ",")) for start in starts
    ]
    path.write_text("\n".join(f"{at}\n{start} --> {end}\nCue {at}\n" for at, (start, end) in enumerate(times)))
    return path


@pytest.fixture(scope="module")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_beeps(tmp_path_factory.mktemp("beeps") / "beeps.mkv", "-g", "1", seconds=6)


def test_damage_that_a_perceiver_finds_is_reported(talk: Path) -> None:
    critic = Critic()
    assert damage_of(talk, critic, FrameRecorder(), end=20.0) == [
        Damage("picture", "the first frames are dark", 1.0),
        Damage("sound", "nobody spoke until 20 s"),
    ]
    assert critic.damage == []


def test_damage_that_a_perceiver_found_before_it_failed_is_reported(talk: Path) -> None:
    assert damage_of(talk, Critic(fails_after=1), FrameRecorder(), end=20.0) == [
        Damage("picture", "the first frames are dark", 1.0),
        Damage("picture", "the frames are too dark"),
    ]


def test_damage_is_logged_by_default(talk: Path, caplog: pytest.LogCaptureFixture) -> None:
    list(perceive(talk, [Critic()], end=4.0))
    assert "the first frames are dark (1.0 s)" in caplog.text


def test_an_intact_file_has_no_damage(beeps: Path) -> None:
    assert damage_of(beeps, AudioRecorder(), FrameRecorder(), SubtitleTracks()) == []


def test_frames_that_cannot_be_decoded_are_damage(beeps: Path, tmp_path: Path) -> None:
    damaged = overwrite_frames(beeps, tmp_path / "damaged.mkv", 1.9, 3.9)
    (found,) = damage_of(damaged, FrameRecorder(), AudioRecorder())
    assert (found.kind, found.problem) == ("picture", "frames cannot be decoded")
    assert found.seconds == pytest.approx(2.0, abs=0.1)


def test_subtitles_and_sound_are_read_if_no_picture_can_be_decoded(beeps: Path, tmp_path: Path) -> None:
    damaged = overwrite_frames(beeps, tmp_path / "damaged.mkv", -1.0, 7.0)
    with pytest.raises(MediaError, match=r"damaged\.mkv"):
        list(perceive(damaged, [FrameRecorder(), SubtitleTracks()]))
    write_cues(tmp_path / "damaged.srt", 3.0)
    damage: list[Damage] = []
    failures: list[PerceiverFailure] = []
    callbacks = PerceptionCallbacks(damage=damage.append, failure=failures.append)
    observations = list(perceive(damaged, [FrameRecorder(), SubtitleTracks(), AudioRecorder()], callbacks=callbacks))
    assert [one.text for one in observations if one.modality == "subtitle"] == ["Cue 0"]
    assert len([one for one in observations if one.modality == "speech"]) == 6
    assert [(one.kind, round(one.seconds)) for one in damage] == [("picture", 6)]
    assert failures == []


def test_an_unreadable_segment_is_damage(beeps: Path, tmp_path: Path) -> None:
    damaged = overwrite_frames(beeps, tmp_path / "damaged.mkv", -1.0, 7.0)
    result = perceive_segment(damaged, write_profile(tmp_path, "scenes"), Interval(2.0, 4.0))
    assert (result.observations, result.failures) == ((), ())
    assert [(one.kind, one.seconds) for one in result.damage] == [("picture", 2.0)]


def test_the_damage_of_a_segment_is_limited(beeps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "plugin" / "nitpicker.py"
    metadata = tmp_path / "plugin" / "nitpicker-1.0.dist-info"
    metadata.mkdir(parents=True)
    module.write_text(NITPICKER)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: nitpicker\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[langchain_videochat.perceivers]\nnitpicker = nitpicker:Nitpicker\n")
    monkeypatch.syspath_prepend(tmp_path / "plugin")
    result = perceive_segment(beeps, write_profile(tmp_path, "nitpicker"), Interval(0.0, 6.0))
    assert len(result.damage) == 101
    assert sum(one.seconds for one in result.damage) == 500
    assert max(len(one.problem) for one in result.damage) == 500


def test_the_end_of_a_truncated_file_is_damage(tmp_path: Path) -> None:
    video = make_beeps(tmp_path / "beeps.mp4", "-movflags", "faststart", "-g", "5", seconds=20)
    os.truncate(video, video.stat().st_size // 2)
    found = damage_of(video, FrameRecorder())
    (end,) = [one for one in found if one.problem == "the file ends early"]
    assert end.kind == "picture"
    assert end.seconds == pytest.approx(20 - probe(video).duration, abs=0.1)
    assert end not in damage_of(video, FrameRecorder(), end=2.0)


def test_an_unreadable_audio_stream_is_damage_and_not_a_failure(beeps: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mkv"
    damaged.write_bytes(beeps.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    damage: list[Damage] = []
    failures: list[PerceiverFailure] = []
    callbacks = PerceptionCallbacks(damage=damage.append, failure=failures.append)
    observations = list(perceive(damaged, [AudioRecorder(), FrameRecorder()], callbacks=callbacks))
    assert len([one for one in observations if one.modality == "tag"]) == 6
    assert {one.kind for one in damage} == {"sound"}
    assert failures == []
    with pytest.raises(MediaError, match=r"damaged\.mkv"):
        list(perceive(damaged, [AudioRecorder()], callbacks=callbacks))


def test_a_clock_that_restarts_is_damage_of_every_segment(tmp_path: Path) -> None:
    part = make_beeps(tmp_path / "part.ts", seconds=3).read_bytes()
    (tmp_path / "joined.ts").write_bytes(part + part)
    profile = write_profile(tmp_path, "scenes")
    segments = [Interval(0.0, 2.0), Interval(2.0, 4.0), Interval(4.0, 600.0)]
    found = [one for each in segments for one in perceive_segment(tmp_path / "joined.ts", profile, each).damage]
    assert [(one.kind, one.seconds) for one in found] == [("clock", 0.0)] * 3
    assert len(sum_damage(found)) == 1


@pytest.mark.parametrize("end", [5.0, 6.0, None])
def test_cues_after_the_end_of_the_video_are_damage(beeps: Path, tmp_path: Path, end: float | None) -> None:
    video = Path(shutil.copy(beeps, tmp_path))
    write_cues(tmp_path / "beeps.srt", 1.0, 5.8, 6.4, 30.0)
    interval = {} if end is None else {"end": end}
    expected = [] if end == 5.0 else [Damage("subtitle", "2 cues start after the end of the video")]
    assert damage_of(video, SubtitleTracks(), **interval) == expected
    write_cues(tmp_path / "beeps.srt", 30.0)
    expected = [] if end == 5.0 else [Damage("subtitle", "1 cue starts after the end of the video")]
    assert damage_of(video, SubtitleTracks(), **interval) == expected


def test_subtitles_after_the_end_do_not_replace_audio(tmp_path: Path) -> None:
    video = make_beeps(tmp_path / "beeps.mp4")
    write_cues(tmp_path / "beeps.srt", 30.0)
    audio = AudioRecorder(prefer_subtitles=True)
    list(perceive(video, [audio]))
    assert audio.starts


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.5, 5.5), max_size=3), st.lists(st.integers(0, 19), min_size=1, max_size=8, unique=True))
def test_every_cue_of_a_video_in_segments_is_returned_or_counted(
    beeps: Path, tmp_path_factory: pytest.TempPathFactory, cuts: list[float], starts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cues")
    video = Path(shutil.copy(beeps, folder))
    write_cues(folder / "beeps.srt", *sorted(starts))
    profile = write_profile(folder, "subtitles")
    bounds = sorted({0.0, *cuts, 600.0})
    results = [perceive_segment(video, profile, Interval(*ends)) for ends in pairwise(bounds)]
    found = {one.text for result in results for one in result.observations}
    late = sum(start >= 6 for start in starts)
    assert len(found) == len(starts) - late
    problem = (
        "1 cue starts after the end of the video" if late == 1 else f"{late} cues start after the end of the video"
    )
    assert [one for result in results for one in result.damage] == ([Damage("subtitle", problem)] if late else [])


def write_profile(folder: Path, *names: str) -> Profile:
    """Write and load a profile."""
    path = folder / "profile.yaml"
    path.write_text("".join(f"- {name}\n" for name in names))
    return load_profile(path)


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


@pytest.mark.parametrize("feature", ["avx512_bf16", "amx_bf16"])
def test_cpus_that_compute_in_bfloat16_use_it(feature: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_tile": True})
    assert Weights("model", device="cpu").torch_dtype is torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, feature: True})
    assert Weights("model", device="cpu").torch_dtype is torch.bfloat16
    assert Weights("model", device="cpu", dtype="float32").torch_dtype is torch.float32


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
    assert (result.damage, result.failures) == ((), ())
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
