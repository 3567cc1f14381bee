"""Embedded subtitles and sidecar files."""

import logging
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.media import Cue, Damage, probe, read_subtitles
from langchain_videochat.media.subtitles.subtitle_pictures import read_subtitle_pictures
from langchain_videochat.perception import perceive
from langchain_videochat.perception.subtitle_tracks import SubtitleTracks
from langchain_videochat.timeline import Timeline
from tests.media_files import STRANGE_NAMES, make_beeps, make_traps, run_ffmpeg
from tests.picture_subtitles import make_picture_video
from tests.subtitled_video import contents, spoken

SRT = """1
00:00:00,500 --> 00:00:01,500
<i>Hello,</i> {\\an8}world

2
00:00:03,000 --> 00:00:04,250
Tom &amp; Jerry
say 2 < 3

3
00:00:05,000 --> 00:00:05,500
<b></b>
"""
FIRST = (0.5, 1.5, "Hello, world")
SECOND = (3.0, 4.25, "Tom & Jerry say 2 < 3")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_beeps(tmp_path_factory.mktemp("film") / "film.mkv")


@pytest.fixture
def video(film: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(film, tmp_path))


def embed(film: Path, path: Path, name: str, words: bytes | str, *options: str) -> Path:
    """Add a subtitle file in the format that FFmpeg calls `name` to a video."""
    (path.parent / "words").write_bytes(words if isinstance(words, bytes) else words.encode())
    inputs = ["-i", str(film), "-f", name, "-i", str(path.parent / "words"), "-map", "0", "-map", "1"]
    run_ffmpeg(*inputs, "-c", "copy", *options, str(path))
    return path


def read(video: Path) -> tuple[list[Cue], list[str]]:
    damage: list[Damage] = []
    cues = read_subtitles(video, on_damage=damage.append)
    return cues, [str(one) for one in damage]


@pytest.mark.parametrize(
    ("name", "codec", "offset"),
    [
        ("talk.mp4", "mov_text", 0),
        ("talk.mkv", "subrip", 0),
        ("talk at 5.mkv", "ass", 5),
        ("talk.webm", "webvtt", 0),
    ],
)
def test_embedded_tracks(name: str, codec: str, offset: float, film: Path, tmp_path: Path) -> None:
    (tmp_path / "words").write_text(SRT.replace("&amp;", "&").replace("2 < 3", "2 + 2"))
    path = tmp_path / name
    video = ["-c:v", "libvpx", "-an"] if path.suffix == ".webm" else ["-c:v", "copy", "-c:a", "copy"]
    inputs = ["-i", str(film), "-f", "srt", "-i", str(tmp_path / "words"), "-map", "0", "-map", "1"]
    track = ["-c:s", codec, "-metadata:s:s:0", "language=fre"]
    run_ffmpeg(*inputs, *video, *track, "-output_ts_offset", str(offset), str(path))
    cues = read_subtitles(path)
    assert contents(cues) == [FIRST, (3.0, 4.25, "Tom & Jerry say 2 + 2")]
    assert {cue.language for cue in cues} == {"fre"}
    assert all(cue.track.startswith("track ") for cue in cues)


def test_embedded_speakers(film: Path, tmp_path: Path) -> None:
    webvtt = "WEBVTT\n\nid\n00:01.000 --> 00:02.000 line:0\n<v Ada>Hi &amp;</v>\n<v Bob>ho</v>\n"
    cues, problems = read(embed(film, tmp_path / "web.mkv", "webvtt", webvtt))
    assert (spoken(cues), problems) == ([("Ada", "Hi &"), ("Bob", "ho")], [])
    ass = "[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,Default,Ada,0,0,0,,Hello,\\Nyou\n"
    cues, problems = read(embed(film, tmp_path / "anime.mkv", "ass", ass))
    assert (spoken(cues), problems) == ([("Ada", "Hello, you")], [])


