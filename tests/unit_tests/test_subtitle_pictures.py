"""Subtitles that are pictures, and their text."""

import shutil
from pathlib import Path

import pytest

from langchain_videochat.media import Damage
from langchain_videochat.media.subtitles.subtitle_pictures import PictureCue, read_subtitle_pictures
from langchain_videochat.perception import Observation, PerceptionCallbacks, perceive
from langchain_videochat.perception.ocr_models import model_for_language
from langchain_videochat.perception.subtitle_tracks import SubtitleTracks
from tests.ocr_models import install_cyrillic
from tests.picture_subtitles import make_picture_video
from tests.subtitled_video import make_plain_video

BREAD, EGGS, WHISK = "The bread is ready", "Two eggs, please", "Whisk for a minute"
EVENTS = [(1.0, BREAD), (3.0, None), (5.0, EGGS), (7.0, WHISK), (9.5, None)]
EXPECTED = [(1.0, 3.0, BREAD), (5.0, 7.0, EGGS), (7.0, 9.5, WHISK)]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_plain_video(tmp_path_factory.mktemp("film") / "film.mkv", seconds=60)


def observe(
    video: Path, start: float | None = None, end: float | None = None, language: str | None = None
) -> tuple[list[Observation], list[Damage]]:
    damage: list[Damage] = []
    callbacks = PerceptionCallbacks(damage=damage.append)
    perceivers = [SubtitleTracks(language=language)]
    return list(perceive(video, perceivers, start=start, end=end, callbacks=callbacks)), damage


def contents(observations: list[Observation]) -> list[tuple[float, float, str]]:
    # DVDs have hundredths of a second.
    return [(round(one.start, 1), round(one.end, 1), one.text) for one in observations]


def times(cues: list[PictureCue]) -> list[tuple[float, float]]:
    return [(round(cue.start, 1), round(cue.end, 1)) for cue in cues]


def test_blu_ray_subtitles_are_recognized(film: Path, tmp_path: Path) -> None:
    video = make_picture_video(film, tmp_path / "disc.mkv", EVENTS, options=["-metadata:s:s:0", "language=ger"])
    observations, damage = observe(video)
    assert contents(observations) == EXPECTED
    assert damage == []
    assert {(one.modality, one.language, one.source) for one in observations} == {("subtitle", "de", "track 1")}
    assert all(one.score is not None and one.score > 0.8 for one in observations)


@pytest.mark.parametrize(
    ("codec", "name"), [("dvdsub", "disc.mkv"), ("dvbsub", "broadcast.mkv"), ("dvbsub", "broadcast.ts")]
)
def test_other_formats_are_recognized(codec: str, name: str, film: Path, tmp_path: Path) -> None:
    observations, damage = observe(make_picture_video(film, tmp_path / name, EVENTS, codec=codec))
    assert contents(observations) == EXPECTED
    assert damage == []


def test_subtitles_without_an_end_last_until_the_next(film: Path, tmp_path: Path) -> None:
    events = [(1.0, BREAD), (30.0, EGGS), (58.0, WHISK)]
    video = make_picture_video(film, tmp_path / "disc.mkv", events)
    assert times(list(read_subtitle_pictures(video))) == [(1.0, 30.0), (30.0, 58.0), (58.0, 63.0)]
    video = make_picture_video(film, tmp_path / "dvd.mkv", events, codec="dvdsub", with_ends=False)
    assert times(list(read_subtitle_pictures(video))) == [(1.0, 30.0), (30.0, 58.0), (58.0, 63.0)]


def test_subtitles_that_never_end_do_not_delay_others(film: Path, tmp_path: Path) -> None:
    video = make_picture_video(film, tmp_path / "disc.mkv", [(0.5, EGGS)], [(1.0, BREAD), (62.0, WHISK), (63.0, None)])
    assert times(list(read_subtitle_pictures(video))) == [(0.5, 60.5), (1.0, 61.0), (62.0, 63.0)]


def test_repeated_pictures_are_one(film: Path, tmp_path: Path) -> None:
    events = [(1.0, BREAD), (2.0, BREAD), (3.5, BREAD), (5.0, None), (6.0, BREAD), (7.0, None)]
    video = make_picture_video(film, tmp_path / "disc.mkv", events)
    assert times(list(read_subtitle_pictures(video))) == [(1.0, 5.0), (6.0, 7.0)]


