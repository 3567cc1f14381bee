"""Unusual files are read correctly; damaged and malicious ones are read in part or raise a helpful error."""

import multiprocessing
import struct
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from langchain_videochat.errors import MediaError, SourceError, VideoChatError
from langchain_videochat.media import Damage, probe, read_subtitles, sample_frames
from langchain_videochat.media.audio import read_audio
from langchain_videochat.media.ffmpeg import find_ffmpeg
from langchain_videochat.perception import PerceptionCallbacks, perceive
from tests import hostile_files
from tests.hostile_files import CORNERS, make_corners, make_talk, read_corners
from tests.media_files import STRANGE_NAMES, make_traps, run_ffmpeg
from tests.numbered_video import decode_in_sequence, make_numbered, read_number, regular

VIDEO_READERS: dict[str, Callable[[Any], Any]] = {
    "probe": probe,
    "sample_frames": lambda source: list(sample_frames(source)),
    "perceive": lambda source: list(perceive(source, "lite")),
}
ALL_READERS: dict[str, Callable[[Any], Any]] = {
    **VIDEO_READERS,
    "read_audio": lambda source: list(read_audio(source)),
    "read_subtitles": read_subtitles,
}
B_FRAMES: dict[str, Any] = {"b_frames": 2, "options": {"preset": "veryfast", "qp": "10"}}


def frames_of(path: str | Path, **arguments: Any) -> tuple[list[NDArray[np.uint8]], list[float]]:
    batches = list(sample_frames(path, **{"fps": 1000, **arguments}))
    return [frame for batch in batches for frame in batch.frames], [time for batch in batches for time in batch.times]


def numbers_of(path: Path, **arguments: Any) -> tuple[list[int], list[float]]:
    frames, times = frames_of(path, **arguments)
    return [read_number(frame) for frame in frames], times


def make_nothing(path: Path) -> None:
    """Create no file."""


def make_folder(path: Path) -> None:
    path.mkdir()


def make_empty(path: Path) -> None:
    path.touch()


def make_text(path: Path) -> None:
    path.write_text("Dear diary, today I am a video.\n" * 50)


def make_png(path: Path) -> None:
    Image.new("RGB", (64, 48)).save(path, "PNG")


def make_truncated(path: Path) -> None:
    hostile_files.cut(make_numbered(path.with_name("whole.mp4")), path)


def make_audio(path: Path) -> None:
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=1", f"file:{path}")


def make_audio_with_cover(path: Path) -> None:
    cover = path.with_name("cover.png")
    make_png(cover)
    inputs = ["-f", "lavfi", "-i", "sine=d=1", "-i", f"file:{cover}", "-map", "0", "-map", "1"]
    run_ffmpeg(*inputs, "-c:v", "copy", "-disposition:v", "attached_pic", f"file:{path}")


def make_still_webp(path: Path) -> None:
    Image.new("RGB", (64, 48)).save(path, "WEBP")


@pytest.mark.parametrize("reader", ALL_READERS)
@pytest.mark.parametrize(
    ("make", "name", "error", "message"),
    [
        (make_nothing, "gone.mp4", SourceError, r"gone\.mp4: no such file\. Check the path\."),
        (make_folder, "folder.mp4", SourceError, r"folder\.mp4: is not a regular file\. Give a video file\."),
        (make_empty, "empty.mp4", MediaError, r"empty\.mp4: is empty\. Copy or download"),
        (make_text, "diary.mp4", MediaError, r"diary\.mp4: .*cannot be read.*\. It may be incomplete or not a video"),
        (
            make_png,
            "picture.mp4",
            MediaError,
            r"picture\.mp4: .*cannot be read.*\. It may be incomplete or not a video",
        ),
        (make_truncated, "truncated.mp4", MediaError, r"truncated\.mp4: .*cannot be read.*\. It may be incomplete"),
    ],
)
def test_non_media_files_are_refused(
    make: Callable[[Path], None], name: str, error: type[VideoChatError], message: str, reader: str, tmp_path: Path
) -> None:
    make(tmp_path / name)
    with pytest.raises(error, match=message):
        ALL_READERS[reader](tmp_path / name)


