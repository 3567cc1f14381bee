"""Lanes, the picture of a timeline, and the report."""

import base64
import hashlib
import html
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from langchain_videochat.app import draw_timeline, write_report
from langchain_videochat.app.collection import describe_lanes
from langchain_videochat.app.lanes import MAX_ROWS, Bar, make_lanes
from langchain_videochat.errors import InputError, SourceError
from langchain_videochat.perception import Observation
from langchain_videochat.perception.modalities import Modality, find_modality, list_modalities, register_modality
from langchain_videochat.timeline import Timeline
from tests.slides import render_talk
from tests.unit_tests.embeddings import make_timeline

HOSTILE = '</script><img src=x onerror="document.title=1">$& \u202e\x00{{}}'

INTERVALS = st.tuples(st.floats(0, 50), st.floats(0, 10)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Timeline:
    """A video of two slides, with a text that contains markup."""
    path = render_talk(tmp_path_factory.mktemp("talk") / "a.mp4", [["Pegs"], ["Poles"]])
    return make_timeline(
        "pitching a tent",
        Observation(0, 4, "scene", "Scene from 00:00"),
        Observation(4, 8, "scene", "Scene from 00:04"),
        Observation(0, 4, "screen_text", "Pegs cost $5 or $6"),
        Observation(1, 3, "speech", HOSTILE),
        Observation(4, 8, "screen_text", "柱を立てる"),
        source=str(path),
    )


def luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@given(st.lists(INTERVALS, min_size=1, max_size=40))
def test_every_observation_has_a_bar_and_bars_overlap_only_if_crowded(
    intervals: list[tuple[float, float]],
) -> None:
    objects = [Observation(start, end, "object", f"thing {index}") for index, (start, end) in enumerate(intervals)]
    timeline = make_timeline("things", *objects)

    (lane,) = make_lanes(timeline)

    assert [(bar.start, bar.end, bar.text) for bar in lane.bars] == [(one.start, one.end, one.text) for one in timeline]
    assert lane.rows <= MAX_ROWS
    # A bar of no length counts too, at its own place.
    at_once = [sum(two is one or two.start <= one.start < two.end for two in lane.bars) for one in lane.bars]
    crowded = max(at_once) > MAX_ROWS
    overlaps = [
        (one, two)
        for index, one in enumerate(lane.bars)
        for two in lane.bars[index + 1 :]
        if one.row == two.row and two.start < one.end
    ]
    assert crowded or not overlaps


def test_each_observed_modality_has_a_lane(talk: Timeline) -> None:
    assert [(lane.label, len(lane.bars)) for lane in make_lanes(talk)] == [
        ("Scenes", 2),
        ("Speech", 1),
        ("On screen", 2),
    ]
    assert make_lanes(talk)[0].bars[0] == Bar(0, 4, 0, "Scene from 00:00")


def test_modality_of_a_plugin_has_a_lane_in_page_and_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = sys.modules[register_modality.__module__]
    monkeypatch.setattr(registry, "_registry", {one.name: one for one in list_modalities()})
    register_modality(Modality("loudness", label="Loudness", color="#123456", order=25))
    timeline = make_timeline(
        "concert",
        Observation(0, 2, "loudness", "a bang"),
        Observation(0, 4, "speech", "Hello"),
        Observation(0, 4, "subtitle", "Hello"),
    )

    picture = np.asarray(Image.open(draw_timeline(timeline, tmp_path / "lanes.png")).convert("RGB")).reshape(-1, 3)

    lanes = describe_lanes(timeline)["lanes"]
    assert [lane["label"] for lane in lanes] == ["Speech", "Loudness", "Subtitles"]
    assert (lanes[1]["color"], lanes[1]["bars"]) == ("#123456", [(0, 2, 0, "a bang")])
    assert (picture == ImageColor.getrgb("#123456")).all(axis=1).any()


def test_every_modality_has_its_own_position_and_a_color_legible_under_white_text() -> None:
    colors = {modality.color for modality in list_modalities()}
    # WCAG 2: 4.5 for text, 3 for shapes on the dark background of the page.
    assert min(1.05 / (luminance(color) + 0.05) for color in colors) >= 4.5
    assert len(colors) == len({modality.order for modality in list_modalities()}) == len(list_modalities())


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_picture_is_written(talk: Timeline, tmp_path: Path, suffix: str) -> None:
    written = draw_timeline(talk, tmp_path / f"lanes{suffix}", start=2, end=8)

    assert written.stat().st_size > 5000


def test_picture_shows_thumbnails_and_bars_in_their_colors(talk: Timeline, tmp_path: Path) -> None:
    picture = np.asarray(Image.open(draw_timeline(talk, tmp_path / "lanes.png")).convert("RGB")).reshape(-1, 3)

    for modality in ("scene", "speech", "screen_text"):
        assert (picture == ImageColor.getrgb(find_modality(modality).color)).all(axis=1).any()
    slide = np.array((245, 244, 240))
    assert (np.abs(picture - slide) <= 2).all(axis=1).mean() > 0.05


def test_picture_is_drawn_without_the_video_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    gone = make_timeline("gone", Observation(0, 4, "scene", "Scene from 00:00"))

    assert draw_timeline(gone, tmp_path / "lanes.png").exists()
    assert "/films/gone.mp4: no such file" in caplog.text


@pytest.mark.parametrize(
    ("name", "problem"), [("lanes.jpg", "unsupported picture format"), ("no/lanes.png", "cannot be written")]
)
def test_unwritable_picture_is_an_error(talk: Timeline, tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        draw_timeline(talk, tmp_path / name)


def test_empty_timeline_cannot_be_drawn(talk: Timeline, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no observations"):
        draw_timeline(talk.slice(modalities=["action"]), tmp_path / "lanes.png")


def test_report_is_self_contained(talk: Timeline, tmp_path: Path) -> None:
    page = write_report(talk, tmp_path / "report.html").read_text()

    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[0])
    assert [lane["label"] for lane in data["lanes"]] == ["Scenes", "Speech", "On screen"]
    assert [start for start, _ in data["thumbnails"]] == [0, 4]
    preview = base64.b64decode(re.findall(r'<script type="text/plain" id="preview">(.*?)</script>', page)[0])
    assert preview[4:8] == b"ftyp"
    assert "http:" not in page
    assert "https:" not in page
    assert re.findall(r'(?:src|href)="', page) == []


def test_text_of_a_video_cannot_inject_markup_into_the_report(talk: Timeline, tmp_path: Path) -> None:
    page = write_report(talk, tmp_path / "report.html").read_text()

    assert "<img" not in page
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="(.*?)"', page)[0])
    assert hashes == set(re.findall(r"'sha256-(.*?)'", policy))
    assert policy.startswith("default-src 'none';")


def test_report_of_a_missing_video_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        write_report(make_timeline("gone", Observation(0, 4, "speech", "Hello")), tmp_path / "report.html")