def test_dark_text_and_several_lines(film: Path, tmp_path: Path) -> None:
    dark = {0: (235, 0), 1: (235, 255), 2: (16, 255)}
    events = [(1.0, f"{BREAD}\n{EGGS}"), (3.0, None)]
    video = make_picture_video(film, tmp_path / "dark.mkv", events, palette=dark)
    assert contents(observe(video)[0]) == [(1.0, 3.0, f"{BREAD} {EGGS}")]


@pytest.mark.parametrize(("name", "codec"), [("disc.mkv", "copy"), ("broadcast.ts", "dvbsub")])
@pytest.mark.parametrize(("start", "end"), [(0.0, 2.0), (2.0, 6.0), (6.0, 40.0), (45.0, 60.0)])
def test_segments(start: float, end: float, name: str, codec: str, film: Path, tmp_path: Path) -> None:
    video = make_picture_video(film, tmp_path / name, [*EVENTS, (50.0, BREAD), (52.0, None)], codec=codec)
    observations, _ = observe(video, start, end)
    expected = [
        (max(begin, start), min(stop, end), text)
        for begin, stop, text in [*EXPECTED, (50.0, 52.0, BREAD)]
        if begin < end and stop > start
    ]
    assert contents(observations) == expected


def test_tracks_are_read_together_in_order_of_time(film: Path, tmp_path: Path) -> None:
    languages = ["-metadata:s:s:0", "language=eng", "-metadata:s:s:1", "language=fre"]
    other = [(0.5, EGGS), (8.0, None), (9.0, BREAD), (10.0, None)]
    video = make_picture_video(film, tmp_path / "disc.mkv", EVENTS, other, options=languages)
    cues = list(read_subtitle_pictures(video))
    assert [cue.start for cue in cues] == sorted(cue.start for cue in cues)
    assert [cue.language for cue in cues] == ["fre", "eng", "eng", "eng", "fre"]
    assert {cue.language for cue in read_subtitle_pictures(video, language="fr")} == {"fre"}
    observations, _ = observe(video, language="en")
    assert contents(observations) == EXPECTED


@pytest.mark.parametrize(
    ("language", "problem"),
    [
        ("heb", "no text recognition model knows the script of 'heb'"),
        (
            "rus",
            "the model of their script is not on this machine; screen_text: {language: ru} in the profile downloads it",
        ),
    ],
)
def test_scripts_that_cannot_be_recognized_are_reported(
    language: str, problem: str, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ["-metadata:s:s:0", f"language={language}"]
    observations, damage = observe(make_picture_video(film, tmp_path / "disc.mkv", EVENTS, options=options))
    assert observations == []
    assert {one.problem for one in damage} == {f"track 1: subtitles are pictures and cannot be read: {problem}"}
    assert sum(one.seconds for one in damage) == pytest.approx(6.5)


def test_a_declared_language_is_read_by_the_model_of_its_script(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = model_for_language("rus")
    assert model is not None
    install_cyrillic(model)
    events = [(1.0, "MOCKBA"), (3.0, None)]
    video = make_picture_video(film, tmp_path / "disc.mkv", events, options=["-metadata:s:s:0", "language=rus"])
    (subtitle,), damage = observe(video)
    assert (subtitle.text, subtitle.language, damage) == ("МОСКВА", "ru", [])  # noqa: RUF001 - Cyrillic letters


def test_pictures_without_text_are_reported(film: Path, tmp_path: Path) -> None:
    video = make_picture_video(film, tmp_path / "disc.mkv", [(1.0, "~~"), (2.0, BREAD), (3.0, None)])
    observations, damage = observe(video)
    assert contents(observations) == [(2.0, 3.0, BREAD)]
    assert damage == [Damage("subtitle", "track 1: no text was recognized in pictures", 1.0)]


def test_damaged_pictures_are_reported(film: Path, tmp_path: Path) -> None:
    video = make_picture_video(film, tmp_path / "disc.mkv", EVENTS)
    data = bytearray(video.read_bytes())
    # The size of the first picture.
    position = data.index(b"\0\0\0\xc0") + 7
    data[position : position + 4] = b"\xff\xff\xff\xff"
    video.write_bytes(data)
    damage: list[Damage] = []
    cues = list(read_subtitle_pictures(video, on_damage=damage.append))
    assert times(cues) == [(5.0, 7.0), (7.0, 9.5)]
    assert [str(one) for one in damage] == ["track 1: 1 cue cannot be decoded"]


def test_videos_without_pictures(film: Path, tmp_path: Path) -> None:
    assert list(read_subtitle_pictures(film)) == []
    shutil.copy(film, tmp_path / "film.mkv")
    (tmp_path / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    assert contents(observe(tmp_path / "film.mkv")[0]) == [(1.0, 2.0, "Hello")]