@pytest.mark.parametrize("reader", VIDEO_READERS)
@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (make_audio, "audio.mp3", r"audio\.mp3: this file has no video stream\. Give a file with moving pictures\."),
        (make_audio, "audio.m4a", r"audio\.m4a: this file has no video stream\. Give a file with moving pictures\."),
        (make_audio, "audio.mkv", r"audio\.mkv: this file has no video stream\. Give a file with moving pictures\."),
        (make_audio_with_cover, "cover.mp4", r"cover\.mp4: this file has no video stream\. Give a file with moving"),
        (make_still_webp, "still.webp", r"still\.webp: this is a still picture\. Give a video or an animated"),
    ],
)
def test_files_without_video_are_refused(
    make: Callable[[Path], None], name: str, message: str, reader: str, tmp_path: Path
) -> None:
    make(tmp_path / name)
    with pytest.raises(MediaError, match=message):
        VIDEO_READERS[reader](tmp_path / name)


@pytest.mark.parametrize(("make", "name"), [(make_audio, "audio.mp3"), (make_audio_with_cover, "cover.mp4")])
def test_audio_files_can_be_read(make: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    samples = np.concatenate([chunk.samples for chunk in read_audio(tmp_path / name)])
    assert len(samples) == pytest.approx(16_000, rel=0.1)
    assert np.abs(samples).max() > 0.05


def test_a_silent_video_has_no_audio(tmp_path: Path) -> None:
    path = make_numbered(tmp_path / "silent.mp4")
    with pytest.raises(MediaError, match=r"silent\.mp4: this file has no audio\. Give a file with an audio stream\."):
        list(read_audio(path))
    assert read_subtitles(path) == []


@pytest.mark.parametrize("name", ["one.mp4", "one.mkv", "one.webm", "one.ts", "one.avi", "one.gif"])
def test_a_single_frame_is_a_video(name: str, tmp_path: Path) -> None:
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4", ".gif": "gif"}.get(Path(name).suffix, "libx264")
    path = make_numbered(tmp_path / name, codec, [0], pix_fmt="gray" if codec == "gif" else "yuv420p")
    for mode in ("exact", "keyframes", "auto"):
        assert numbers_of(path, mode=mode) == ([0], [0.0])
    assert 0 < probe(path).duration <= 0.2
    assert [one.modality for one in perceive(path, "lite")] == ["scene"]


@pytest.mark.parametrize("frames", [1, 3, 30])
@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
@pytest.mark.parametrize("name", ["rotated.mp4", "rotated.mkv"])
def test_frames_are_upright(name: str, quarter_turns: int, frames: int, tmp_path: Path) -> None:
    path = make_corners(tmp_path / name, quarter_turns=quarter_turns, frames=frames)
    info = probe(path)
    assert info.rotation == 90 * quarter_turns
    assert (info.width, info.height) == ((160, 120) if quarter_turns == 2 else (120, 160))
    for picture in frames_of(path)[0]:
        assert picture.shape[:2] == (info.height, info.width)
        assert read_corners(picture) == list(CORNERS)


@pytest.mark.parametrize(
    ("name", "quarter_turns", "shape"),
    [
        ("wide.mp4", 0, (120, 320)),
        ("wide.mkv", 0, (120, 320)),
        ("wide.ts", 0, (120, 320)),
        ("wide.mp4", 1, (320, 120)),
        ("wide.mkv", 1, (320, 120)),
    ],
)
def test_pixels_become_square(name: str, quarter_turns: int, shape: tuple[int, int], tmp_path: Path) -> None:
    path = make_corners(tmp_path / name, quarter_turns=quarter_turns, pixel_aspect=(2, 1))
    info = probe(path)
    picture = frames_of(path)[0][0]
    assert (info.height, info.width) == picture.shape[:2] == shape
    assert read_corners(picture) == list(CORNERS)


@pytest.mark.parametrize(("codec", "name"), [("libx264", "odd.mp4"), ("libvpx-vp9", "odd.webm"), ("ffv1", "odd.mkv")])
def test_odd_sizes_are_kept(codec: str, name: str, tmp_path: Path) -> None:
    path = make_corners(tmp_path / name, codec, size=(321, 241))
    assert frames_of(path)[0][0].shape == (241, 321, 3)
    assert (probe(path).width, probe(path).height) == (321, 241)
    assert read_corners(frames_of(path)[0][0]) == list(CORNERS)


@pytest.mark.parametrize(
    ("codec", "name", "pix_fmt"),
    [
        ("libx265", "ten bits.mp4", "yuv420p10le"),
        ("libx264", "ten bits.mkv", "yuv422p10le"),
        ("libx265", "twelve bits.mp4", "yuv420p12le"),
        ("ffv1", "sixteen bits.mkv", "rgb48le"),
    ],
)
def test_high_bit_depths_become_eight_bits(codec: str, name: str, pix_fmt: str, tmp_path: Path) -> None:
    quiet = {"x265-params": "log-level=error"} if codec == "libx265" else {}
    path = make_corners(tmp_path / name, codec, pix_fmt=pix_fmt, options=quiet)
    assert read_corners(frames_of(path)[0][0]) == list(CORNERS)


def test_ten_bit_vp9_becomes_eight_bits(tmp_path: Path) -> None:
    run_ffmpeg(
        *("-f", "lavfi", "-i", "color=red:s=64x64:d=1:r=5,format=gbrp", "-pix_fmt", "yuv420p10le"),
        *("-c:v", "libvpx-vp9", "-deadline", "realtime", str(tmp_path / "ten.webm")),
    )
    assert frames_of(tmp_path / "ten.webm")[0][0].mean(axis=(0, 1)) == pytest.approx([255, 0, 0], abs=8)


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv", "late.ts", "late.flv"])
def test_times_start_at_zero(name: str, tmp_path: Path) -> None:
    path = make_numbered(tmp_path / name, times=[5000 + time for time in regular(25)], **B_FRAMES)
    numbers, times = numbers_of(path, mode="exact")
    assert numbers == list(range(25))
    assert times == pytest.approx(np.arange(25) / 25, abs=0.001)
    assert probe(path).duration == pytest.approx(1, abs=0.01)
    assert numbers_of(path, fps=None, times=[0.5], mode="exact")[0] == [12]


@pytest.mark.parametrize("name", ["uneven.mp4", "uneven.mkv", "uneven.webm"])
def test_variable_frame_rates_keep_their_times(name: str, tmp_path: Path) -> None:
    given_times = [0, 40, 90, 1000, 1010, 3500, 3540]
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = make_numbered(tmp_path / name, codec, given_times)
    numbers, times = numbers_of(path)
    assert numbers == list(range(7))
    assert times == pytest.approx(np.array(given_times) / 1000, abs=0.001)
    numbers, times = numbers_of(path, fps=1, mode="exact")
    assert numbers == [0, 3, 4]
    assert times == pytest.approx([0, 1, 1.01], abs=0.001)


@pytest.mark.parametrize(("muxer", "codec"), [("matroska", "libx264"), ("webm", "libvpx-vp9")])
def test_duration_is_found_without_one_in_the_header(muxer: str, codec: str, tmp_path: Path) -> None:
    source = make_numbered(tmp_path / "source.mkv", codec)
    command: list[str] = [find_ffmpeg(), "-nostdin", "-loglevel", "error", "-i", str(source), "-c", "copy"]
    command += ["-live", "1", "-f", muxer, "pipe:"]
    path = tmp_path / "live.mkv"
    path.write_bytes(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    with av.open(path) as container:
        assert not container.duration
    assert probe(path).duration == pytest.approx(3, abs=0.05)
    assert numbers_of(path)[0] == list(range(75))


@pytest.mark.parametrize("seconds", ["0.6", "1.2"])
def test_frames_hidden_by_an_edit_list_stay_hidden(seconds: str, tmp_path: Path) -> None:
    whole = make_numbered(tmp_path / "whole.mp4", gop=40, **B_FRAMES)
    path = tmp_path / "edited.mp4"
    run_ffmpeg("-ss", seconds, "-i", str(whole), "-c", "copy", str(path))
    plain = decode_in_sequence(path)
    assert plain.numbers[0] == round(float(seconds) * 25)
    for mode in ("exact", "auto"):
        numbers, times = numbers_of(path, mode=mode)
        assert numbers == plain.numbers.tolist()
        assert times == pytest.approx(plain.times, abs=1e-6)
    assert numbers_of(path, fps=None, times=[0.1], mode="exact")[0] == [plain.numbers[plain.displayed_at(0.1)]]
    assert probe(path).duration == pytest.approx(3 - float(seconds), abs=0.05)


def make_animation(path: Path) -> None:
    pictures = [Image.new("RGB", (80, 60), color) for color in CORNERS.values()]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 300, 200, 400], lossless=True)


