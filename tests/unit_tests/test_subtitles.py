"""Embedded subtitles and sidecar files."""

import logging
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.media import Cue, read_subtitles
from tests.media_files import STRANGE_NAMES, make_beeps, make_traps, run_ffmpeg

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


def contents(cues: list[Cue]) -> list[tuple[float, float, str]]:
    return [(round(cue.start, 2), round(cue.end, 2), cue.text) for cue in cues]


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


def test_tracks_of_pictures_are_skipped(film: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # The smallest Blu-ray subtitle: a single end segment.
    (tmp_path / "pictures").write_bytes(b"PG" + (90_000).to_bytes(4, "big") + bytes(4) + b"\x80\0\0")
    path = tmp_path / "blu-ray.mkv"
    run_ffmpeg("-i", str(film), "-f", "sup", "-i", str(tmp_path / "pictures"), "-map", "0", "-map", "1",
               "-c", "copy", str(path))  # fmt: skip
    with caplog.at_level(logging.INFO, "langchain_videochat"):
        assert read_subtitles(path) == []
    assert "track 2, which is not text" in caplog.text


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


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Grüße 你好 🎬"),
        ("utf-8-sig", "Grüße 你好 🎬"),
        ("utf-16", "Grüße, das sind Untertitel"),
        ("cp1251", "Привет, это субтитры на русском языке. Сегодня хорошая погода."),
        ("cp1252", "¿Dónde está el niño? Mañana será otro día, señor. También quería decirle que no."),
        ("shift_jis", "これは日本語の字幕です。今日はとても良い天気ですね。"),
    ],
)
def test_encodings(encoding: str, text: str, video: Path) -> None:
    video.with_suffix(".srt").write_bytes(f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n".encode(encoding))
    assert contents(read_subtitles(video)) == [(1.0, 2.0, text)]


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
