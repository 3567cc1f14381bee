"""One clock for pictures, sound and clips: the one that players show, in every container."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from langchain_videochat.errors import InputError
from langchain_videochat.media import SamplingMode, cut_clip, probe, read_audio, sample_frames
from tests.edit_lists import write_edit_list
from tests.fuzz.mutations import ebml
from tests.fuzz.mutations.tree import walk
from tests.media_files import onsets, run_ffmpeg
from tests.numbered_video import make_numbered, read_number
from tests.players import present_pictures, present_sound
from tests.talks import CONTAINERS, OPUS, make_talk

RATE = 16_000
MODES: tuple[SamplingMode, ...] = ("exact", "auto", "keyframes")


def displayed(path: Path, times: list[float], mode: SamplingMode = "exact") -> list[int]:
    """Return the numbers of the frames displayed at times."""
    batches = sample_frames(path, times=times, mode=mode)
    return [read_number(frame) for batch in batches for frame in batch.frames]


def all_frames(path: Path) -> tuple[list[int], list[float]]:
    batches = list(sample_frames(path, fps=1000, mode="exact"))
    assert sum(batch.missing for batch in batches) == 0
    return [read_number(frame) for batch in batches for frame in batch.frames], [
        time for batch in batches for time in batch.times.tolist()
    ]


def sound_of(path: Path, start: float | None = None, end: float | None = None) -> NDArray[np.float32]:
    return np.concatenate([chunk.samples for chunk in read_audio(path, start, end)])


JOINTS: dict[str, float] = {"restart": 0, "overlap": 3, "gap": 7, "jump": 3600, "day": 90_000}
"""Seconds by which the timestamps of the second part differ from those of the first."""


@pytest.mark.parametrize("ending", [".ts", ".mpg"])
@pytest.mark.parametrize("joint", JOINTS)
def test_parts_of_a_broadcast_are_joined(joint: str, ending: str, tmp_path: Path) -> None:
    codecs: dict[str, Any] = {"codecs": ("mpeg2video", "mp2")} if ending == ".mpg" else {}
    options = ["-q:v", "2", "-muxdelay", "0"]
    first = make_talk(tmp_path / f"first{ending}", *options, **codecs)
    offset = ["-output_ts_offset", str(JOINTS[joint])]
    second = make_talk(tmp_path / f"second{ending}", *options, *offset, **codecs)
    path = tmp_path / f"joined{ending}"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    gap = 1 if joint == "gap" else 0
    numbers, times = all_frames(path)
    assert numbers == [*range(150), *range(150)]
    # The last frame before a joint in an MPEG program stream can have the timestamp of the first one after it.
    assert np.diff(times[:149]).tolist() == pytest.approx([0.04] * 148, abs=0.001)
    assert times[150] - times[148] == pytest.approx(0.08 + gap, abs=0.15 if ending == ".ts" else 0.6)
    assert np.diff(times[150:]).tolist() == pytest.approx([0.04] * 149, abs=0.001)
    info = probe(path)
    assert info.duration == pytest.approx(12 + gap, abs=0.15 if ending == ".ts" else 0.6)
    assert [one.kind for one in info.damage] == ([] if gap else ["clock"])
    beeps = onsets(sound_of(path))
    assert beeps == pytest.approx([*range(6), *range(6 + gap, 12 + gap)], abs=0.15 if ending == ".ts" else 0.6)
    # Pictures and sound stay together.
    assert beeps[6] - times[150] == pytest.approx(beeps[0] - times[0], abs=0.03)
    for mode in MODES:
        late = [time for time in times[160:] if time % 1 < 0.04]
        found = [(round(time, 3), read_number(frame)) for batch in sample_frames(path, times=late, mode=mode)
                 for frame, time in zip(batch.frames, batch.times.tolist(), strict=True)]  # fmt: skip
        assert {number == numbers[int(np.abs(np.array(times) - time).argmin())] for time, number in found} == {True}
    assert onsets(sound_of(path, 8.75)) == pytest.approx([time - 8.75 for time in beeps if time > 8.75], abs=0.01)
    clip = cut_clip(path, times[150] + 1, times[150] + 2, tmp_path / "clip.mp4")
    assert displayed(clip, [0.02])[0] == pytest.approx(25, abs=1)
    assert onsets(sound_of(clip))[0] == pytest.approx(beeps[7] - times[150] - 1, abs=0.03)


def test_parts_follow_as_ffmpeg_joins_them(tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    path.write_bytes(make_talk(tmp_path / "a.ts").read_bytes() + make_talk(tmp_path / "b.ts").read_bytes())
    pictures = present_pictures(path)
    numbers, times = all_frames(path)
    assert numbers == pictures.numbers
    assert times == pytest.approx(pictures.times.tolist(), abs=0.1)


def test_a_stream_whose_timestamps_restart_is_joined(tmp_path: Path) -> None:
    path = make_talk(tmp_path / "reconnected.flv", b_frames=0)
    data = bytearray(path.read_bytes())
    for position, time in _flv_tags(data):
        if time >= 3000:
            data[position + 4 : position + 7] = (time - 3000).to_bytes(3, "big")
    path.write_bytes(data)
    numbers, times = all_frames(path)
    assert numbers == list(range(150))
    assert np.diff(times).tolist() == pytest.approx([0.04] * 149, abs=0.05)
    assert probe(path).duration == pytest.approx(6, abs=0.15)
    assert [one.kind for one in probe(path).damage] == ["clock"]
    assert onsets(sound_of(path)) == pytest.approx(range(6), abs=0.1)


@pytest.mark.parametrize("name", ["old rip.avi", "no times.mp4"])
def test_frames_are_in_order_without_presentation_timestamps(name: str, tmp_path: Path) -> None:
    path, times = tmp_path / name, [40 * number for number in range(100)]
    made = make_numbered(tmp_path / "made.mp4", times=times, b_frames=2)
    if path.suffix == ".avi":
        run_ffmpeg("-i", str(made), "-c", "copy", str(path))
    else:
        _remove_presentation_times(made, path)
    numbers, _ = all_frames(path)
    assert numbers == list(range(100))
    for mode in MODES:
        for batch in sample_frames(path, fps=3, mode=mode):
            shown = [read_number(frame) for frame in batch.frames]
            assert shown == pytest.approx(batch.times * 25, abs=2)


def _remove_presentation_times(source: Path, target: Path) -> None:
    with av.open(source) as container, av.open(target, "w") as output:
        video = output.add_stream_from_template(container.streams.video[0])
        for number, packet in enumerate(packet for packet in container.demux(video=0) if packet.size):
            packet.pts = packet.dts = number * (packet.duration or 0)
            packet.stream = video
            output.mux(packet)


def test_a_stream_that_refreshes_parts_of_its_pictures_is_decoded(tmp_path: Path) -> None:
    options = {"intra-refresh": "1", "keyint": "25", "x264-params": "intra-refresh=1:keyint=25"}
    path = make_numbered(tmp_path / "live.ts", times=[40 * number for number in range(150)], options=options)
    for mode in MODES:
        for batch in sample_frames(path, fps=1, start=2, mode=mode):
            assert batch.missing == 0
            assert [read_number(frame) for frame in batch.frames] == pytest.approx(batch.times * 25, abs=1)


def test_any_time_of_a_long_program_stream(tmp_path: Path) -> None:
    path = make_talk(tmp_path / "long.mpg", "-q:v", "2", codecs=("mpeg2video", "mp2"), frames=1000, seconds=40)
    start = next(sample_frames(path, times=[0], mode="exact")).times[0]
    for time in (15.3, 24.5, 37.7):
        assert displayed(path, [start + time + 0.02]) == [pytest.approx(time * 25, abs=1)]
        assert onsets(sound_of(path, time, time + 2))[0] == pytest.approx((1 - time % 1) % 1, abs=0.05)


def test_all_frames_of_a_packet_of_sound_are_read(tmp_path: Path) -> None:
    path = tmp_path / "grouped.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=16x16:d=3", "-f", "lavfi", "-i", "sine=d=3", "-c:a", "libopus",
               "-frame_duration", "60", "-application", "voip", str(path))  # fmt: skip
    samples = sound_of(path, 1, 2).reshape(100, -1)
    assert np.abs(samples).max(axis=1).min() > 0.03


def test_sound_outlasts_the_pictures(tmp_path: Path) -> None:
    path = make_talk(tmp_path / "meeting.mp4", frames=75, seconds=20)
    assert probe(path).duration == pytest.approx(20, abs=0.05)
    assert onsets(sound_of(path, 10)) == pytest.approx(list(range(10)), abs=0.02)
    for mode in MODES:
        assert displayed(path, [2.96, 15, 19.9], mode)[1:] == [displayed(path, [2.96], mode)[0]] * 2
    assert displayed(path, [19.9]) == [74]
    clip = cut_clip(path, 12, 14, tmp_path / "clip.mp4")
    assert displayed(clip, [0, 1]) == [74, 74]
    assert probe(clip).duration == pytest.approx(2, abs=0.05)
    assert onsets(sound_of(clip)) == pytest.approx([0, 1], abs=0.03)


def test_clips_of_a_file_with_a_late_picture(tmp_path: Path) -> None:
    path = make_talk(tmp_path / "late.mkv", video_delay=5, **OPUS)
    clip = cut_clip(path, 1, 7, tmp_path / "clip.mp4")
    assert displayed(clip, [0.5, 5.02]) == [0, pytest.approx(25, abs=1)]
    assert onsets(sound_of(clip)) == pytest.approx(range(5), abs=0.03)
    assert displayed(cut_clip(path, 1, 3, tmp_path / "before.mp4"), [0.5]) == [0]


EDITS = {
    "two parts": [(25, 50), (75, 115)],
    "swapped": [(75, 115), (25, 50)],
    "repeated": [(30, 60), (30, 60)],
    "between keyframes": [(31, 44), (107, 138)],
}
"""First and last frame of each part."""


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("edits", EDITS)
def test_edit_lists_are_applied(edits: str, b_frames: int, tmp_path: Path) -> None:
    path = make_numbered(
        tmp_path / "edited.mov", times=[40 * number for number in range(150)], gop=24, b_frames=b_frames,
        container_options={"movie_timescale": "1000"},
    )  # fmt: skip
    delay = 80 * 16 if b_frames else 0
    parts = [((last - first) * 40, first * 640 + delay) for first, last in EDITS[edits]]
    write_edit_list(path, parts)
    expected = [number for first, last in EDITS[edits] for number in range(first, last)]
    pictures = present_pictures(path)
    numbers, times = all_frames(path)
    assert numbers == pictures.numbers
    assert numbers == pytest.approx(expected, abs=1)
    assert times == pytest.approx(pictures.times.tolist(), abs=0.001)
    assert probe(path).damage == ()
    assert probe(path).duration == pytest.approx(len(expected) * 0.04, abs=0.05)
    for mode in MODES:
        found = [(time, read_number(frame)) for batch in sample_frames(path, fps=3, mode=mode)
                 for frame, time in zip(batch.frames, batch.times.tolist(), strict=True)]  # fmt: skip
        assert [number for _, number in found] == [pictures.number_at(time) for time, _ in found]


@pytest.mark.parametrize("position", [0, 20, 149])
@pytest.mark.parametrize("hours", [1, 12])
@pytest.mark.parametrize("ending", [".flv", ".ts"])
def test_a_single_wrong_timestamp_costs_a_frame_at_most(ending: str, hours: int, position: int, tmp_path: Path) -> None:
    path = make_talk(tmp_path / f"flipped{ending}", "-copyts", "-muxdelay", "0", video_delay=1, b_frames=0)
    (_delay_flv_frame if ending == ".flv" else _delay_ts_frame)(path, position, hours * 3600)
    if ending == ".flv" and position == 149:
        return  # The file may as well end with a frame that is shown for hours.
    numbers, times = all_frames(path)
    assert [number for number in numbers if number != position] == [
        number for number in range(150) if number != position
    ]
    shown = dict(zip(numbers, times, strict=True))
    assert shown[140] - shown[30] == pytest.approx(110 / 25, abs=0.01)
    info = probe(path)
    assert info.duration == pytest.approx(7, abs=0.3)
    assert info.damage
    assert onsets(sound_of(path)) == pytest.approx(range(6), abs=0.3)


@pytest.mark.parametrize("milliseconds", [2**31, 2**47])
def test_frames_presented_long_after_they_are_decoded_are_damage(milliseconds: int, tmp_path: Path) -> None:
    path = make_talk(tmp_path / "talk.mkv", "-cluster_time_limit", "200", **OPUS)
    elements = ebml.parse(path.read_bytes())
    *_, last = [one for one in walk(elements) if one.kind == ebml.CLUSTER]
    (timestamp,) = [one for one in last.children or [] if one.kind == ebml.TIMESTAMP]
    timestamp.content = milliseconds.to_bytes(8, "big")
    path.write_bytes(ebml.write(elements))
    _, times = all_frames(path)
    assert times[-1] < 6.1
    info = probe(path)
    assert info.duration == pytest.approx(6, abs=0.3)
    assert any("impossible timestamps" in str(one) for one in info.damage)


def _flv_tags(data: bytearray) -> Iterator[tuple[int, int]]:
    """Yield the position of each tag, and its time in milliseconds."""
    position = 13
    while position < len(data):
        time = int.from_bytes(data[position + 4 : position + 7], "big") + (data[position + 7] << 24)
        yield position, time
        position += int.from_bytes(data[position + 1 : position + 4], "big") + 15


def _flv_frames(data: bytearray) -> dict[int, int]:
    """Return the times of video tags that are not headers, in milliseconds, by their positions."""
    return {position: time for position, time in _flv_tags(data) if data[position] == 9 and data[position + 12] == 1}


def _delay_flv_frame(path: Path, number: int, seconds: int) -> None:
    data = bytearray(path.read_bytes())
    position, time = list(_flv_frames(data).items())[number]
    late = time + seconds * 1000
    data[position + 4 : position + 8] = (late & 0xFFFFFF).to_bytes(3, "big") + bytes([late >> 24])
    path.write_bytes(data)


def _delay_ts_frame(path: Path, number: int, seconds: int) -> None:
    data = bytearray(path.read_bytes())
    starts = [match.start() for match in re.finditer(rb"\x00\x00\x01\xe0", data)]
    position = starts[number] + 9
    old = int.from_bytes(data[position : position + 5], "big")
    pts = ((old >> 33 & 7) << 30 | (old >> 17 & 0x7FFF) << 15 | old >> 1 & 0x7FFF) + seconds * 90_000
    new = 0x2100010001 | (pts >> 30 & 7) << 33 | (pts >> 15 & 0x7FFF) << 17 | (pts & 0x7FFF) << 1
    data[position : position + 5] = new.to_bytes(5, "big")
    path.write_bytes(data)


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_all_gaps_together_last_a_day_at_most(ending: str, tmp_path: Path) -> None:
    parts = [20 * 3_600_000 * part for part in range(20)]
    times = [start + 40 * number for start in parts for number in range(20)]
    path = make_numbered(tmp_path / f"gaps{ending}", times=times)
    assert 20 * 3600 < probe(path).duration < 25 * 3600
    assert sum(len(batch.frames) for batch in sample_frames(path, fps=30, mode="exact")) == len(times)


def test_a_last_frame_lasts_ten_minutes_at_most(tmp_path: Path) -> None:
    source, path = make_numbered(tmp_path / "source.mp4"), tmp_path / "long.mp4"
    with av.open(source) as original, av.open(path, "w") as container:
        stream = container.add_stream_from_template(original.streams.video[0])
        packets = [packet for packet in original.demux(video=0) if packet.size]
        packets[-1].duration = round(30 * 3600 / packets[-1].time_base)
        for packet in packets:
            packet.stream = stream
            container.mux(packet)
    assert probe(path).duration == pytest.approx(600 + 74 / 25, abs=0.1)


def test_an_impossible_frame_rate_is_replaced(tmp_path: Path) -> None:
    path = make_talk(tmp_path / "slow.avi", codecs=("copy", "pcm_s16le"))
    data = path.read_bytes()
    header = data.index(b"strh") + 28
    assert struct.unpack_from("<II", data, header) == (1, 25)
    path.write_bytes(data[:header] + struct.pack("<II", 100_000, 25) + data[header + 8 :])
    numbers, times = all_frames(path)
    assert numbers == list(range(150))
    assert times == pytest.approx(np.arange(150) / 25, abs=0.1)
    assert probe(path).duration == pytest.approx(6, abs=0.1)
    assert "impossible frame rate" in str(probe(path).damage[0])


ORIENTATIONS = [(turn, flip) for turn in (0, 90, 180, 270) for flip in ((), ("-display_hflip",))]


@pytest.mark.parametrize(("turn", "flip"), ORIENTATIONS)
def test_pictures_are_turned_and_mirrored_as_displayed(turn: int, flip: tuple[str, ...], tmp_path: Path) -> None:
    stored, path = make_numbered(tmp_path / "stored.mp4", times=[0, 40]), tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", str(turn), *flip, "-i", str(stored), "-c", "copy", str(path))
    displayed_width = 90 if turn % 180 else 160
    picture = present_pictures(path, width=displayed_width).pictures[0].astype(int)
    (batch,) = sample_frames(path, size=120)
    found = batch.frames[0].mean(axis=-1)
    assert (probe(path).width, probe(path).height) == (found.shape[1], found.shape[0])
    rows, columns = ((np.arange(12) * 2 + 1) * side // 24 for side in found.shape)
    other_rows, other_columns = ((np.arange(12) * 2 + 1) * side // 24 for side in picture.shape)
    assert np.abs(found[np.ix_(rows, columns)] - picture[np.ix_(other_rows, other_columns)]).max() < 30


def mux(path: Path, *inputs: Path, options: list[str]) -> Path:
    sources = [part for source in inputs for part in ("-i", str(source))]
    maps = [part for number in range(len(inputs)) for part in ("-map", str(number))]
    run_ffmpeg(*sources, *maps, "-c", "copy", *options, str(path))
    return path


def test_the_track_that_players_show_is_read(tmp_path: Path) -> None:
    thumbnail = make_numbered(tmp_path / "thumbnail.mp4", times=[0])
    film = make_numbered(tmp_path / "film.mp4", times=[40 * number for number in range(100)], options={"qp": "10"})
    other = make_numbered(tmp_path / "other.mp4", times=[80 * number for number in range(50)], options={"qp": "10"})
    path = mux(tmp_path / "cover.mp4", thumbnail, film, options=["-disposition:v:1", "default"])
    assert displayed(path, [2]) == [50]
    path = mux(tmp_path / "no default.mkv", thumbnail, film, options=["-disposition:v:1", "0", "-disposition:v:0", "0"])
    assert displayed(path, [2]) == [50]
    path = mux(tmp_path / "second.mkv", film, other, options=["-disposition:v:0", "0", "-disposition:v:1", "default"])
    assert displayed(path, [2]) == [25]
    assert [(one.track, one.kind, one.is_default) for one in probe(path).streams] == [
        (0, "video", False),
        (1, "video", True),
    ]
    first = next(sample_frames(path, times=[2], mode="exact", track=0))
    assert read_number(first.frames[0]) == 50
    with pytest.raises(InputError, match=r"has no video track 7\. Choose one of 0, 1"):
        sample_frames(path, track=7)


def test_audio_tracks_are_chosen_by_default_number_and_language(tmp_path: Path) -> None:
    inputs = ["-f", "lavfi", "-i", "color=s=16x16:d=2"]
    for tone in (200, 500):
        inputs += ["-f", "lavfi", "-i", f"sine=f={tone}:d=2:r=16000"]
    path = tmp_path / "dubbed.mkv"
    run_ffmpeg(*inputs, "-map", "0", "-map", "1", "-map", "2", "-c:a", "flac", "-metadata:s:a:0", "language=ger",
               "-metadata:s:a:1", "language=eng", "-disposition:a:0", "0", "-disposition:a:1", "default",
               str(path))  # fmt: skip

    def frequency(**options: Any) -> float:
        samples = next(read_audio(path, **options)).samples
        return float(np.fft.rfftfreq(len(samples), 1 / RATE)[np.abs(np.fft.rfft(samples)).argmax()])

    assert frequency() == pytest.approx(500, abs=5)
    assert frequency(track=1) == frequency(track="de") == pytest.approx(200, abs=5)
    assert frequency(track="en") == pytest.approx(500, abs=5)
    with pytest.raises(InputError, match=r"no audio track 'fr'\. Choose one of 1 \(ger\), 2 \(eng\)"):
        read_audio(path, track="fr")


@pytest.mark.parametrize("channels", ["c0|c1=-1*c0", "c0|c1=-0.7*c0"])
def test_channels_in_opposite_phase_do_not_cancel_out(channels: str, tmp_path: Path) -> None:
    path = tmp_path / "call.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=16x16:d=3", "-f", "lavfi", "-i", "sine=f=300:d=3",
               "-af", f"volume=0.5,pan=stereo|c0={channels.replace('c1=', 'c1=')}", "-c:a", "flac",
               str(path))  # fmt: skip
    assert np.abs(sound_of(path, 1, 2)).max() > 0.04


@pytest.mark.parametrize(("name", "arguments", "options"), CONTAINERS, ids=[name for name, *_ in CONTAINERS])
def test_times_are_those_of_ffmpeg(name: str, arguments: dict[str, Any], options: list[str], tmp_path: Path) -> None:
    path = make_talk(tmp_path / name, *options, **arguments)
    pictures, sound = present_pictures(path), present_sound(path, RATE)
    numbers, times = all_frames(path)
    assert numbers == pictures.numbers
    assert times == pytest.approx(pictures.times.tolist(), abs=0.0015)
    assert onsets(sound_of(path)) == pytest.approx(onsets(sound), abs=0.003)
    assert probe(path).duration == pytest.approx(max(pictures.times[-1] + 0.04, len(sound) / RATE), abs=0.05)
    assert probe(path).damage == ()
    for mode in MODES:
        numbers, times = [], []
        for batch in sample_frames(path, fps=2, mode=mode):
            numbers += [read_number(frame) for frame in batch.frames]
            times += batch.times.tolist()
        assert numbers == [pictures.number_at(time) for time in times]
