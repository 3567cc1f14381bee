"""Clips start and end at the requested times, and incomplete ones never appear."""

import io
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.media import probe, read_subtitle_pictures, read_subtitles, sample_frames
from langchain_videochat.media.audio import read_audio
from langchain_videochat.media.clips import cut_clip, thumbnail, write_clip
from langchain_videochat.media.index import index_media
from tests import hostile_files
from tests.media_files import STRANGE_NAMES, make_beeps, make_traps, run_ffmpeg
from tests.picture_subtitles import Event, make_picture_video
from tests.subtitled_video import make_plain_video

FRAME = 1 / 25


@pytest.fixture(scope="module")
def beeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_beeps(tmp_path_factory.mktemp("beeps") / "beeps.mp4")


def number(brightness: float) -> float:
    """Convert the brightness of an RGB frame to its number (see `make_beeps`)."""
    return brightness * 219 / 255 + 16 - 20


def first_number(clip: Path) -> float:
    return number(next(sample_frames(clip, times=[0.0], mode="exact")).frames.mean())


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".webm", ".gif"])
@pytest.mark.parametrize("source", ["plain.mp4", "at 1.4.ts", "at 5.mkv"])
def test_clip_contains_the_requested_interval(source: str, ending: str, tmp_path: Path) -> None:
    offset = ["-output_ts_offset", "5"] if source.endswith("mkv") else []
    path = make_beeps(tmp_path / source, *offset)
    clip = cut_clip(path, 1.56, 4.2, tmp_path / f"clip{ending}")
    assert clip == tmp_path / f"clip{ending}"
    index = index_media(clip)
    assert index.duration == pytest.approx(4.2 - 1.56, abs=0.08 if ending == ".gif" else FRAME)
    # GIF frames last 0.08 s and have 256 colors.
    displayed = next(sample_frames(path, times=[1.56], mode="exact"))
    assert first_number(clip) == pytest.approx(number(displayed.frames.mean()), abs=2.5 if ending == ".gif" else 1)
    assert displayed.times == pytest.approx([1.56], abs=FRAME)
    if ending != ".gif":
        samples = next(read_audio(clip)).samples
        beeps = [np.abs(samples[int(16_000 * (time - 1.56 + 0.03)) :][:800]).max() for time in (2, 3, 4)]
        assert min(beeps) > 0.3
        assert np.abs(samples[: int(16_000 * 0.41)]).max() < 0.1


@settings(max_examples=12, deadline=None)
@given(st.floats(0, 5.8), st.floats(0.05, 3))
def test_any_interval(beeps: Path, tmp_path_factory: pytest.TempPathFactory, start: float, length: float) -> None:
    clip = cut_clip(beeps, start, start + length, tmp_path_factory.mktemp("clip") / "clip.mp4")
    assert index_media(clip).duration == pytest.approx(min(start + length, 6) - start, abs=FRAME)
    assert first_number(clip) == pytest.approx(start / FRAME, abs=1.6)


def test_a_preview_is_smaller_with_the_same_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    large = make_beeps(tmp_path / "large.mp4", size="960x540")

    whole = cut_clip(large, 0.4, 3, tmp_path / "whole.mp4")
    assert capsys.readouterr().err == ""
    small = cut_clip(large, 0.4, 3, tmp_path / "small.mp4", preview=True, show_progress=True)

    assert (probe(small).width, probe(small).height) == (640, 360)
    assert small.stat().st_size < whole.stat().st_size
    assert index_media(small).duration == pytest.approx(2.6, abs=FRAME)
    assert first_number(small) == pytest.approx(10, abs=1)
    assert "small.mp4: " in capsys.readouterr().err


def test_clip_of_a_low_frame_rate_starts_with_the_displayed_frame(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "slow.mkv", rate=1)
    clip = cut_clip(path, 3.5, 5.25, tmp_path / "clip.mp4")
    assert first_number(clip) == pytest.approx(3, abs=0.6)
    assert index_media(clip).duration == pytest.approx(1.75, abs=0.08)


