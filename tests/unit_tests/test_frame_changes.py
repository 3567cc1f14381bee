"""Frame changes: what counts as one, and which frames perceivers receive."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from langchain_videochat.media import FrameBatch
from langchain_videochat.perception import FrameInputs, Observation, Perceiver, perceive
from langchain_videochat.perception.frame_changes import NEW_VIEW, VISIBLE_CHANGE, ChangeFilter, Thumbnail
from tests.slides import draw_slide, render_talk

Picture = NDArray[np.uint8]

HEIGHT, WIDTH = 360, 640


def draw_landscape(seed: int) -> Picture:
    """Return a picture with details of all sizes, [720, 1920, 3]."""
    generator = np.random.default_rng(seed)
    size = (3 * WIDTH, 2 * HEIGHT)
    octaves = [
        cv2.resize(generator.normal(0, 2**octave, (size[1] >> octave, size[0] >> octave, 3)), size)
        for octave in range(2, 7)
    ]
    return np.asarray(np.clip(125 + np.sum(octaves, axis=0) / 1.5, 0, 255), dtype=np.uint8)


LANDSCAPE, OTHER = draw_landscape(0), draw_landscape(1)


def view(x: int = 0, landscape: Picture = LANDSCAPE) -> Picture:
    """Return a frame of a camera that has panned over a landscape by x pixels."""
    return landscape[100 : 100 + HEIGHT, x : x + WIDTH]


def with_person(background: Picture, x: int) -> Picture:
    frame = background.copy()
    frame[120:340, x : x + 90] = OTHER[120:340, 200:290]
    return frame


def change(before: Picture, after: Picture) -> float:
    return Thumbnail.of(after).change_since(Thumbnail.of(before))


def test_noise_is_not_a_change() -> None:
    noisy = np.clip(view() + np.random.default_rng(0).normal(0, 12, view().shape), 0, 255).astype(np.uint8)
    assert change(view(), view()) == 0.0
    assert change(view(), noisy) < VISIBLE_CHANGE / 4


def test_compression_is_not_a_change() -> None:
    _, coded = cv2.imencode(".jpg", view(), [cv2.IMWRITE_JPEG_QUALITY, 25])
    assert change(view(), np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)) < VISIBLE_CHANGE


def test_a_cut_is_a_new_view() -> None:
    assert change(view(), view(landscape=OTHER)) > 0.9


@pytest.mark.parametrize(
    "lines", [["Whisk two eggs", "with a pinch of salt"], ["Results", "fewer calls", "less memory"]]
)
def test_the_next_slide_is_a_new_view(lines: list[str]) -> None:
    before, after = (np.asarray(draw_slide(one)) for one in (["Heat the butter", "in a small pan"], lines))
    assert change(before, after) >= NEW_VIEW


@pytest.mark.parametrize("background", [view(), np.full_like(view(), 180)], ids=["outdoors", "wall"])
def test_a_moving_person_is_visible_but_not_a_new_view(background: Picture) -> None:
    steps = [change(with_person(background, 200), with_person(background, x)) for x in (215, 260, 300, 380)]
    assert all(VISIBLE_CHANGE <= one < NEW_VIEW for one in steps)


@pytest.mark.parametrize("x", [30, 70, 150, 250])
def test_what_a_pan_keeps_in_the_picture_is_not_new(x: int) -> None:
    assert change(view(), view(x)) == pytest.approx(x / WIDTH, abs=0.08)


def test_a_pan_to_another_part_is_a_new_view() -> None:
    assert change(view(), view(WIDTH)) > 0.9
    assert change(view(), view(WIDTH // 2)) >= NEW_VIEW


def test_frames_of_other_sizes_differ_completely() -> None:
    assert change(view(), view()[:, :100]) == 1.0


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 5)])
def test_frames_of_odd_sizes_can_be_compared(size: tuple[int, int]) -> None:
    dark, bright = (np.full((*size, 3), level, np.uint8) for level in (10, 240))
    assert change(dark, dark) == 0.0
    assert change(dark, bright) == pytest.approx(1.0)


def selected(
    frames: list[Picture], min_change: float = NEW_VIEW, min_seconds: float = 0.0, every: float = 1.0
) -> list[float]:
    """Return the times of the selected frames."""
    inputs = FrameInputs(every, tolerance=0.5, size=HEIGHT, min_change=min_change, min_seconds=min_seconds)
    changes = ChangeFilter(inputs)
    times = [number * every for number in range(len(frames))]
    return [time for frame, time in zip(frames, times, strict=True) if changes.select(Thumbnail.of(frame), time)]


def test_a_still_picture_is_selected_every_ten_seconds() -> None:
    assert selected([view()] * 35) == [0.0, 10.0, 20.0, 30.0]


def test_a_slow_pan_has_a_new_view_whenever_little_of_the_old_one_is_left() -> None:
    assert selected([view(50 * second) for second in range(20)]) == [0.0, 6.0, 12.0, 18.0]


def test_slow_changes_add_up() -> None:
    parts = np.linspace(0, 1, 200)
    frames = [np.asarray(view() * (1 - part) + view(landscape=OTHER) * part, dtype=np.uint8) for part in parts]
    assert 4 <= len(selected(frames, VISIBLE_CHANGE, every=0.04)) <= 100


def test_changes_in_quick_succession_are_selected_after_a_while() -> None:
    views = [view(), view(landscape=OTHER)] * 10
    assert selected(views, min_seconds=4.0) == [0.0, 5.0, 10.0, 15.0]
    assert selected([view(), *[view(landscape=OTHER)] * 8], min_seconds=4.0) == [0.0, 4.0]


# In the pipeline


class Recorder(Perceiver[FrameInputs, FrameBatch]):
    """Records the times of its frames."""

    modality = "tag"

    def __init__(self, min_change: float = 0.0, every: float = 1.0, size: int = 90) -> None:
        self.inputs = FrameInputs(every=every, tolerance=0.0, size=size, min_change=min_change)
        self.times: list[float] = []

    def perceive(self, batch: FrameBatch) -> Iterator[Observation]:
        assert min(batch.frames.shape[1:3]) == self.inputs.size
        self.times += batch.times.round(3).tolist()
        yield from ()


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render three slides of four, and one of sixteen seconds, with a clock in the last."""

    def paint(picture: Image.Image, time: float) -> None:
        if 8 <= time < 12:
            picture.paste((0, 0, 0), (40 * int(time), 260, 40 * int(time) + 60, 320))

    slides = [
        ["One is about eggs", "and salt"],
        ["Two is about", "the small frying pan"],
        ["Three shows", "a moving box"],
    ]
    last = [["Four is about nothing", "at all in particular"]] * 4
    return render_talk(tmp_path_factory.mktemp("talk") / "talk.mp4", [*slides, *last], decorate=paint)


def test_each_perceiver_receives_its_own_changes(talk: Path) -> None:
    recorders = [
        Recorder(),
        Recorder(VISIBLE_CHANGE),
        Recorder(VISIBLE_CHANGE, size=180),
        Recorder(NEW_VIEW, every=2.0),
    ]
    assert list(perceive(talk, recorders)) == []
    everything, visible, larger, views = (one.times for one in recorders)
    assert everything == [float(second) for second in range(28)]
    assert visible == larger == [0.0, 4.0, 8.0, 9.0, 10.0, 11.0, 12.0, 22.0]
    assert views == [0.0, 4.0, 8.0, 12.0, 22.0]


def test_the_first_frame_of_a_segment_is_received(talk: Path) -> None:
    recorder = Recorder(NEW_VIEW)
    list(perceive(talk, [recorder], start=5.0, end=9.5))
    assert recorder.times == [5.0, 8.0]
