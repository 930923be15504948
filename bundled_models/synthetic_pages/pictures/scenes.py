"""Made-up photographs of noise and shapes: landscapes, trenches, walls, soil, finds."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.pictures.maps import blob
from bundled_models.synthetic_pages.sheet import smooth_noise
from bundled_models.synthetic_pages.words import chance, pick, span, whole


def fractal(rng: np.random.Generator, size: tuple[int, int], rough: float) -> np.ndarray:
    """Noise over all scales, mean 0, about -1 to 1; `rough` 0 to 1 weighs the small scales."""
    width, height = size
    total = np.zeros((height, width), np.float32)
    cells, weight = 2, 1.0
    while cells < max(4, min(width, height) // 2):
        grain = smooth_noise(rng, size, (cells * max(1, width // max(1, height)) + 1, cells + 1))
        total += (np.asarray(grain, np.float32) - 127.5) * (weight / 127.5)
        cells, weight = cells * 3, weight * (0.3 + 0.6 * rough)
    return total / 1.8


def _scatter(
    rng: np.random.Generator, view: Image.Image, count: int, top: float, light: tuple[int, int]
) -> None:
    """Shaded stones below `top` (share of the height), larger towards the front."""
    width, height = view.size
    pen = ImageDraw.Draw(view)
    for depth in np.sort(rng.random(count)):
        y = height * (top + (1 - top) * depth)
        r = min(width, height) * (0.008 + 0.06 * depth * rng.random())
        x, tone = rng.random() * width, whole(rng, *light)
        outline = blob(rng, x, y, r * 1.3, r, 0.25, whole(rng, 5, 8))
        pen.polygon((outline + (r * 0.3, r * 0.35)).ravel().tolist(), fill=max(0, tone - 110))
        pen.polygon(outline.ravel().tolist(), fill=tone)


def _landscape(rng: np.random.Generator, view: Image.Image) -> None:
    width, height = view.size
    pen = ImageDraw.Draw(view)
    horizon = span(rng, 0.2, 0.55) * height
    pen.rectangle((0, 0, width, horizon), fill=whole(rng, 165, 235))
    xs = np.linspace(0, width, 12)
    for layer in range(whole(rng, 1, 3)):
        level = horizon + layer * height * 0.06 + rng.normal(0, height * 0.03, 12)
        line = np.concatenate([np.stack([xs, level], 1), [(width, height), (0, height)]])
        pen.polygon(line.ravel().tolist(), fill=whole(rng, 50, 170))
    for _ in range(whole(rng, 0, 25)):  # trees and bushes
        x, r = rng.random() * width, height * span(rng, 0.02, 0.12)
        pen.polygon(
            blob(rng, x, horizon - r * 0.5, r, r * 1.2, 0.25, 9).ravel().tolist(),
            fill=whole(rng, 30, 100),
        )
        pen.line((x, horizon + r, x, horizon - r), fill=40, width=max(1, int(r / 8)))
    if chance(rng, 0.4):  # a house
        x, w = rng.random() * width * 0.7, width * span(rng, 0.1, 0.4)
        pen.rectangle((x, horizon - w * 0.4, x + w, horizon + w * 0.1), fill=whole(rng, 120, 220))
        pen.polygon(
            (x, horizon - w * 0.4, x + w / 2, horizon - w * 0.75, x + w, horizon - w * 0.4),
            fill=whole(rng, 40, 110),
        )
        for i in range(4):
            a = x + w * (0.1 + 0.22 * i)
            pen.rectangle((a, horizon - w * 0.3, a + w * 0.1, horizon - w * 0.15), fill=50)


def _trench(rng: np.random.Generator, view: Image.Image) -> None:
    width, height = view.size
    pen = ImageDraw.Draw(view)
    tones = [whole(rng, 40, 190) for _ in range(4)]
    left, right, top = (
        span(rng, 0, 0.35) * width,
        span(rng, 0.6, 1) * width,
        span(rng, 0.1, 0.45) * height,
    )
    pen.polygon((0, 0, width, 0, right, top, left, top), fill=tones[0])
    pen.polygon((0, 0, left, top, left, height * 0.7, 0, height), fill=tones[1])
    pen.polygon((width, 0, right, top, right, height * 0.7, width, height), fill=tones[2])
    pen.polygon((left, top, right, top, right, height * 0.7, left, height * 0.7), fill=tones[3])
    for _ in range(whole(rng, 0, 3)):
        x, y = rng.random() * width, height * span(rng, 0.4, 0.9)
        r = width * span(rng, 0.05, 0.2)
        pen.polygon(blob(rng, x, y, r, r * 0.6, 0.12).ravel().tolist(), fill=whole(rng, 20, 90))
    if chance(rng, 0.6):
        _scatter(rng, view, whole(rng, 10, 60), 0.5, (110, 215))


def _wall(rng: np.random.Generator, view: Image.Image) -> None:
    width, height = view.size
    pen = ImageDraw.Draw(view)
    pen.rectangle((0, 0, width, height), fill=whole(rng, 40, 90))
    y, row = -5.0, height * span(rng, 0.06, 0.16)
    while y < height:
        x = -rng.random() * row
        while x < width:
            long = row * span(rng, 0.7, 2.4)
            pen.polygon(
                blob(rng, x + long / 2, y + row / 2, long * 0.5, row * 0.5, 0.08, 8)
                .ravel()
                .tolist(),
                fill=whole(rng, 100, 205),
            )
            x += long
        y += row * 0.95


def _ground(rng: np.random.Generator, view: Image.Image) -> None:
    ImageDraw.Draw(view).rectangle((0, 0, *view.size), fill=whole(rng, 80, 180))
    _scatter(rng, view, whole(rng, 15, 180), 0.0, (100, 230))


def _soil(rng: np.random.Generator, view: Image.Image) -> None:
    width, height = view.size
    pen = ImageDraw.Draw(view)
    for _ in range(whole(rng, 2, 12)):
        r = min(width, height) * span(rng, 0.05, 0.4)
        patch = blob(
            rng,
            rng.random() * width,
            rng.random() * height,
            r * span(rng, 0.6, 2.5),
            r,
            0.3,
            whole(rng, 6, 14),
        )
        pen.polygon(patch.ravel().tolist(), fill=whole(rng, 30, 210))
    if chance(rng, 0.3):
        _scatter(rng, view, whole(rng, 3, 20), 0.2, (90, 235))


def _people(rng: np.random.Generator, view: Image.Image) -> None:
    _landscape(rng, view)
    width, height = view.size
    pen = ImageDraw.Draw(view)
    for _ in range(whole(rng, 1, 5)):
        x, tall = rng.random() * width, height * span(rng, 0.25, 0.6)
        foot, tone = height * span(rng, 0.75, 1.0), whole(rng, 20, 150)
        pen.polygon(
            blob(rng, x, foot - tall * 0.45, tall * 0.14, tall * 0.45, 0.1).ravel().tolist(),
            fill=tone,
        )
        pen.ellipse(
            (x - tall * 0.07, foot - tall, x + tall * 0.07, foot - tall * 0.84),
            fill=whole(rng, 140, 210),
        )


def _find(rng: np.random.Generator, view: Image.Image) -> None:
    width, height = view.size
    pen = ImageDraw.Draw(view)
    pen.rectangle((0, 0, width, height), fill=pick(rng, (whole(rng, 20, 60), whole(rng, 150, 235))))
    count = whole(rng, 1, 6)
    for i in range(count):
        x, y = width * (i + 0.5) / count, height * span(rng, 0.4, 0.6)
        rx, ry = width / count * span(rng, 0.2, 0.42), height * span(rng, 0.12, 0.36)
        tone = whole(rng, 50, 160)
        pen.polygon(blob(rng, x, y, rx, ry, 0.08).ravel().tolist(), fill=tone)
        pen.polygon(
            blob(rng, x - rx * 0.2, y - ry * 0.2, rx * 0.5, ry * 0.5, 0.1).ravel().tolist(),
            fill=min(255, tone + 60),
        )


def scale_rod(rng: np.random.Generator, view: Image.Image) -> None:
    """A ranging rod in black and white fields, lying or standing, in an L or RGB view."""
    width, height = view.size
    pen = ImageDraw.Draw(view)
    x, y, long = (
        width * span(rng, 0.1, 0.6),
        height * span(rng, 0.5, 0.9),
        width * span(rng, 0.2, 0.4),
    )
    lie = chance(rng, 0.6)
    for i in range(6):
        tone = (240 if i % 2 else 30,) * len(view.getbands())
        a = long * i / 6
        if lie:
            pen.rectangle((x + a, y, x + a + long / 6, y + height * 0.02 + 1), fill=tone)
        else:
            pen.rectangle((x, y - a - long / 6, x + width * 0.015 + 1, y - a), fill=tone)


def made_up(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A scene of `size` pixels from noise and shapes, L."""
    width, height = size
    view = Image.new("L", (width, height), whole(rng, 70, 190))
    kinds = (_landscape, _landscape, _trench, _trench, _soil, _soil, _ground, _wall, _people)
    pick(rng, (*kinds, _find) if max(width, height) < 2.2 * min(width, height) else kinds)(
        rng, view
    )
    if chance(rng, 0.35):
        scale_rod(rng, view)
    view = view.filter(ImageFilter.BoxBlur(span(rng, 0.3, 2.0) * max(1.0, width / 400)))
    field: np.ndarray = np.asarray(view, np.float32)
    field = field + fractal(rng, (width, height), span(rng, 0.45, 1.0)) * span(rng, 25, 80)
    for _ in range(whole(rng, 1, 2)):  # soil, grass and gravel are rough at the smallest scales
        step = span(rng, 1.5, 7) * pick(rng, (1.0, max(1.0, width / 400)))
        grain = smooth_noise(
            rng, (width, height), (int(width / step), int(height / step / span(rng, 0.6, 2)))
        )
        field += (np.asarray(grain, np.float32) - 127.5) * span(rng, 0.05, 0.5)
    if chance(rng, 0.35):  # branches, roots, cracks
        ridge = np.abs(fractal(rng, (width, height), 0.9))
        field -= np.clip(0.12 - ridge, 0, 1) * span(rng, 200, 700)
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