@pytest.mark.parametrize("name", ["animated.gif", "animated.webp"])
def test_animations_are_videos(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    make_animation(path)
    info = probe(path)
    assert (info.width, info.height) == (80, 60)
    assert info.duration == pytest.approx(1)
    frames, times = frames_of(path)
    assert times == pytest.approx([0, 0.1, 0.4, 0.6])
    assert [frame.mean(axis=(0, 1)) for frame in frames] == [pytest.approx(c, abs=2) for c in CORNERS.values()]


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_strange_names_are_read_as_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_talk(tmp_path / "talk.mp4").rename(tmp_path / name)
    for source in (name, tmp_path / name, (tmp_path / name).as_uri()):
        assert probe(source).title == Path(name).stem
        assert len(frames_of(source)[0]) == 30
        assert sum(len(chunk.samples) for chunk in read_audio(source)) == pytest.approx(32_000, rel=0.1)
        assert [cue.text for cue in read_subtitles(source)] == ["Two eggs"]


def test_an_interrupted_download_reports_missing_seconds(tmp_path: Path) -> None:
    whole = make_numbered(tmp_path / "whole.mp4", container_options={"movflags": "faststart"}, **B_FRAMES)
    path = hostile_files.cut(whole, tmp_path / "half.mp4")
    info = probe(path)
    assert probe(whole).missing == pytest.approx(0)
    assert 0.5 < info.duration < 2.5
    assert info.duration + info.missing == pytest.approx(3, abs=0.05)
    numbers, _ = numbers_of(path)
    assert len(numbers) == pytest.approx(info.duration * 25, abs=3)
    assert sorted(numbers)[:10] == list(range(10))
    damage: list[Damage] = []
    assert list(perceive(path, "lite", callbacks=PerceptionCallbacks(damage=damage.append)))
    assert sum(one.seconds for one in damage) >= info.missing


@pytest.mark.parametrize("name", ["half.mkv", "half.ts", "half.avi", "half.flv", "half.mpg", "half.gif", "half.webm"])
def test_half_of_a_file_yields_half_of_the_frames(name: str, tmp_path: Path) -> None:
    path = hostile_files.cut(make_talk(tmp_path / f"whole{Path(name).suffix}"), tmp_path / name)
    assert 0.2 < probe(path).duration < 1.8
    frames, times = frames_of(path, fps=None, times=[0, 0.2])
    assert len(frames) == 2
    assert times == pytest.approx([0, 0.2], abs=0.08)


@pytest.fixture(scope="module")
def fresh_process() -> Iterator[ProcessPoolExecutor]:
    """Run each call in a new process, whose peak memory is due to that call only."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        yield pool


def make_wide_video(path: Path) -> None:
    source = "color=red:s=20000x16:d=0.2:r=10"
    run_ffmpeg("-f", "lavfi", "-i", source, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", f"file:{path}")


def make_stretched_video(path: Path) -> None:
    """Write a video whose pixels are 100 times as wide as high."""
    make_corners(path, size=(320, 120), pixel_aspect=(100, 1))


def make_big_webp(path: Path, width: int, height: int) -> None:
    """Write an animation of small pictures whose header declares a canvas of this size."""
    make_animation(path)
    data = bytearray(path.read_bytes())
    data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    path.write_bytes(data)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure peak memory")
@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (lambda path: hostile_files.make_huge_gif(path, 20_000, 100), "wide.gif", "20000 x 100 .* over the limit"),
        (lambda path: hostile_files.make_huge_gif(path, 20_000, 20_000), "huge.gif", "over the limit of 67,108,864"),
        (lambda path: hostile_files.make_bomb(path, 20_000, 20_000), "bomb.avi", "none of the requested frames"),
        (lambda path: hostile_files.make_bomb(path, 20_000, 20_000), "bomb.mov", "none of the requested frames"),
        (make_wide_video, "wide.avi", "20000 x 16 .* over the limit"),
        (make_stretched_video, "stretched.mp4", "32000 x 120 .* over the limit"),
        (lambda path: make_big_webp(path, 16_000, 5_000), "wide.webp", "16000 x 5000 .* over the limit"),
        (lambda path: make_big_webp(path, 60_000, 60_000), "huge.webp", "over the limit of 67,108,864"),
    ],
)
def test_huge_pictures_do_not_exhaust_memory(
    make: Callable[[Path], None], name: str, message: str, tmp_path: Path, fresh_process: ProcessPoolExecutor
) -> None:
    path = tmp_path / name
    make(path)
    outcome, memory = fresh_process.submit(hostile_files.read_in_memory, path).result(timeout=60)
    assert outcome["frames"] == "MediaError"
    assert memory < 150 * 2**20
    with pytest.raises(MediaError, match=message):
        frames_of(path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure peak memory")
@pytest.mark.parametrize(("size", "limit"), [(64, 650), (None, 1024)])
def test_few_large_frames_are_in_memory_at_a_time(
    size: int | None, limit: int, tmp_path: Path, fresh_process: ProcessPoolExecutor
) -> None:
    path = hostile_files.make_large_animation(tmp_path / "large.gif")  # 256 MiB per frame
    options = {"fps": 10, "mode": "exact", "size": size}
    frames, memory = fresh_process.submit(hostile_files.sample_in_memory, path, **options).result(timeout=120)
    assert frames == 5
    assert memory < limit * 2**20


def make_negative_track(path: Path) -> None:
    make_numbered(path, container_options={"movflags": "frag_keyframe+empty_moov"})
    hostile_files.replace_box(path, b"tkhd", lambda content: content[:12] + b"\xff\xff\xff\xfe" + content[16:])


def make_endless_fragment(path: Path) -> None:
    """Write a fragment of two hundred million samples of the default size."""
    make_numbered(path, container_options={"movflags": "frag_keyframe+empty_moov"})
    count = struct.pack(">II", 1, 200_000_000)
    hostile_files.replace_box(path, b"trun", lambda content: count + content[8:])


def make_endless_track(path: Path) -> None:
    """Write a track of two hundred million samples of ten bytes."""
    make_numbered(path)
    hostile_files.replace_box(path, b"stsz", lambda content: struct.pack(">III", 0, 10, 200_000_000) + content[12:])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_negative_track, "invalid number -2"),
        (make_endless_fragment, "200,000,000 frames"),
        (make_endless_track, "200,000,000 frames"),
    ],
)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_tables_that_cost_minutes_or_gigabytes_are_refused(
    make: Callable[[Path], None], message: str, is_compressed: bool, tmp_path: Path
) -> None:
    path = tmp_path / "tables.mp4"
    make(path)
    if is_compressed and make is not make_endless_fragment:
        hostile_files.compress_header(path)
    for reader in ALL_READERS.values():
        with pytest.raises(MediaError, match=message):
            reader(path)


@pytest.mark.parametrize("codec", ["pcm_s16le", "adpcm_ima_qt"])
@pytest.mark.parametrize("part", [1.0, 0.3])
def test_sound_of_constant_size_is_not_mistaken_for_a_wrong_table(codec: str, part: float, tmp_path: Path) -> None:
    path = tmp_path / "sound.mov"
    picture = ["-f", "lavfi", "-i", "color=s=16x16:d=60:r=1"]
    sound = ["-f", "lavfi", "-i", "sine=d=60:r=96000"]
    run_ffmpeg(*picture, *sound, "-c:v", "mpeg4", "-c:a", codec, "-movflags", "faststart", str(path))
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * part)])
    assert probe(path).duration == pytest.approx(60 * part, rel=0.1)


@pytest.mark.parametrize("reader", ALL_READERS)
def test_scripts_and_playlists_open_no_other_file(reader: str, tmp_path: Path) -> None:
    (tmp_path / "numbers").mkdir()
    for trap in [*make_traps(tmp_path), *make_more_traps(tmp_path / "numbers")]:
        with pytest.raises(MediaError, match=trap.name):
            ALL_READERS[reader](trap)


def make_more_traps(folder: Path) -> list[Path]:
    make_numbered(folder / "secret.mp4")
    make_png(folder / "1.png")
    texts = {
        "playlist.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        "script.ffconcat": "ffconcat version 1.0\nfile secret.mp4\n",
        "manifest.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>secret.mp4</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
        "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 33\n",
        "%d.png": (folder / "1.png").read_bytes().decode("latin-1"),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="latin-1")
    return [folder / name for name in texts]


@pytest.mark.parametrize("reader", ALL_READERS)
@pytest.mark.parametrize(
    "name",
    [
        "concat:secret.mp4|secret.mp4",
        "subfile:,,start,0,end,0,,:secret.mp4",
        "async:secret.mp4",
        "crypto:secret.mp4",
        "pipe:0",
        "data:video/mp4;base64,AAAA",
        "lavfi:testsrc",
        "%d.png",
        "tcp://127.0.0.1:9/",
        "rtsp://127.0.0.1/secret.mp4",
        "http://127.0.0.1:9/secret.mp4",
    ],
)
def test_names_that_make_ffmpeg_open_other_files_are_refused(
    name: str, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbered(tmp_path / "secret.mp4")
    make_png(tmp_path / "1.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError):
        ALL_READERS[reader](name)


def test_quicktime_references_to_other_files_are_refused(tmp_path: Path) -> None:
    secret = make_numbered(tmp_path / "secret.mov")
    trap = hostile_files.point_elsewhere(make_numbered(tmp_path / "trap.mov"), secret)
    with av.open(trap, options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert next(container.decode(video=0)).width == 160  # other readers follow the reference
    for reader in VIDEO_READERS.values():
        with pytest.raises(MediaError, match=r"trap\.mov"):
            reader(trap)


ENDINGS = [".mp4", ".mkv", ".ts", ".avi", ".flv", ".webm", ".gif"]


@pytest.fixture(scope="module")
def intact_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("intact files")
    return {ending: make_talk(folder / f"talk{ending}") for ending in ENDINGS}


@pytest.fixture(scope="module")
def reading_process() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


# Damage to the header, at the start of the file, has the largest effect.
positions = st.integers(0, 1500) | st.integers(0, 100_000)


@settings(max_examples=80, derandomize=True)
@given(
    ending=st.sampled_from(ENDINGS), flips=st.lists(st.tuples(positions, st.integers(0, 7)), min_size=1, max_size=30)
)
def test_flipped_bits_yield_a_result_or_a_media_error(
    ending: str,
    flips: list[tuple[int, int]],
    intact_files: dict[str, Path],
    reading_process: ProcessPoolExecutor,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged{ending}"
    hostile_files.flip_bits(intact_files[ending], path, flips)
    outcome = reading_process.submit(hostile_files.read_everything, path).result(timeout=60)
    assert set(outcome.values()) <= {"result", "MediaError"}


@pytest.mark.parametrize("name", ["clock.flv", "clock.mkv"])
def test_a_single_wrong_timestamp_does_not_extend_a_video(name: str, tmp_path: Path) -> None:
    """One flipped bit in a timestamp of milliseconds can move a frame by weeks."""
    path = make_numbered(tmp_path / name, times=[*regular(25), 2_000_000_000])
    numbers, times = numbers_of(path)
    assert numbers == list(range(25))
    assert times == pytest.approx(np.arange(25) / 25, abs=0.001)
    assert probe(path).duration == pytest.approx(1, abs=0.1)
