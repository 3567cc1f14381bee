"""The profile lite: its observations, their times and their order."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from langchain_videochat.errors import InputError, ModelUnavailableError
from langchain_videochat.media import FrameBatch
from langchain_videochat.perception import (
    FrameInputs,
    Observation,
    Perceiver,
    PerceptionCallbacks,
    create_perceivers,
    perceive,
)
from langchain_videochat.perception.change_detection import ChangeDetector
from tests.slides import draw_slide, render_talk

SLIDES = [
    ["Quarterly results", "Revenue 4711 EUR"],
    ["Quarterly results", "Revenue 4712 EUR"],
    ["Thank you", "Contact: AX-2086"],
]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_talk(tmp_path_factory.mktemp("talk") / "talk.mp4", SLIDES)


def _texts(observations: list[Observation], modality: str) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in observations if one.modality == modality]


def test_screen_text_has_the_times_at_which_it_is_visible(talk: Path) -> None:
    assert _texts(list(perceive(talk, "lite")), "screen_text") == [
        (0.0, 8.0, "Quarterly results"),
        (0.0, 4.0, "Revenue 4711 EUR"),
        (4.0, 8.0, "Revenue 4712 EUR"),
        (8.0, 12.0, "Thank you"),
        (8.0, 12.0, "Contact: AX-2086"),
    ]


def test_screen_text_has_a_box_and_a_score(talk: Path) -> None:
    title = next(one for one in perceive(talk, "lite") if one.text == "Thank you")
    assert title.box is not None
    left, top, right, bottom = title.box
    assert 0.03 < left < 0.08 < right < 0.5
    assert 0.08 < top < 0.15 < bottom < 0.3
    assert title.score is not None
    assert title.score > 0.9
    assert title.source == "rapidocr"


def test_slides_are_scenes(talk: Path) -> None:
    assert [(start, end) for start, end, _ in _texts(list(perceive(talk, "lite")), "scene")] == [
        (0.0, 8.0),
        (8.0, 12.0),
    ]


def test_sidecar_subtitles_are_observations(talk: Path, tmp_path: Path) -> None:
    video = tmp_path / "talk.mp4"
    video.write_bytes(talk.read_bytes())
    (tmp_path / "talk.de.srt").write_text("1\n00:00:01,500 --> 00:00:03,000\nGuten <i>Tag</i>\n", encoding="utf-8")
    subtitle = next(one for one in perceive(video, "lite") if one.modality == "subtitle")
    assert (subtitle.start, subtitle.end, subtitle.text, subtitle.language) == (1.5, 3.0, "Guten Tag", "de")


def test_a_segment_is_perceived_alone(talk: Path) -> None:
    observations = list(perceive(talk, "lite", start=4.0, end=8.0))
    assert {one.text for one in observations if one.modality == "screen_text"} == {
        "Quarterly results",
        "Revenue 4712 EUR",
    }
    assert all(4.0 <= one.start <= one.end <= 8.0 for one in observations)


def test_long_observations_do_not_delay_others(tmp_path: Path) -> None:
    def logo(picture: Image.Image, _time: float) -> None:
        ImageDraw.Draw(picture).text((420, 320), "Channel Nine", fill=(90, 20, 20), font_size=28)

    slides = [[f"Chapter {number}"] for number in range(10)]
    video = render_talk(tmp_path / "long.mp4", slides, seconds=8.0, decorate=logo)
    reached: list[float] = []
    stream = perceive(video, "lite", callbacks=PerceptionCallbacks(progress=reached.append))
    first = next(stream)
    assert reached == [] or max(reached) < 40.0, "the first observation comes before the video is read"
    observations = [first, *stream]
    assert [one.start for one in observations] == sorted(one.start for one in observations)
    logos = [(one.start, one.end) for one in observations if one.text == "Channel Nine"]
    assert logos[0][0] == 0.0
    assert logos[-1][1] == 80.0
    assert all(before[1] == after[0] for before, after in pairwise(logos))


def test_a_line_next_to_moving_shapes_stays_whole(tmp_path: Path) -> None:
    def move(picture: Image.Image, time: float) -> None:
        pen = ImageDraw.Draw(picture)
        shade = 60 + 90 * (int(time / 2) % 2)
        pen.rectangle((8, 70, 24, 340), fill=(shade, shade, 0))
        pen.rectangle((16, 320, 560, 340), fill=(shade, shade, 0))

    video = render_talk(tmp_path / "busy.mp4", [["Pancakes", "for four people"]], seconds=12.0, decorate=move)
    assert _texts(list(perceive(video, "lite")), "screen_text") == [
        (0.0, 12.0, "Pancakes"),
        (0.0, 12.0, "for four people"),
    ]


def test_progress_increases_to_the_end(talk: Path) -> None:
    reached: list[float] = []
    list(perceive(talk, "lite", callbacks=PerceptionCallbacks(progress=reached.append)))
    assert reached == sorted(reached)
    assert reached[-1] == 12.0


class _Recorder(Perceiver[FrameInputs, FrameBatch]):
    modality = "tag"

    def __init__(self, every: float, size: int) -> None:
        self.inputs = FrameInputs(every=every, tolerance=0.0, size=size)
        self.times: list[float] = []
        self.heights: set[int] = set()

    def perceive(self, batch: FrameBatch) -> list[Observation]:
        self.times += batch.times.tolist()
        self.heights.add(batch.frames.shape[1])
        return []


def test_each_perceiver_receives_the_frames_it_requests(talk: Path) -> None:
    frequent, rare = _Recorder(1.0, 90), _Recorder(3.0, 180)
    perceivers: list[Perceiver[Any, Any]] = [frequent, rare]
    list(perceive(talk, perceivers))
    assert frequent.times == [float(second) for second in range(12)]
    assert rare.times == [0.0, 3.0, 6.0, 9.0]
    assert (frequent.heights, rare.heights) == ({90}, {180})


def test_an_unchanged_frame_is_not_read_again() -> None:
    detector = ChangeDetector()
    slide = np.asarray(draw_slide(["Quarterly results", "Revenue 4711 EUR"]))
    noise = np.random.default_rng(0).normal(0, 3, slide.shape)
    assert detector.changed_regions(slide) == [(0, 0, 640, 360)]
    assert detector.changed_regions(np.clip(slide + noise, 0, 255).astype(np.uint8)) == []


def test_a_changed_digit_is_the_only_region_to_read() -> None:
    detector = ChangeDetector()
    detector.changed_regions(np.asarray(draw_slide(["Quarterly results", "Revenue 4711 EUR"])))
    regions = detector.changed_regions(np.asarray(draw_slide(["Quarterly results", "Revenue 4712 EUR"])))
    assert len(regions) == 1
    left, top, right, bottom = regions[0]
    assert 200 < left < right < 330
    assert 90 < top < bottom < 150


def test_a_slow_fade_is_detected() -> None:
    detector = ChangeDetector()
    slide = np.asarray(draw_slide(["Fading"])).astype(np.float64)
    detector.changed_regions(np.full(slide.shape, 245, np.uint8))
    observations = [detector.changed_regions((245 + (slide - 245) * step / 50).astype(np.uint8)) for step in range(51)]
    assert any(observations)
    assert observations[1] == []


def test_a_moving_region_without_text_is_ignored_until_it_stops() -> None:
    def speaker(at: int, caption: str = "") -> NDArray[np.uint8]:
        picture = draw_slide(["Quarterly results"])
        pen = ImageDraw.Draw(picture)
        pen.ellipse((480 + 20 * at, 220, 540 + 20 * at, 340), fill=(120, 80, 60))
        pen.text((440, 300), caption, fill=(255, 255, 255), font_size=28)
        return np.asarray(picture)

    detector = ChangeDetector()
    was_read = []
    for place in [0, 4, 0, 4, 0, 4, 0]:
        frame = speaker(place)
        regions = detector.changed_regions(frame)
        detector.update(frame, regions, [])
        was_read.append(bool(regions))
    assert was_read == [True, True, True, False, False, False, False]
    detector.changed_regions(speaker(3, "Ada Lovelace"))
    assert detector.changed_regions(speaker(3, "Ada Lovelace")), (
        "a caption that stays is read even where the picture kept changing"
    )


def test_the_error_for_an_unknown_profile_lists_the_profiles() -> None:
    with pytest.raises(InputError, match="lite, talk, standard, full"):
        create_perceivers("heavy")


def test_missing_weights_are_reported_with_their_size_before_the_video_is_read(talk: Path) -> None:
    reached: list[float] = []
    with pytest.raises(ModelUnavailableError, match=r'siglip2.*1\.5 GB.*path of a folder.*profile="lite"'):
        list(perceive(talk, "standard", callbacks=PerceptionCallbacks(progress=reached.append)))
    assert reached == []


def test_times_out_of_order_are_refused(talk: Path) -> None:
    with pytest.raises(InputError, match="start, end"):
        perceive(talk, "lite", start=5.0, end=2.0)
