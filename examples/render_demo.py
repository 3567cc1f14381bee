"""Render the demo video: two recipes in forty seconds, with a voice and subtitles that add to the screen text.

Usage: python -m examples.render_demo [FILE]
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pysubs2
from av.audio.stream import AudioStream
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import SubtitleSet
from av.video.reformatter import Colorspace
from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageFont

from examples import demo_voice
from examples.demo_drawings import GLASS_BOTTOM, PAPER, Canvas, Picture, draw_lemonade, draw_pancakes, draw_parade, ease

WIDTH, HEIGHT, FRAME_RATE = 1280, 720, 24
KEYFRAME_SECONDS = 2
ENCODING = {
    "preset": "veryfast",
    "crf": "22",
    # Cuts coincide with keyframes. A fixed number of threads makes the picture identical on every machine.
    "x264-params": f"keyint={KEYFRAME_SECONDS * FRAME_RATE}:scenecut=0:threads=2",
}
CARD = (650, 226, 1210, 626)
STEP_AREA = (690, 256, 1170, 576)
INK = "#33261d"

CUES = [
    (0.4, 3.6, "Both of these are ready before your tea is cold."),
    (4.4, 7.6, "My grandmother made the first one every Sunday."),
    (8.4, 11.6, "Do not beat it too long, small lumps are fine."),
    (12.4, 15.6, "Sift it, and the batter stays light."),
    (16.4, 19.6, "When the edge turns golden, be brave and toss it!"),
    (20.4, 23.6, "Now for something cold on a hot afternoon."),
    (24.4, 27.6, "Roll the fruit on the table first, it gives more juice."),
    (28.4, 31.6, "Taste as you go, everyone likes it differently."),
    (32.4, 35.6, "A sprig of mint makes it look like summer."),
    (36.4, 39.6, "Thank you for cooking with me, and see you next week!"),
]
"""What is said and subtitled: start and end of the subtitle in seconds, and text."""


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels include FreeType
    return font


def _gradient(top: str, bottom: str) -> Image.Image:
    rows = np.linspace(ImageColor.getrgb(top), ImageColor.getrgb(bottom), HEIGHT).round().astype(np.uint8)
    return Image.fromarray(np.repeat(rows[:, None], WIDTH, axis=1))


def title_still(top: str, bottom: str, table: str, ink: str, lines: tuple[str, str]) -> Picture:
    """Draw a title card: a large line, a small line and a table."""
    still = _gradient(top, bottom)
    draw = ImageDraw.Draw(still)
    draw.rectangle((0, 646, WIDTH, HEIGHT), fill=table)
    draw.text((WIDTH / 2, 250), lines[0], ink, _font(110), anchor="mm", stroke_width=1, stroke_fill=ink)
    draw.text((WIDTH / 2, 370), lines[1], ink, _font(44), anchor="mm")
    return np.array(still)


def recipe_still(top: str, bottom: str, table: str, accent: str, lines: tuple[str, str]) -> Picture:
    """Draw a recipe's background: heading, number and an empty card for its steps."""
    still = _gradient(top, bottom)
    if table:
        ImageDraw.Draw(still).rectangle((0, GLASS_BOTTOM + 6, WIDTH, HEIGHT), fill=table)
    shadow = Image.new("L", still.size)
    ImageDraw.Draw(shadow).rounded_rectangle((CARD[0], CARD[1] + 10, CARD[2], CARD[3] + 14), 28, fill=70)
    still.paste(INK, mask=shadow.filter(ImageFilter.GaussianBlur(16)))
    draw = ImageDraw.Draw(still)
    draw.rounded_rectangle(CARD, 28, fill=PAPER)
    draw.text((CARD[0], 98), lines[0], INK, _font(84), anchor="lm", stroke_width=1, stroke_fill=INK)
    width = draw.textlength(lines[1], _font(32))
    draw.rounded_rectangle((CARD[0], 156, CARD[0] + width + 44, 206), 25, fill=accent)
    draw.text((CARD[0] + 22, 181), lines[1], PAPER, _font(32), anchor="lm")
    return np.array(still)


def step_still(accent: str, kicker: str, text: str) -> Picture:
    """Draw the text of one step."""
    still = Image.new("RGB", (STEP_AREA[2] - STEP_AREA[0], STEP_AREA[3] - STEP_AREA[1]), PAPER)
    draw = ImageDraw.Draw(still)
    draw.text((0, 24), kicker, accent, _font(34), anchor="lm", stroke_width=1, stroke_fill=accent)
    draw.multiline_text((0, 74), text, INK, _font(54), spacing=18)
    return np.array(still)


@dataclass(frozen=True)
class Scene:
    """A scene between two cuts, divided equally among its steps."""

    end: float
    """Seconds from the start of the video."""

    still: Picture
    """The background."""

    draw: Callable[[Canvas, float], None]
    """Draws the animation on a frame, given the seconds since the scene began."""

    accent: str = INK
    """Color of the progress bar."""

    steps: tuple[Picture, ...] = ()
    """Contents of the card, in order."""


def recipe(
    end: float,
    colors: tuple[str, str, str, str],
    lines: tuple[str, str],
    draw: Callable[[Canvas, float], None],
    steps: dict[str, str],
) -> Scene:
    """Build the scene of a recipe."""
    accent = colors[3]
    stills = tuple(step_still(accent, kicker, text) for kicker, text in steps.items())
    return Scene(end, recipe_still(*colors, lines), draw, accent, stills)


