"""Synthetic videos, rendered once and cached in the temporary directory."""

import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from examples.demo_voice import SAMPLE_RATE, speak
from langchain_videochat.media import probe
from langchain_videochat.media.ffmpeg import find_ffmpeg
from tests.benchmarks.report import progress

WIDTH, HEIGHT = 1280, 720
SLIDE_SECONDS = 20
SCENE_SECONDS = 10
PAN_SPEED = 40
"""Pixels per second: a pan shows a third of a new picture in a scene."""
GRAIN = 6
"""Standard deviation of the noise, in steps of 255. It yields about 8 Mbit/s, like phone videos; 0 yields 2."""
WORDS = """
the model learns a map from frames to text and each query attends over time memory grows with window size so we measure
recall latency cost bandwidth results table gradient encoder decoder attention video timeline index search
""".split()  # noqa: SIM905 - a list would take forty lines

SENTENCE = "And then the next slide shows what the model learns from frames."
"""About four seconds of speech."""

Picture = NDArray[np.uint8]
"""YUV 4:2:0 in one array, [HEIGHT * 3 / 2, WIDTH]: luma above, chroma below."""


def cached(name: str, build: Callable[[Path], object]) -> Path:
    """Return a file or folder from the cache, building it if it is missing. Its name must contain all parameters."""
    folder = Path(tempfile.gettempdir()) / "langchain-videochat-benchmarks"
    folder.mkdir(exist_ok=True)
    path = folder / name
    if not path.exists():
        progress(f"  building {path}")
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            build(Path(unfinished) / name)
            (Path(unfinished) / name).rename(path)
    return path


def natural(seconds: int, rate: int = 30, *, gop: int = 2, first_gop: int = 2, grain: int = GRAIN) -> Path:
    """Return a video of a camera that pans, sways and zooms over a grainy landscape with moving shapes.

    Args:
        seconds: Duration.
        rate: Frames per second.
        gop: Seconds between keyframes.
        first_gop: Seconds until the second keyframe, from which the others follow at intervals of `gop`.
        grain: Standard deviation of the noise, in steps of 255.
    """
    name = f"natural-{seconds}s-{rate}fps-gop{gop}-first{first_gop}-grain{grain}.mp4"
    pictures = _landscape(seconds, rate, grain)
    return cached(name, lambda path: _encode(path, pictures, rate, gop=gop * rate, forced_key=first_gop * rate))


def talk(seconds: int, rate: int = 25, *, gop: int = 2, speaker: bool = False) -> Path:
    """Return a talk with a new slide every `SLIDE_SECONDS`: a title, six lines and, optionally, a moving speaker."""
    name = f"talk-{seconds}s-{rate}fps-gop{gop}{'-speaker' if speaker else ''}.mp4"
    return cached(name, lambda path: _encode(path, _slides(seconds, rate, speaker=speaker), rate, gop=gop * rate))


def film(scenes: int, rate: int = 30) -> Path:
    """Return a film with cuts every `SCENE_SECONDS`: shapes move in all scenes, the camera pans in every second one."""
    name = f"film-{scenes}scenes-{rate}fps.mp4"
    return cached(name, lambda path: _encode(path, _scenes(scenes, rate), rate, gop=2 * rate))


def still(seconds: int, rate: int = 30) -> Path:
    """Return a video of a grainy landscape in which nothing moves."""
    name = f"still-{seconds}s-{rate}fps.mp4"
    return cached(name, lambda path: _encode(path, _still(seconds, rate), rate, gop=2 * rate))


def repeated(path: Path, repetitions: int) -> Path:
    """Return a video that repeats another, by stream copy."""
    options = ["-nostdin", "-loglevel", "error", "-stream_loop", str(repetitions - 1)]

    def build(target: Path) -> None:
        subprocess.run([find_ffmpeg(), *options, "-i", path, "-c", "copy", target], check=True)

    return cached(f"{path.stem}-x{repetitions}.mp4", build)


def with_sound(video: Path, *, silent: bool = False) -> Path:
    """Add an audio track: a sentence every five seconds, or silence."""

    def build(target: Path) -> None:
        seconds = probe(video).duration
        cues = [(start, start + 4.0, SENTENCE) for start in np.arange(0, seconds, 5.0).tolist()]
        samples = speak([] if silent else cues, seconds)
        raw = ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1", "-i", "-"]
        command = [find_ffmpeg(), "-loglevel", "error", "-i", str(video), *raw, "-c:v", "copy", "-shortest"]
        subprocess.run([*command, str(target)], input=samples.tobytes(), check=True)

    return cached(f"{video.stem}-{'silence' if silent else 'sentences'}.mp4", build)


