"""Subtitle files beside a video."""

import logging
import shutil
import unicodedata
from pathlib import Path
from typing import Literal

import pytest

from langchain_videochat.errors import InputError
from langchain_videochat.media import read_subtitles
from langchain_videochat.media.subtitles.sidecars import find_sidecars
from langchain_videochat.perception import perceive
from langchain_videochat.perception.subtitle_tracks import SubtitleTracks
from tests.subtitled_video import make_plain_video

Form = Literal["NFC", "NFD"]

SRT = "1\n00:00:01,000 --> 00:00:02,000\n{}\n"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain_video(tmp_path_factory.mktemp("film") / "talk.mp4")


@pytest.fixture
def video(film: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(film, tmp_path))


def names(video: Path) -> list[str]:
    return [file.name for file in find_sidecars(video)]


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("talk.srt", None),
        ("talk.mp4.srt", None),
        ("talk.mkv.srt", None),
        ("talk.ts.srt", None),
        ("TALK.SRT", None),
        ("Talk.En.Srt", "En"),
        ("talk.mp4.de.srt", "de"),
        ("talk.English.srt", "en"),
        ("talk.Greek.srt", "el"),
        ("talk.English (SDH).srt", "en"),
        ("talk.Brazilian Portuguese.srt", "pt"),
        ("talk.Deutsch.srt", None),
        ("talk.en.sdh.forced.srt", "en"),
        ("talk.forced.en.srt", "en"),
        ("talk.sdh.srt", None),
        ("talk.en.2.srt", "en"),
        ("talk.pt_BR.srt", "pt-BR"),
        ("talk.zh-Hans.vtt", "zh-Hans"),
        ("talk.und.srt", None),
        ("talk_en.srt", "en"),
        ("talk-de.srt", "de"),
    ],
)
def test_names(name: str, language: str | None, video: Path) -> None:
    video.with_name(name).write_text(SRT.format("Hello"))
    assert find_sidecars(video) == [video.with_name(name)]
    (cue,) = read_subtitles(video)
    assert (cue.text, cue.language, cue.track) == ("Hello", language, name)


@pytest.mark.parametrize(
    "name",
    ["talk2.srt", "talk.part two.srt", "talk.part2.srt", "other.srt", "talk.en.txt", "talk.srt.bak", "talk-show.srt",
     "talking.srt", "a talk.srt", "._talk.srt", "talk"],
)  # fmt: skip
def test_names_of_other_files(name: str, video: Path) -> None:
    video.with_name(name).write_text(SRT.format("Hello"))
    assert find_sidecars(video) == []


def test_folders_are_not_files(video: Path) -> None:
    video.with_suffix(".srt").mkdir()
    assert find_sidecars(video) == []


@pytest.mark.parametrize(("on_video", "on_file"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("ending", [".srt", ".pt-BR.srt", ".mp4.srt"])
def test_unicode_normalization(ending: str, on_video: Form, on_file: Form, film: Path, tmp_path: Path) -> None:
    video = tmp_path / unicodedata.normalize(on_video, "Über die Brücke (straße).mp4")
    shutil.copy(film, video)
    file = tmp_path / (unicodedata.normalize(on_file, "Über die Brücke (straße)") + ending)
    file.write_text(SRT.format("Hallo"))
    (cue,) = read_subtitles(video)
    assert cue.language == ("pt-BR" if "BR" in ending else None)


@pytest.mark.parametrize(
    ("other", "own", "others"),
    [
        ("talk.part2.mp4", ["talk.srt"], ["talk.part2.srt", "talk.part2.en.srt"]),
        ("talk.trailer.mkv", ["talk.srt", "talk.en.srt"], ["talk.trailer.srt", "talk.trailer.mkv.srt"]),
        ("talk.de.mp4", ["talk.en.srt"], ["talk.de.srt", "talk.de.forced.srt"]),
        ("TALK.mp4", ["talk.srt"], ["TALK.srt"]),
    ],
)
def test_files_of_other_videos(other: str, own: list[str], others: list[str], video: Path) -> None:
    for name in (other, *own, *others):
        video.with_name(name).write_text(SRT.format(name))
    assert names(video) == sorted(own)
    assert names(video.with_name(other)) == sorted(others)


def test_videos_that_differ_in_suffix_share_files(video: Path) -> None:
    for name in ("talk.mkv", "talk.srt", "talk.mkv.srt"):
        video.with_name(name).write_text(SRT.format(name))
    assert names(video) == ["talk.srt"]
    assert names(video.with_name("talk.mkv")) == ["talk.mkv.srt", "talk.srt"]


def test_paths_are_absolute(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(video.parent)
    for name in ("talk.srt", "talk.de.vtt"):
        Path(name).write_text("")
    assert find_sidecars(Path("talk.mp4")) == [video.with_name("talk.de.vtt"), video.with_name("talk.srt")]


def test_folders_that_cannot_be_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert find_sidecars(tmp_path / "missing" / "talk.mp4") == []
    assert "cannot look for subtitle files" in caplog.text


class TestLanguages:
    @pytest.fixture
    def video(self, film: Path, tmp_path: Path) -> Path:
        for tag in ("", ".en", ".eng", ".en-US", ".pt-BR", ".pt", ".German"):
            (tmp_path / f"talk{tag}.srt").write_text(SRT.format(f"Hello{tag}"))
        return Path(shutil.copy(film, tmp_path))

    @pytest.mark.parametrize(
        ("language", "expected"),
        [
            (None, {"", ".en", ".eng", ".en-US", ".pt-BR", ".pt", ".German"}),
            ("en", {".en", ".eng", ".en-US"}),
            ("eng", {".en", ".eng", ".en-US"}),
            ("en-us", {".en-US"}),
            ("por", {".pt-BR", ".pt"}),
            ("de", {".German"}),
            ("fr", {""}),
        ],
    )
    def test_choice(self, language: str | None, expected: set[str], video: Path) -> None:
        texts = [
            cue.track.removeprefix("talk").removesuffix(".srt") for cue in read_subtitles(video, language=language)
        ]
        assert sorted(texts) == sorted(expected)
        observations = perceive(video, [SubtitleTracks(language=language)])
        tracks = {one.source for one in observations}
        assert tracks == {f"talk{tag}.srt" for tag in expected}

    def test_observations_have_bcp_47_tags(self, video: Path) -> None:
        observations = perceive(video, [SubtitleTracks()])
        assert {one.language for one in observations} == {None, "en", "en-US", "pt-BR", "pt", "de"}

    @pytest.mark.parametrize("language", ["", "klingon", "xx", "und"])
    def test_unknown_languages(self, language: str, video: Path) -> None:
        with pytest.raises(InputError, match="unknown language"):
            read_subtitles(video, language=language)
        with pytest.raises(InputError, match="unknown language"):
            SubtitleTracks(language=language)