def make_scenes() -> list[Scene]:
    """Build the scenes of the video."""
    return [
        Scene(
            4,
            title_still("#fff6e6", "#ffdcae", "#e88c4a", INK, ("Two quick recipes", "Pancakes and lemonade")),
            draw_parade,
        ),
        recipe(
            20,
            ("#fdeee0", "#f7c9a3", "", "#c2541d"),
            ("Pancakes", "Recipe no. PX-4471"),
            draw_pancakes,
            {
                "You need": "2 eggs\n250 ml milk\n150 g flour",
                "Step 1 of 3": "Whisk 2 eggs\nwith 250 ml milk",
                "Step 2 of 3": "Stir in\n150 g flour",
                "Step 3 of 3": "Fry 90 seconds\non each side",
            },
        ),
        recipe(
            36,
            ("#e2f7ef", "#a9e2d0", "#6cc3ab", "#14745f"),
            ("Lemonade", "Recipe no. LM-2086"),
            draw_lemonade,
            {
                "You need": "3 lemons\n60 g sugar\n1 litre water",
                "Step 1 of 3": "Squeeze\n3 lemons",
                "Step 2 of 3": "Add 60 g sugar\nand 1 litre water",
                "Step 3 of 3": "Chill 5 minutes,\nserve with ice",
            },
        ),
        Scene(
            40,
            title_still("#24395c", "#3d5c8a", "#f2b950", PAPER, ("Enjoy your meal!", "Next week: tomato soup")),
            draw_parade,
        ),
    ]


def draw_frame(scene: Scene, start: float, seconds: float) -> Picture:
    """Draw one RGB frame.

    Args:
        scene: Scene of the frame.
        start: Start of the scene in seconds.
        seconds: Time of the frame in seconds.
    """
    canvas = Canvas(scene.still.copy())
    scene.draw(canvas, seconds - start)
    if scene.steps:
        _draw_steps(canvas, scene, (seconds - start) / (scene.end - start))
    return canvas.pixels


def _draw_steps(canvas: Canvas, scene: Scene, progress: float) -> None:
    left, top, right, bottom = STEP_AREA
    position = progress * len(scene.steps)
    index = int(position)
    # A step fades in early: the keyframe at its start shows it completely.
    fade_out, fade_in = ease((position - index - 0.86) / 0.07), ease((position - index - 0.93) / 0.07)
    shown, opacity, shift = index, 1 - fade_out, -24 * fade_out
    if fade_in > 0 and index + 1 < len(scene.steps):
        shown, opacity, shift = index + 1, fade_in, 24 * (1 - fade_in)
    if index + 1 == len(scene.steps):
        opacity, shift = 1, 0
    y = top + round(shift)
    area = canvas.pixels[y : y + bottom - top, left:right]
    cv2.addWeighted(scene.steps[shown], opacity, area, 1 - opacity, 0, dst=area)
    canvas.line([(left, 596), (right, 596)], "#eee6da", 8)
    canvas.line([(left, 596), (left + (right - left) * progress, 596)], scene.accent, 8)


def render(path: Path) -> None:
    """Render the demo video: 40 seconds of 1280x720 H.264 at 24 fps, with English speech and subtitles.

    There is a keyframe at every cut and every two seconds.

    Args:
        path: The MP4 file to write; its folder is created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["title"] = "Two quick recipes"
        video = container.add_stream("libx264", rate=FRAME_RATE, options=ENCODING)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.colorspace = Colorspace.ITU601  # the matrix of OpenCV's conversion
        subtitles = container.add_stream("mov_text")
        subtitles.metadata["language"] = "eng"
        subtitles.codec_context.time_base = Fraction(1, 1000)
        subtitles.codec_context.subtitle_header = pysubs2.SSAFile().to_string("ass").encode()
        sound = container.add_stream("aac", rate=demo_voice.SAMPLE_RATE, layout="mono", bit_rate=64_000)
        sound.metadata["language"] = "eng"
        container.start_encoding()
        container.mux(list(_encode_cues(subtitles)))
        container.mux(list(_encode_speech(sound, make_scenes()[-1].end)))
        for index, pixels in enumerate(draw_frames()):
            planes = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode())


def draw_frames() -> Iterator[Picture]:
    """Draw all RGB frames in time order."""
    start = 0.0
    for scene in make_scenes():
        for index in range(round(start * FRAME_RATE), round(scene.end * FRAME_RATE)):
            yield draw_frame(scene, start, index / FRAME_RATE)
        start = scene.end


def _encode_speech(stream: AudioStream, seconds: float) -> Iterator["av.Packet[AudioStream]"]:
    samples = demo_voice.speak(CUES, seconds)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = demo_voice.SAMPLE_RATE, 0, Fraction(1, demo_voice.SAMPLE_RATE)
    yield from stream.encode(frame)
    yield from stream.encode()


def _encode_cues(stream: SubtitleStream) -> Iterator["av.Packet[SubtitleStream]"]:
    for number, (start, end, text) in enumerate(CUES):
        dialogue = f"{number},0,Default,,0,0,0,,{text}".encode()
        cue = SubtitleSet.create(dialogue, start=0, end=round((end - start) * 1000), pts=round(start * 1000))
        packet = stream.codec_context.encode_subtitle(cue)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        yield packet


def main() -> None:
    """Render to the file given on the command line."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "demo/quick_recipes.mp4")
    render(path)
    print(f"Rendered {path}")


if __name__ == "__main__":
    main()