def _encode(path: Path, pictures: Iterator[Picture], rate: int, *, gop: int, forced_key: int | None = None) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "forced-idr": "1"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", gop
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            frame.pict_type = PictureType.I if number == forced_key else PictureType.NONE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _landscape(seconds: int, rate: int, strength: int) -> Iterator[Picture]:
    generator = np.random.default_rng(0)
    # Noise at all scales, stronger at coarser ones, has about the statistics of photographs.
    size = (2 * WIDTH, 2 * HEIGHT)
    octaves = [
        cv2.resize(
            generator.normal(0, 2**octave, (HEIGHT >> octave, WIDTH >> octave)), size, interpolation=cv2.INTER_CUBIC
        )
        for octave in range(7)
    ]
    scene = np.clip(125 + sum(octaves), 16, 235).astype(np.int16)
    grain = [generator.normal(0, strength, (HEIGHT, WIDTH)).astype(np.int16) for _ in range(8)]
    for number in range(seconds * rate):
        time = number / rate
        camera = _camera(time)
        light = cv2.warpAffine(scene, camera, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        picture = np.clip(light + grain[number % len(grain)], 16, 235).astype(np.uint8)
        for shape in range(5):
            centre = (int(WIDTH * (time / (4 + shape) % 1)), int(HEIGHT * (0.2 + 0.15 * shape)))
            cv2.circle(picture, centre, 40, 40 + 40 * shape, -1)
        color = (112 + cv2.resize(light, (WIDTH // 2, HEIGHT // 2)) // 8).astype(np.uint8).reshape(-1, WIDTH)
        yield np.concatenate([picture, color, color[::-1]])


def _scenes(scenes: int, rate: int) -> Iterator[Picture]:
    for scene in range(scenes):
        landscape, grain = _draw_landscape(scene), _draw_grain(scene)
        for number in range(SCENE_SECONDS * rate):
            time = number / rate
            pan = round(PAN_SPEED * time) if scene % 2 else 0
            picture = np.clip(landscape[:HEIGHT, pan : pan + WIDTH] + grain[number % len(grain)], 16, 235)
            for shape in range(2):
                centre = (int(WIDTH * ((time + scene) / (7 + 3 * shape) % 1)), 250 + 200 * shape)
                cv2.circle(picture, centre, 60, 60 + 110 * shape, -1)
            yield _with_color(picture, hue=scene)


def _still(seconds: int, rate: int) -> Iterator[Picture]:
    landscape, grain = _draw_landscape(0), _draw_grain(0)
    for number in range(seconds * rate):
        yield _with_color(np.clip(landscape[:HEIGHT, :WIDTH] + grain[number % len(grain)], 16, 235), hue=0)


def _draw_landscape(seed: int) -> NDArray[np.int16]:
    """Draw noise at all scales, stronger at coarser ones, which has about the statistics of photographs."""
    generator = np.random.default_rng(seed)
    size = (2 * WIDTH, 2 * HEIGHT)
    octaves = [
        cv2.resize(
            generator.normal(0, 2**octave, (HEIGHT >> octave, WIDTH >> octave)), size, interpolation=cv2.INTER_CUBIC
        )
        for octave in range(7)
    ]
    return np.clip(125 + sum(octaves), 16, 235).astype(np.int16)


def _draw_grain(seed: int) -> list[NDArray[np.int16]]:
    generator = np.random.default_rng(seed)
    return [generator.normal(0, GRAIN, (HEIGHT, WIDTH)).astype(np.int16) for _ in range(8)]


def _with_color(light: NDArray[np.int16], hue: int) -> Picture:
    """Add color planes: a tint of the scene, stronger where it is light."""
    picture = light.astype(np.uint8)
    color = (
        (90 + 15 * hue % 60 + cv2.resize(picture, (WIDTH // 2, HEIGHT // 2)) // 8).astype(np.uint8).reshape(-1, WIDTH)
    )
    return np.concatenate([picture, color, color[::-1]])


def _camera(time: float) -> NDArray[np.float64]:
    """Return the affine map from the picture to the scene."""
    degrees, zoom = 2 * np.sin(time * 1.3), 1 + 0.15 * np.sin(time / 3)
    camera = cv2.getRotationMatrix2D((WIDTH, HEIGHT), degrees, zoom)
    camera[:, 2] -= (WIDTH / 2 * (1 + np.sin(time / 7)), HEIGHT / 2 * (1 + np.cos(time / 11)))
    return np.asarray(camera, dtype=np.float64)


def _slides(seconds: int, rate: int, *, speaker: bool) -> Iterator[Picture]:
    for number in range(seconds * rate):
        if number % (SLIDE_SECONDS * rate) == 0:
            slide = _slide(number // (SLIDE_SECONDS * rate))
        picture = slide
        if speaker:
            picture = slide.copy()
            sway = 20 * np.sin(number / rate * 3)
            cv2.circle(picture, (WIDTH - 120 + round(sway), HEIGHT - 110), 80, 150, -1)
        yield picture


def _slide(number: int) -> Picture:
    words = random.Random(number)
    image = Image.new("RGB", (WIDTH, HEIGHT), "#f7f7f2")
    draw = ImageDraw.Draw(image)
    title = f"{number + 1}. {' '.join(words.sample(WORDS, 3)).capitalize()}"
    draw.text((70, 50), title, fill="#1c3f72", font=ImageFont.load_default(56))
    for line in range(6):
        text = "- " + " ".join(words.sample(WORDS, 6))
        draw.text((90, 170 + 80 * line), text, fill="#222222", font=ImageFont.load_default(34))
    return np.asarray(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)