def test_embedded_cues_without_duration_last_until_the_next(film: Path, tmp_path: Path) -> None:
    times = [("00:00:01,000", "One"), ("00:00:02,500", "Two"), ("00:00:03,000", "Three")]
    words = "".join(f"{time} --> {time}\n{text}\n\n" for time, text in times)
    path = embed(film, tmp_path / "endless.mkv", "srt", words)
    cues, problems = read(path)
    assert contents(cues) == [(1.0, 2.5, "One"), (2.5, 3.0, "Two"), (3.0, 8.0, "Three")]
    assert problems == ["track 2: 3 cues have no duration"]


@pytest.mark.parametrize(("encoding", "text"), [("cp1253", "Πού είναι το παιδί; Δεν ξέρω."), ("utf-8", "Grüße 你好")])
def test_encodings_of_embedded_tracks(encoding: str, text: str, film: Path, tmp_path: Path) -> None:
    words = f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n".encode(encoding)
    path = embed(film, tmp_path / "legacy.mkv", "srt", words)
    cues, problems = read(path)
    assert [cue.text for cue in cues] == [text]
    assert len(problems) == (encoding != "utf-8")
    damage: list[Damage] = []
    cues = read_subtitles(path, encoding=encoding, on_damage=damage.append)
    assert ([cue.text for cue in cues], damage) == ([text], [])


def test_early_embedded_cues_are_reported(film: Path, tmp_path: Path) -> None:
    words = "1\n00:00:01,000 --> 00:00:02,000\nnever\n\n2\n00:00:02,500 --> 00:00:04,000\nfirst\n"
    path = tmp_path / "early.mkv"
    (tmp_path / "words").write_text(words)
    run_ffmpeg("-itsoffset", "3", "-i", str(film), "-f", "srt", "-i", str(tmp_path / "words"), "-map", "0", "-map", "1",
               "-c", "copy", "-copyts", str(path))  # fmt: skip
    cues, problems = read(path)
    assert contents(cues) == [(0.0, 1.0, "first")]
    assert problems == ["track 2: 2 cues start before the video"]


def test_unknown_formats_are_reported(film: Path, tmp_path: Path) -> None:
    path = embed(film, tmp_path / "unknown.mkv", "srt", SRT)
    path.write_bytes(path.read_bytes().replace(b"S_TEXT/UTF8", b"S_TEXT/XTF8"))
    assert read(path) == ([], ["track 2: the format of these subtitles is not supported"])


def test_joined_recordings(film: Path, tmp_path: Path) -> None:
    part, joined = tmp_path / "part.ts", tmp_path / "joined.ts"
    make_picture_video(film, part, [(1.0, "The bread is ready"), (2.0, None)], codec="dvbsub")
    joined.write_bytes(part.read_bytes() * 2)
    starts = [cue.start for cue in read_subtitle_pictures(joined)]
    length = probe(part).duration
    assert starts == [pytest.approx(1.0, abs=0.1), pytest.approx(1.0 + length, abs=0.1)]