def test_odd_size_without_audio(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=33x17:d=1", "-c:v", "ffv1", str(path))
    clip = cut_clip(path, 0.2, 0.8, tmp_path / "clip.mp4")
    assert next(sample_frames(clip)).frames.shape[1:3] == (16, 32)
    with pytest.raises(MediaError, match="no audio"):
        read_audio(clip)


def test_clip_after_the_end_of_the_audio_is_silent(tmp_path: Path) -> None:
    path = make_beeps(tmp_path / "early end.mkv", seconds=20, audio_filter="atrim=end=2.5")
    clip = cut_clip(path, 15, 16, tmp_path / "clip.mp4")
    assert np.abs(next(read_audio(clip)).samples).max() < 0.01


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_strange_names(name: str, beeps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(beeps, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    clip = cut_clip(name, 1, 1.5, Path("out", name))
    assert clip == Path("out", name)
    assert first_number(clip) == pytest.approx(25, abs=1)
    assert thumbnail(name, 1).startswith(b"\xff\xd8")
    assert [path.name for path in Path("out").iterdir()] == [name]


def test_existing_output_is_kept_unless_overwriting(beeps: Path, tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    output.write_bytes(b"precious")
    with pytest.raises(InputError, match="already exists"):
        cut_clip(beeps, 0, 1, output)
    assert output.read_bytes() == b"precious"
    cut_clip(beeps, 0, 1, output, overwrite=True)
    assert index_media(output).duration == pytest.approx(1, abs=FRAME)


def test_a_failed_cut_changes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "clip.mp4"
    output.write_bytes(b"precious")
    children = set(psutil.Process().children())
    for trap in make_traps(tmp_path):
        with pytest.raises(MediaError):
            cut_clip(trap, 0, 1, output, overwrite=True)
        with pytest.raises(MediaError):
            thumbnail(trap, 0)
    assert output.read_bytes() == b"precious"
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert set(psutil.Process().children()) <= children


@pytest.fixture(scope="module")
def fresh_process() -> Iterator[ProcessPoolExecutor]:
    """Run each call in a new process, whose peak memory is due to that call only."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        yield pool


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure peak memory")
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.5), (5000.0, 5000.5), (9000.0, 10000.5)])
def test_silence_of_hours_is_not_held_in_memory(
    start: float, end: float, tmp_path: Path, fresh_process: ProcessPoolExecutor
) -> None:
    path, output = tmp_path / "late sound.mkv", tmp_path / "clip.mkv"
    late = ["-itsoffset", "10000", "-f", "lavfi", "-i", "sine=d=1:r=48000"]
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32:d=1", *late, "-map", "0", "-map", "1", str(path))
    memory = fresh_process.submit(hostile_files.cut_in_memory, path, start, end, output).result(timeout=120)
    assert memory < 250 * 2**20
    assert index_media(output).duration == pytest.approx(end - start, abs=0.08)
    loudness = [float(np.abs(chunk.samples).max()) for chunk in read_audio(output, chunk_seconds=0.5)]
    assert [position for position, value in enumerate(loudness) if value > 0.05] == ([2000] if end > 10_000 else [])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to measure peak memory")
def test_large_frames_are_scaled_down(tmp_path: Path, fresh_process: ProcessPoolExecutor) -> None:
    path, output = hostile_files.make_large_animation(tmp_path / "large.gif"), tmp_path / "clip.mp4"
    memory = fresh_process.submit(hostile_files.cut_in_memory, path, 0.0, 0.3, output).result(timeout=120)
    assert memory < 1024 * 2**20
    assert (probe(output).width, probe(output).height) == (3072, 3072)  # 9.4 megapixels
    assert index_media(output).duration == pytest.approx(0.3, abs=0.08)


def test_a_clip_has_the_permissions_of_new_files(beeps: Path, tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    clip = cut_clip(beeps, 0, 0.2, tmp_path / "clip.mp4")
    assert clip.stat().st_mode == (tmp_path / "new").stat().st_mode


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (2, 2), (3, 2), (6, 7), (0, float("inf")), (float("nan"), 2)])
def test_invalid_times(start: float, end: float, beeps: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        cut_clip(beeps, start, end, tmp_path / "clip.mp4")


@pytest.mark.parametrize("name", ["clip.exe", "clip", "missing/clip.mp4", "folder.mp4"])
def test_invalid_outputs(name: str, beeps: Path, tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(InputError):
        cut_clip(beeps, 0, 1, tmp_path / name, overwrite=True)


def test_the_source_is_never_overwritten(beeps: Path, tmp_path: Path) -> None:
    (tmp_path / "link.mp4").symlink_to(beeps)
    for output in (beeps, tmp_path / "link.mp4"):
        with pytest.raises(InputError, match="the video itself"):
            cut_clip(beeps, 0, 1, output, overwrite=True)


CUES = {0.0: "Whisk two eggs", 2.0: "Heat the pan", 4.0: "<i>Fold</i> it", 6.0: "Serve"}


@pytest.fixture(scope="module")
def subtitled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Write a video of eight seconds with the cues, of two seconds each, and return it."""
    folder = tmp_path_factory.mktemp("subtitled")

    def make(name: str, codec: str) -> Path:
        text = folder / "cues.txt"
        cues = [f"1\n00:00:0{at:.0f},000 --> 00:00:0{at + 2:.0f},000\n{line}\n" for at, line in CUES.items()]
        text.write_text("\n".join(cues))
        encoder = "libvpx" if name.endswith(".webm") else "libx264"
        run_ffmpeg(
            *["-f", "lavfi", "-i", "color=black:s=64x64:d=8:r=25", "-f", "srt", "-i", str(text), "-c:v", encoder],
            *["-c:s", codec, "-metadata:s:s", "language=ger", "-metadata:s:s:0", "title=Rezept", str(folder / name)],
        )
        return folder / name

    return make


@pytest.mark.parametrize(
    ("source", "codec", "clip", "expected"),
    [
        ("eggs.mp4", "mov_text", "clip.mp4", "mov_text"),
        ("eggs.mp4", "mov_text", "clip.mkv", "srt"),
        ("eggs.mkv", "ass", "clip.mkv", "ssa"),
        ("eggs.mkv", "ass", "clip.mp4", "mov_text"),
        ("eggs.mkv", "srt", "clip.webm", "webvtt"),
        ("eggs.webm", "webvtt", "clip.webm", "webvtt"),
    ],
)
def test_subtitles_are_cut_with_the_video(
    source: str, codec: str, clip: str, expected: str, subtitled: Callable[[str, str], Path], tmp_path: Path
) -> None:
    cut = cut_clip(subtitled(source, codec), 3.0, 6.5, tmp_path / clip)
    cues = [(cue.start, cue.end, cue.text, cue.language) for cue in read_subtitles(cut)]
    assert cues == [(0.0, 1.0, "Heat the pan", "ger"), (1.0, 3.0, "Fold it", "ger"), (3.0, 3.5, "Serve", "ger")]
    (track,) = [one for one in probe(cut).streams if one.kind == "subtitle"]
    assert (track.codec, track.title) == (expected, "Rezept")
    assert index_media(cut).duration == pytest.approx(3.5, abs=FRAME)


def test_formatting_of_subtitles_is_kept(subtitled: Callable[[str, str], Path], tmp_path: Path) -> None:
    cut = cut_clip(subtitled("eggs.mkv", "ass"), 4, 5, tmp_path / "clip.mkv")
    assert rb"{\i1}Fold{\i0} it" in cut.read_bytes()


def test_a_clip_without_subtitles_in_its_interval_has_no_track(
    subtitled: Callable[[str, str], Path], tmp_path: Path
) -> None:
    silent = tmp_path / "silent.mkv"
    run_ffmpeg("-itsoffset", "2", "-i", str(subtitled("eggs.mkv", "srt")), "-c", "copy", str(silent))
    end = cut_clip(subtitled("eggs.mkv", "srt"), 7, 8, tmp_path / "end.mkv")
    assert [cue.text for cue in read_subtitles(end)] == ["Serve"]
    gif = cut_clip(silent, 0, 1, tmp_path / "clip.gif")
    assert [one.kind for one in probe(gif).streams] == ["video"]


EVENTS: list[Event] = [(1.0, "Whisk"), (4.0, None), (5.0, "Serve"), (7.0, None)]


@pytest.mark.parametrize(
    ("source", "codec", "clip"), [("disc.mkv", "copy", "clip.mkv"), ("dvd.mkv", "dvdsub", "clip.mp4")]
)
def test_picture_subtitles_are_cut_where_the_format_can_hold_them(
    source: str, codec: str, clip: str, tmp_path: Path
) -> None:
    film = make_plain_video(tmp_path / "film.mkv", 8)
    cut = cut_clip(make_picture_video(film, tmp_path / source, EVENTS, codec=codec), 2, 6, tmp_path / clip)
    pictures = list(read_subtitle_pictures(cut))
    assert [one.start for one in pictures] == pytest.approx([0.0, 3.0], abs=FRAME)
    assert all(one.opacity.any() for one in pictures)


def test_picture_subtitles_that_the_format_cannot_hold_are_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = make_plain_video(tmp_path / "film.mkv", 8)
    cut = cut_clip(make_picture_video(film, tmp_path / "disc.mkv", EVENTS), 2, 3, tmp_path / "clip.webm")
    assert [one.kind for one in probe(cut).streams] == ["video"]
    assert caplog.messages == [f"{tmp_path}/disc.mkv: a clip of this format cannot hold the subtitles in track 1"]


def test_subtitles_of_a_joined_broadcast_follow_its_pictures(tmp_path: Path) -> None:
    film = make_plain_video(tmp_path / "film.mkv", 8)
    part = make_picture_video(film, tmp_path / "part.ts", EVENTS, codec="dvbsub")
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 2)
    # The output has the name of a temporary file.
    output = tmp_path / "out" / "intermediate.mkv"
    output.parent.mkdir()
    output.touch()
    write_clip(joined, 10, 14, output)
    assert index_media(output).duration == pytest.approx(4, abs=FRAME)
    assert [one.start for one in read_subtitle_pictures(output)] == pytest.approx([0.0, 3.0], abs=0.2)
    assert list(output.parent.iterdir()) == [output]


def test_subtitles_that_cannot_be_decoded_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text, film = tmp_path / "cues.txt", tmp_path / "film.mkv"
    text.write_bytes(
        b"1\n00:00:00,000 --> 00:00:01,000\nCr\xeape\n\n2\n00:00:01,000 --> 00:00:02,000\nWhisk two eggs\n"
    )
    raw = ["-sub_charenc_mode", "do_nothing", "-f", "srt", "-i", str(text)]
    run_ffmpeg("-f", "lavfi", "-i", "color=black:s=64x64:d=2:r=25", *raw, "-c:s", "copy", str(film))
    cut = cut_clip(film, 0, 2, tmp_path / "clip.mp4")
    assert [(cue.start, cue.text) for cue in read_subtitles(cut)] == [(1.0, "Whisk two eggs")]
    assert "a subtitle in track 1 cannot be converted" in caplog.text


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm"])
def test_titles_languages_and_chapters_are_kept(name: str, tmp_path: Path) -> None:
    film, description = tmp_path / "film.mp4", tmp_path / "description.txt"
    chapters = "".join(f"[CHAPTER]\nTIMEBASE=1/1\nSTART={at}\nEND={at + 2}\ntitle=Step {at}\n" for at in (0, 2, 4))
    description.write_text(f";FFMETADATA1\ntitle=Eggs\\; two \\= 2\nartist=Ada\nlocation=+48.1+011.6/\n{chapters}")
    run_ffmpeg(
        *["-f", "lavfi", "-i", "color=black:s=64x64:d=6:r=25", "-f", "lavfi", "-i", "sine=d=6"],
        *["-f", "ffmetadata", "-i", str(description), "-map", "0", "-map", "1", "-map_metadata", "2"],
        *["-metadata:s:a:0", "language=ger", "-metadata:s:a:0", "title=Kommentar", str(film)],
    )
    cut = cut_clip(film, 1, 4, tmp_path / name)
    assert probe(cut).title == "Eggs; two = 2"
    (sound,) = [one for one in probe(cut).streams if one.kind == "audio"]
    assert (sound.language, sound.title) == ("ger", "Kommentar")
    with av.open(str(cut)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert tags["artist"] == "Ada"
        assert not [key for key in tags if "location" in key]
        found = [
            (
                float(one["start"] * (one["time_base"] or 0)),
                float(one["end"] * (one["time_base"] or 0)),
                one["metadata"],
            )
            for one in container.chapters()
        ]
    assert found == [(0.0, 1.0, {"title": "Step 0"}), (1.0, 3.0, {"title": "Step 2"})]


@pytest.mark.parametrize("time", [0, 0.5, 2.02, 5.99, 6])
def test_thumbnail_is_the_displayed_frame(time: float, beeps: Path) -> None:
    picture = Image.open(io.BytesIO(thumbnail(beeps, time, width=32)))
    assert (picture.format, picture.size) == ("JPEG", (32, 32))
    assert number(np.asarray(picture).mean()) == pytest.approx(min(int(time / FRAME), 149), abs=0.8)


def test_thumbnail_is_not_enlarged(beeps: Path) -> None:
    assert Image.open(io.BytesIO(thumbnail(beeps, 1))).size == (64, 64)


@pytest.mark.parametrize(("time", "width"), [(-1, 320), (6.5, 320), (float("nan"), 320), (1, 0)])
def test_invalid_thumbnails(time: float, width: int, beeps: Path) -> None:
    with pytest.raises(InputError):
        thumbnail(beeps, time, width=width)


def test_web_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="local_file"):
        cut_clip("https://example.org/a.mp4", 0, 1, tmp_path / "clip.mp4")
    with pytest.raises(SourceError, match="local_file"):
        thumbnail("https://example.org/a.mp4", 0)
