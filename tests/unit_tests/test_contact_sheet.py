"""Contact sheets: which frames they show, at what size, and whether their times can be read."""

import re
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from langchain_videochat.errors import InputError, MediaError, SourceError
from langchain_videochat.media import isolated_media
from langchain_videochat.perception.ocr import recognize
from langchain_videochat.text import ContactSheet, make_contact_sheet
from langchain_videochat.utils.timecode import parse_timecode
from tests.slides import render_talk

Picture = NDArray[np.uint8]

SLIDES = [["Whisk two eggs"], ["Heat the butter"], ["Fold the omelette"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def talk(folder: Path) -> Path:
    return render_talk(folder / "talk.mp4", SLIDES)


def render(path: Path, picture: Callable[[int], Picture], frames: int, rate: Fraction = Fraction(2)) -> Path:
    """Render a video from the picture of each frame, [height, width, 3]."""
    height, width = picture(0).shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def patches(number: int, size: tuple[int, int] = (320, 180), darkest: int = 0) -> Picture:
    """Return a picture with patches of color, different for each number."""
    colors = np.random.default_rng(number).integers(darkest, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(colors).resize(size))


def read_times(sheet: ContactSheet) -> list[str]:
    """Return the times that are written in a sheet, row by row."""
    lines = [line for line in recognize(sheet.picture) if re.fullmatch(r"[\d:.]{5,}", line.text)]
    return [line.text for line in sorted(lines, key=lambda line: (round(line.rect[1] / 20), line.rect[0]))]


# Which frames


def test_each_slide_is_shown_once(talk: Path) -> None:
    sheet = make_contact_sheet(talk)
    assert sheet.times == (0.0, 4.0, 8.0)
    text = " ".join(line.text for line in recognize(sheet.picture))
    assert [text.index(word) for word in ("Whisk", "butter", "omelette")]


def test_a_part_of_a_video(talk: Path) -> None:
    assert make_contact_sheet(talk, 5, 9).times == pytest.approx((5.0, 8.0), abs=0.2)
    assert make_contact_sheet(talk, 6, 7).times == pytest.approx((6.0,), abs=0.2)


def test_the_least_important_frames_are_left_out(folder: Path) -> None:
    def picture(number: int) -> Picture:
        """Return a slide of ten seconds, ten shots of half a second, and another slide."""
        return patches(0 if number < 20 else number if number < 30 else 100)

    path = render(folder / "shots.mp4", picture, frames=60)
    times = make_contact_sheet(path, max_frames=4).times
    assert len(times) == 4
    assert times[0] == 0.0
    assert times[-1] == 15.0
    assert len(make_contact_sheet(path).times) == 12


def test_no_frame_is_shown_twice(folder: Path) -> None:
    path = render(folder / "two frames.mp4", patches, frames=2)
    assert make_contact_sheet(path).times == (0.0, 0.5)


def test_frames_of_a_moving_picture_cover_the_video(folder: Path) -> None:
    path = render(folder / "hours.mp4", patches, frames=300, rate=Fraction(1, 60))
    times = [0.0, *make_contact_sheet(path).times, 300 * 60.0]
    assert len(times) == 14
    assert max(following - time for time, following in pairwise(times)) < 300 * 60 / 3


# Size


@pytest.mark.parametrize(
    "size",
    [(320, 180), (180, 320), (1920, 1080), (1920, 180), (16, 1024), (2048, 16), (16, 16), (3840, 2160)],
    ids=str,
)
def test_sheets_are_bounded(folder: Path, size: tuple[int, int]) -> None:
    path = render(folder / f"{size}.mp4", lambda number: patches(number, size), frames=13)
    for max_frames in (1, 5, 12):
        sheet = make_contact_sheet(path, max_frames=max_frames)
        height, width, _ = sheet.picture.shape
        assert len(sheet.times) == max_frames
        assert max(width, height) <= 896
        assert min(width, height) <= 672


def test_small_frames_are_hardly_enlarged(folder: Path) -> None:
    sheet = make_contact_sheet(render(folder / "small.mp4", lambda _: patches(0, (32, 24)), frames=2))
    assert sheet.picture.shape == (168, 224, 3)


def test_frames_keep_their_proportions(folder: Path) -> None:
    def picture(_: int) -> Picture:
        """Return a white square in the middle of a black panorama."""
        pixels = np.zeros((120, 1200, 3), np.uint8)
        pixels[30:90, 570:630] = 255
        return pixels

    sheet = make_contact_sheet(render(folder / "panorama.mp4", picture, frames=2))
    rows, columns = np.nonzero(sheet.picture[..., 0][:, 200:] > 127)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=2)


# Times in the picture


@pytest.mark.parametrize("darkest", [0, 200], ids=["colorful", "bright"])
@pytest.mark.parametrize(("size", "max_frames"), [((640, 360), 12), ((360, 640), 12), ((16, 16), 4), ((640, 360), 30)])
def test_times_can_be_read_on_any_background(
    folder: Path, darkest: int, size: tuple[int, int], max_frames: int
) -> None:
    path = render(folder / f"{darkest} {size}.mp4", lambda number: patches(number, size, darkest), frames=40)
    sheet = make_contact_sheet(path, max_frames=max_frames)
    assert len(sheet.labels) == max_frames
    # The detector of lines misses some between small frames of many colors.
    assert len(set(sheet.labels) - set(read_times(sheet))) <= max_frames // 10


@pytest.mark.parametrize("rate", [Fraction(1, 600), Fraction(1), Fraction(3), Fraction(30)], ids=str)
def test_times_in_the_picture_are_those_of_their_frames(folder: Path, rate: Fraction) -> None:
    path = render(folder / f"{float(rate)}.mp4", patches, frames=13, rate=rate)
    sheet = make_contact_sheet(path)
    shown = [parse_timecode(label) for label in sheet.labels]
    following = (*sheet.times[1:], float(13 / rate))
    assert len(shown) == 12
    for time, label, end in zip(sheet.times, shown, following, strict=True):
        assert time - 0.001 <= label < end


def test_times_have_no_needless_decimals(talk: Path, folder: Path) -> None:
    assert make_contact_sheet(talk).labels == ("00:00", "00:04", "00:08")
    path = render(folder / "hour.mp4", patches, frames=7, rate=Fraction(1, 600))
    assert make_contact_sheet(path).labels == ("00:00", "10:00", "20:00", "30:00", "40:00", "50:00", "1:00:00")


# Bad input


def test_an_image_has_one_frame(folder: Path) -> None:
    Image.fromarray(patches(0)).save(folder / "still.gif")
    sheet = make_contact_sheet(folder / "still.gif")
    assert (sheet.times, sheet.labels) == ((0.0,), ("00:00",))


def test_untrusted_files_are_decoded_in_worker_processes(talk: Path) -> None:
    with isolated_media():
        sheet = make_contact_sheet(talk)
    assert (sheet.picture == make_contact_sheet(talk).picture).all()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"max_frames": 0}, "from 1 to 30"),
        ({"max_frames": 31}, "from 1 to 30"),
        ({"start": 5, "end": 5}, "must be after start"),
        ({"start": 12}, "before the end of the video"),
    ],
)
def test_bad_arguments_are_rejected(talk: Path, arguments: dict[str, int], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        make_contact_sheet(talk, **arguments)


def test_bad_files_are_rejected(folder: Path) -> None:
    (folder / "notes.mp4").write_text("not a video")
    with pytest.raises(MediaError):
        make_contact_sheet(folder / "notes.mp4")
    with pytest.raises(SourceError):
        make_contact_sheet(folder / "missing.mp4")
