"""Animations of the demo video: each function draws one frame, `seconds` after the start of its scene."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

Picture = NDArray[np.uint8]

PAPER = "#fffdf8"
GLASS_TOP, GLASS_BOTTOM = 224, 612


class Canvas:
    """A frame to draw on, with antialiased shapes at subpixel positions and colors like "#rrggbb"."""

    def __init__(self, pixels: Picture) -> None:
        self.pixels = pixels

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        color: str,
        *,
        angle: float = 0,
        arc: tuple[float, float] = (0, 360),
    ) -> None:
        """Fill an ellipse, or its sector between two angles in degrees."""
        centre, radii = (_fixed(x), _fixed(y)), (_fixed(max(rx, 0)), _fixed(max(ry, 0)))
        cv2.ellipse(self.pixels, centre, radii, angle, *arc, ImageColor.getrgb(color), -1, cv2.LINE_AA, 4)

    def circle(self, x: float, y: float, radius: float, color: str) -> None:
        """Fill a circle."""
        self.ellipse(x, y, radius, radius, color)

    def line(self, points: Sequence[tuple[float, float]], color: str, width: int) -> None:
        """Draw a line through points."""
        cv2.polylines(self.pixels, [_path(points)], False, ImageColor.getrgb(color), width, cv2.LINE_AA, 4)

    def polygon(self, points: Sequence[tuple[float, float]], color: str, opacity: float = 1) -> None:
        """Fill a polygon."""
        layer = self.pixels.copy() if opacity < 1 else self.pixels
        cv2.fillPoly(layer, [_path(points)], ImageColor.getrgb(color), cv2.LINE_AA, 4)
        if opacity < 1:
            cv2.addWeighted(layer, opacity, self.pixels, 1 - opacity, 0, dst=self.pixels)


def _fixed(value: float) -> int:
    """Convert a coordinate to sixteenths of a pixel."""
    return round(value * 16)


def _path(points: Sequence[tuple[float, float]]) -> NDArray[np.int32]:
    return np.array([(_fixed(x), _fixed(y)) for x, y in points], dtype=np.int32)


def ease(value: float) -> float:
    """Interpolate smoothly from 0 to 1."""
    value = min(max(value, 0.0), 1.0)
    return value * value * (3 - 2 * value)


def draw_egg(canvas: Canvas, x: float, y: float, angle: float, size: float = 46) -> None:
    """Draw an egg on its side, rotated by `angle` degrees."""
    canvas.ellipse(x, y, size * 1.25, size, "#e9b07f", angle=angle)
    canvas.ellipse(x - 2, y - 3, size * 1.17, size * 0.92, "#f6cfa6", angle=angle)
    turn = math.radians(angle + 200)
    canvas.ellipse(x + size * 0.6 * math.cos(turn), y + size * 0.5 * math.sin(turn), 11, 8, "#fdebd6", angle=angle)


def draw_lemon(canvas: Canvas, x: float, y: float, angle: float, size: float = 46) -> None:
    """Draw a lemon, rotated by `angle` degrees."""
    turn = math.radians(angle)
    for side in (-1, 1):
        canvas.circle(
            x + side * size * 1.2 * math.cos(turn), y + side * size * 1.2 * math.sin(turn), size / 4, "#e8b90f"
        )
    canvas.ellipse(x, y, size * 1.25, size, "#f0c419", angle=angle)
    canvas.ellipse(x - 3, y - 4, size * 1.1, size * 0.84, "#f9d84a", angle=angle)
    canvas.ellipse(x - size * 0.3, y - size * 0.4, size / 3, size / 7, "#fdf0a8", angle=-25)


def draw_parade(canvas: Canvas, seconds: float) -> None:
    """Draw eggs and lemons rolling across the title card and the end card."""
    for number in range(8):
        x = (number * 190 + seconds * 95) % (8 * 190) - 120
        draw = draw_egg if number % 2 else draw_lemon
        draw(canvas, x, 596 - 5 * abs(math.sin(x / 57)), math.degrees(x / 52))


def draw_pancakes(canvas: Canvas, seconds: float) -> None:
    """Draw eggs turning into batter in a bowl, then a pancake being tossed in a pan."""
    away, coming = ease((seconds - 11.1) / 0.5), ease((seconds - 11.5) / 0.5)
    if away < 1:
        _draw_bowl(canvas, 316 - 760 * away, 420, seconds)
    if coming > 0:
        _draw_pan(canvas, 316 - 760 * (1 - coming), 420, seconds - 12)


def _draw_bowl(canvas: Canvas, x: float, y: float, seconds: float) -> None:
    canvas.circle(x, y, 222, "#3f7f8c")
    canvas.circle(x, y, 210, "#f3f7f4")
    canvas.circle(x, y, 192, "#d8e6e3")
    for number in range(2):
        turn = seconds * 1.5 + number * math.pi
        draw_egg(canvas, x + 112 * math.cos(turn), y + 112 * math.sin(turn), math.degrees(turn * 2.4))
    batter = ease((seconds - 3.5) / 0.7)
    canvas.circle(x, y, 186 * batter, "#f6d97a")
    if batter == 1:
        _draw_swirl(canvas, x, y, seconds)
    if 8 <= seconds < 12:
        _draw_flour(canvas, x, y, seconds - 8)


def _draw_swirl(canvas: Canvas, x: float, y: float, seconds: float) -> None:
    for arm in range(3):
        turns = [seconds * 3 + arm * math.tau / 3 + step / 14 for step in range(36)]
        radii = [30 + 4 * step for step in range(36)]
        canvas.line(
            [(x + r * math.cos(a), y + r * math.sin(a)) for a, r in zip(turns, radii, strict=True)], "#fbe8a4", 9
        )
    tip_x, tip_y = x + 70 * math.cos(seconds * 6), y + 70 * math.sin(seconds * 6)
    for bend in (-26, 0, 26):
        canvas.ellipse(tip_x + bend * 0.5, tip_y - bend * 0.5, 30, 30, "#a9b7bd")
        canvas.ellipse(tip_x + bend * 0.5, tip_y - bend * 0.5, 26, 26, "#f6d97a")
    canvas.line([(tip_x + 16, tip_y - 16), (tip_x + 110, tip_y - 110)], "#a9b7bd", 10)
    canvas.line([(tip_x + 110, tip_y - 110), (tip_x + 190, tip_y - 190)], "#8a4b2a", 24)


def _draw_flour(canvas: Canvas, x: float, y: float, seconds: float) -> None:
    for grain in range(70):
        age = (seconds + grain * 0.071) % 1
        turn, distance = grain * 2.399, 20 * math.sqrt(grain)
        drop = 260 * (1 - age) ** 2
        canvas.circle(x + distance * math.cos(turn), y - drop + distance * math.sin(turn), 3 + 4 * (1 - age), PAPER)


def _draw_pan(canvas: Canvas, x: float, y: float, seconds: float) -> None:
    canvas.line([(x + 190, y - 110), (x + 292, y - 170)], "#2c2f36", 38)
    canvas.circle(x, y, 222, "#2c2f36")
    canvas.circle(x, y, 204, "#474c57")
    canvas.circle(x - 4, y - 4, 190, "#535966")
    for bubble in range(18):
        age = (seconds * 0.8 + bubble * 0.137) % 1
        turn = bubble * 2.399
        canvas.circle(x + 164 * math.cos(turn), y + 164 * math.sin(turn), 9 * math.sin(math.pi * age), "#e9c46a")
    flight = ((seconds - 0.4) % 1.8) / 1.2
    height = 4 * flight * (1 - flight) if 0 <= flight <= 1 else 0.0
    flat = math.cos(math.tau * flight) if height else 1.0
    size, lift = 136 + 26 * height, 70 * height
    thickness = 14 * (1 - abs(flat))
    canvas.ellipse(x, y + 6, 138 - 30 * height, (138 - 30 * height), "#454a56")
    canvas.ellipse(x, y - lift, size, size * abs(flat) + thickness, "#c9792b")
    canvas.ellipse(x, y - lift, size * 0.92, size * 0.92 * abs(flat), "#eeb65a" if flat > 0 else "#dc9440")
    canvas.ellipse(
        x - 20, y - lift - 16 * abs(flat), size * 0.55, size * 0.5 * abs(flat), "#f4c776" if flat > 0 else "#e6a552"
    )


def draw_lemonade(canvas: Canvas, seconds: float) -> None:
    """Lemons roll in, juice drips, water fills the glass, and ice bobs in it."""
    level = 0.04 + 0.22 * ease((seconds - 4.5) / 3.2) + 0.56 * ease((seconds - 8.3) / 3.2)
    surface = GLASS_BOTTOM - 12 - level * (GLASS_BOTTOM - GLASS_TOP)
    canvas.polygon(_glass(GLASS_TOP, GLASS_BOTTOM), "#f2fffb", 0.55)
    if 8.1 < seconds < 11.6:
        canvas.line([(340 + 2 * math.sin(seconds * 31), -20), (340, GLASS_BOTTOM - 30)], "#c9ecf5", 22)
    if seconds > 4.5:
        _draw_liquid(canvas, surface, seconds)
    if 4 <= seconds < 8:
        _draw_squeezed_lemon(canvas, surface, seconds - 4)
    if seconds > 11.7:
        _draw_ice(canvas, surface, seconds - 11.7)
    left, right = _glass_edges(GLASS_TOP), _glass_edges(GLASS_BOTTOM)
    canvas.line(
        [(left[0], GLASS_TOP), (right[0], GLASS_BOTTOM), (right[1], GLASS_BOTTOM), (left[1], GLASS_TOP)], PAPER, 9
    )
    canvas.line([(left[0] + 36, GLASS_TOP + 40), (right[0] + 26, GLASS_BOTTOM - 90)], PAPER, 7)
    if seconds < 4.4:
        _draw_rolling_lemons(canvas, seconds)


def _glass_edges(y: float) -> tuple[float, float]:
    inset = 44 * (y - GLASS_TOP) / (GLASS_BOTTOM - GLASS_TOP)
    return 200 + inset, 480 - inset


def _glass(top: float, bottom: float) -> list[tuple[float, float]]:
    return [
        (_glass_edges(top)[0], top),
        (_glass_edges(top)[1], top),
        (_glass_edges(bottom)[1], bottom),
        (_glass_edges(bottom)[0], bottom),
    ]


def _draw_liquid(canvas: Canvas, surface: float, seconds: float) -> None:
    left, right = _glass_edges(surface)
    steps = [left + (right - left) * step / 24 for step in range(25)]
    waves = [
        (x, surface + 5 * math.sin(x / 34 + seconds * 5) * math.sin(math.pi * (x - left) / (right - left)))
        for x in steps
    ]
    canvas.polygon([*waves, *_glass(surface, GLASS_BOTTOM)[2:]], "#fbe266", 0.85)
    for bubble in range(16):
        rise = (seconds * 0.45 + bubble * 0.193) % 1
        y = GLASS_BOTTOM - 16 - rise * (GLASS_BOTTOM - 24 - surface)
        x = 260 + (bubble * 67) % 160 + 6 * math.sin(seconds * 4 + bubble)
        canvas.circle(x, y, 3 + bubble % 4 + 2 * rise, "#fff6c2")


def _draw_squeezed_lemon(canvas: Canvas, surface: float, seconds: float) -> None:
    squash = 1 + 0.09 * math.sin(seconds * 8)
    for drop in range(4):
        age = (seconds * 1.3 + drop / 4) % 1
        y = 150 + (surface - 150) * age**2
        canvas.ellipse(340 + 26 * math.sin(drop * 2.2), y, 9, 13, "#f4d13a")
    canvas.ellipse(340, 92, 112 / squash, 84 * squash, "#e8b90f", arc=(180, 360))
    canvas.ellipse(340, 92, 112 / squash, 40 * squash, "#fdf3bd")
    for segment in range(8):
        canvas.ellipse(340, 92, 98 / squash, 33 * squash, "#f7d548", arc=(segment * 45 + 4, segment * 45 + 41))


def _draw_ice(canvas: Canvas, surface: float, seconds: float) -> None:
    canvas.line([(378, surface + 150), (470, 96)], "#e5533d", 18)
    canvas.line([(470, 96), (540, 84)], "#e5533d", 18)
    for cube in range(3):
        fall = ease((seconds - 0.25 * cube) / 0.6)
        x, y = 272 + 68 * cube, -60 + (surface + 84) * fall + 7 * math.sin(seconds * 3 + cube * 2)
        turn = 0.5 * cube + 0.25 * math.sin(seconds * 2 + cube)
        corners = [
            (x + 46 * math.cos(turn + k * math.pi / 2), y + 46 * math.sin(turn + k * math.pi / 2)) for k in range(4)
        ]
        canvas.polygon(corners, "#eafcff", 0.75)
        canvas.line([*corners, corners[0]], PAPER, 4)


def _draw_rolling_lemons(canvas: Canvas, seconds: float) -> None:
    offset = -720 * (1 - ease(seconds / 1.4)) - 720 * ease((seconds - 3.4) / 0.9)
    for number in range(3):
        draw_lemon(canvas, 150 + 185 * number + offset, 604, math.degrees(offset / 52) + 24 * number - 20, 52)