def test_tracks_of_pictures_are_left_to_text_recognition(
    film: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_picture_video(film, tmp_path / "blu-ray.mkv", [(1.0, "Hello"), (2.0, None)])
    with caplog.at_level(logging.INFO, "langchain_videochat"):
        assert read(path) == ([], [])
    assert "track 2, which is not text" in caplog.text


def test_a_copy_of_a_track_is_merged_with_it(film: Path, tmp_path: Path) -> None:
    path = embed(film, tmp_path / "film.mkv", "srt", SRT, "-metadata:s:s:0", "language=eng")
    (tmp_path / "film.en.srt").write_text(SRT)
    (tmp_path / "film.srt").write_text(SRT.replace("Hello", "<b>Hello</b>"))
    (tmp_path / "film.de.srt").write_text(SRT)
    timeline = Timeline.of(probe(path), "id", perceive(path, [SubtitleTracks()]))
    assert sorted((one.text, one.language) for one in timeline) == [
        ("Hello, world", "de"),
        ("Hello, world", "en"),
        ("Tom & Jerry say 2 < 3", "de"),
        ("Tom & Jerry say 2 < 3", "en"),
    ]


@pytest.mark.parametrize(
    ("name", "language"),
    [("film.srt", None), ("film.en.srt", "en"), ("film.pt-BR.SRT", "pt-BR"), ("film.eng.forced.srt", "eng")],
)
def test_sidecar(name: str, language: str | None, video: Path) -> None:
    video.with_name(name).write_text(SRT)
    cues = read_subtitles(video)
    assert contents(cues) == [FIRST, SECOND]
    assert {(cue.language, cue.track) for cue in cues} == {(language, name)}


@pytest.mark.parametrize("name", ["film2.srt", "film.part two.srt", "other.srt", "film.en.txt", "film.mkv.srt.bak"])
def test_files_with_other_names_are_ignored(name: str, video: Path) -> None:
    video.with_name(name).write_text(SRT)
    assert read_subtitles(video) == []


def test_webvtt_and_ass_sidecars(video: Path) -> None:
    video.with_name("film.de.vtt").write_text(
        "WEBVTT\n\n00:01.000 --> 00:02.000 align:start\n<v Bob>Hi <00:01.500><c.yellow>you</c> &amp; me\n"
    )
    video.with_name("film.ass").write_text(
        "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,not shown\n"
        "Dialogue: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}\n"
        "Dialogue: 0,0:00:02.50,0:00:03.00,Default,,0,0,0,,{\\b1}bold{\\b0}\\Nmove, on\n"
    )
    assert contents(read_subtitles(video)) == [(1.0, 2.0, "Hi you & me"), (2.5, 3.0, "bold move, on")]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=80) | st.text(max_size=80).map(str.encode), ending=st.sampled_from(["srt", "vtt", "ass"])
)
def test_a_broken_sidecar_is_never_fatal(video: Path, content: bytes, ending: str) -> None:
    video.with_name("film.en.srt").write_text(SRT)
    broken = video.with_suffix(f".{ending}")
    broken.write_bytes(content)
    cues = read_subtitles(video)
    broken.unlink()
    assert {FIRST, SECOND} <= set(contents(cues))


def test_unreadable_sidecars_are_logged_as_warnings(video: Path, caplog: pytest.LogCaptureFixture) -> None:
    video.with_suffix(".srt").write_text("not a subtitle file")
    with video.with_suffix(".vtt").open("wb") as file:
        file.truncate(16 * 1024**2 + 1)
    video.with_suffix(".ass").mkdir()
    assert read_subtitles(video) == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "film.srt" in caplog.text
    assert "film.vtt" in caplog.text


def test_interval(video: Path) -> None:
    video.with_suffix(".srt").write_text(SRT)
    assert contents(read_subtitles(video, 1.5)) == [SECOND]
    assert contents(read_subtitles(video, 0, 3)) == [FIRST]
    assert contents(read_subtitles(video, 1, 3.5)) == [FIRST, SECOND]
    assert contents(read_subtitles(video, 2, 2.5)) == []


@pytest.mark.parametrize("times", [(-1, 2), (2, 2), (3, 2), (float("nan"), 2)])
def test_invalid_interval(times: tuple[float, float], video: Path) -> None:
    with pytest.raises(InputError):
        read_subtitles(video, *times)


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_strange_names(name: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(film, tmp_path / name)
    (tmp_path / name).with_suffix(".en.srt").write_text(SRT)
    monkeypatch.chdir(tmp_path)
    assert contents(read_subtitles(name)) == contents(read_subtitles((tmp_path / name).as_uri())) == [FIRST, SECOND]


def test_invalid_sources(tmp_path: Path) -> None:
    for trap in make_traps(tmp_path):
        with pytest.raises(MediaError):
            read_subtitles(trap)
    with pytest.raises(SourceError, match="local_file"):
        read_subtitles("http://example.org/a.mp4")
