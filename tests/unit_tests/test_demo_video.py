"""The demo video matches its description."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.subtitles.subtitle import AssSubtitle

from examples.render_demo import CUES, make_scenes, render
from langchain_videochat.media import read_audio


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "new folder" / "quick recipes.mp4"
    render(path)
    return path


def test_duration_size_and_codec(video: Path) -> None:
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (1280, 720, Fraction(24))
        assert stream.codec_context.name == "h264"
        assert stream.frames == 40 * 24
        assert container.duration == 40 * av.time_base
        assert container.metadata["title"] == "Two quick recipes"


def test_keyframes_are_at_the_cuts_and_every_two_seconds(video: Path) -> None:
    with av.open(str(video)) as container:
        packets = container.demux(container.streams.video[0])
        times = [
            float(packet.pts * packet.time_base) for packet in packets if packet.is_keyframe and packet.pts is not None
        ]

    assert times == [2.0 * number for number in range(20)]
    assert {scene.end for scene in make_scenes()[:-1]} <= set(times)


def test_cuts_are_the_largest_changes(video: Path) -> None:
    cuts = {scene.end for scene in make_scenes()[:-1]}
    with av.open(str(video)) as container:
        frames = [
            (frame.time, frame.reformat(64, 36, "rgb24").to_ndarray().astype(float))
            for frame in container.decode(video=0)
        ]

    changes = {time: abs(picture - before).mean() for (_, before), (time, picture) in pairwise(frames)}

    assert min(changes[cut] for cut in cuts) > max(change for time, change in changes.items() if time not in cuts)


def test_the_cues_are_spoken_at_their_times(video: Path) -> None:
    (sound,) = read_audio(video, chunk_seconds=60)
    loud = np.abs(sound.samples).reshape(-1, 1600).max(axis=1) > 0.05

    assert len(sound.samples) == 40 * 16_000
    for start, end, _ in CUES:
        spoken = loud[round(10 * start) : round(10 * end)]
        assert spoken[:2].any()
        assert spoken.mean() > 0.5
        assert not loud[round(10 * start) - 2 : round(10 * start) - 1].any()


def test_subtitles_match_the_cues(video: Path) -> None:
    with av.open(str(video)) as container:
        stream = container.streams.subtitles[0]
        assert stream.metadata["language"] == "eng"
        subtitles = [
            (
                float(packet.pts * packet.time_base),
                float(packet.duration * packet.time_base),
                subtitle.dialogue.decode(),
            )
            for packet in container.demux(stream)
            if packet.pts is not None and packet.duration is not None
            for subtitle in packet.decode()
            if isinstance(subtitle, AssSubtitle)
        ]

    assert [text for _, _, text in subtitles] == [text for _, _, text in CUES]
    assert [start for start, _, _ in subtitles] == [start for start, _, _ in CUES]
    assert [length for _, length, _ in subtitles] == pytest.approx([end - start for start, end, _ in CUES], abs=0.002)
