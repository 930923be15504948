"""Photographs as noise and shapes: landscapes, trenches, walls, soil, finds."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from pagesort.synth_maps import blob
from pagesort.synth_sheet import Box, Sheet, smooth_noise
from pagesort.synth_words import chance, pick, span, whole


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


def _scale_rod(rng: np.random.Generator, view: Image.Image) -> None:
    width, height = view.size
    pen = ImageDraw.Draw(view)
    x, y, long = (
        width * span(rng, 0.1, 0.6),
        height * span(rng, 0.5, 0.9),
        width * span(rng, 0.2, 0.4),
    )
    lie = chance(rng, 0.6)
    for i in range(6):
        tone = 240 if i % 2 else 30
        a = long * i / 6
        if lie:
            pen.rectangle((x + a, y, x + a + long / 6, y + height * 0.02 + 1), fill=tone)
        else:
            pen.rectangle((x, y - a - long / 6, x + width * 0.015 + 1, y - a), fill=tone)


def photograph(rng: np.random.Generator, size: tuple[int, int], colour: bool) -> Image.Image:
    """A made-up photograph of `size` pixels: L, or RGB when `colour`."""
    width, height = max(8, size[0]), max(8, size[1])
    view = Image.new("L", (width, height), whole(rng, 70, 190))
    kinds = (_landscape, _landscape, _trench, _trench, _soil, _soil, _ground, _wall, _people)
    pick(rng, (*kinds, _find) if max(width, height) < 2.2 * min(width, height) else kinds)(
        rng, view
    )
    if chance(rng, 0.35):
        _scale_rod(rng, view)
    view = view.filter(ImageFilter.BoxBlur(span(rng, 0.3, 2.0) * max(1.0, width / 400)))
    field = np.asarray(view, np.float32)
    rough = span(rng, 0.45, 1.0)
    field = field + fractal(rng, (width, height), rough) * span(rng, 25, 80)
    for _ in range(whole(rng, 1, 2)):  # soil, grass and gravel are rough at the smallest scales
        step = span(rng, 1.5, 7) * pick(rng, (1.0, max(1.0, width / 400)))
        grain = smooth_noise(
            rng, (width, height), (int(width / step), int(height / step / span(rng, 0.6, 2)))
        )
        field += (np.asarray(grain, np.float32) - 127.5) * span(rng, 0.05, 0.5)
    if chance(rng, 0.35):  # branches, roots, cracks
        ridge = np.abs(fractal(rng, (width, height), 0.9))
        field -= np.clip(0.12 - ridge, 0, 1) * span(rng, 200, 700)
    slope = rng.normal(0, 25, 2)
    field += (
        np.linspace(-slope[0], slope[0], width, dtype=np.float32)
        + np.linspace(-slope[1], slope[1], height, dtype=np.float32)[:, None]
    )
    low, high = span(rng, 0, 75), span(rng, 150, 250)
    bottom, top = np.percentile(field[::3, ::3], (1, 99))
    field = np.clip((field - bottom) / max(1.0, float(top - bottom)), 0, 1)
    field = low + (high - low) * field ** span(rng, 0.7, 1.6)
    field += rng.integers(-128, 128, field.shape, dtype=np.int8) * np.float32(span(rng, 0.02, 0.12))
    if not colour:
        return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
    tint = np.array(
        pick(
            rng,
            (
                (1.08, 0.98, 0.8),
                (0.95, 1.02, 0.92),
                (1.15, 0.95, 0.7),
                (1, 1, 1.08),
                (1.1, 1, 0.85),
            ),
        ),
        np.float32,
    )
    hue = fractal(rng, (width, height), 0.2) * span(rng, 5, 35)
    rgb = field[..., None] * tint
    rgb[..., 0] += hue
    rgb[..., 2] -= hue
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


def place_photograph(sheet: Sheet, box: Box) -> None:
    """A photograph within `box` (mm), perhaps with a white border or a slight turn."""
    rng, s = sheet.rng, sheet.scale
    x0, y0, x1, y1 = box
    size = (round((x1 - x0) * s), round((y1 - y0) * s))
    small = (
        max(8, size[0] // 2),
        max(8, size[1] // 2),
    )  # the canvas is oversampled, photographs need not be
    colour = sheet.image.mode == "RGB" and chance(rng, 0.55)
    view = photograph(rng, small, colour).resize(size, Image.Resampling.BILINEAR)
    if chance(rng, 0.35):
        rim = max(1, round(span(rng, 1, 4) * s))
        pen = ImageDraw.Draw(view)
        tone = whole(rng, 215, 250)
        pen.rectangle(
            (0, 0, size[0] - 1, size[1] - 1), outline=(tone,) * 3 if colour else tone, width=rim
        )
    if chance(rng, 0.3):
        turn = rng.normal(0, 1.5)
        mask = Image.new("L", size, 255).rotate(turn, expand=True)
        sheet.lay(view.rotate(turn, expand=True), x0, y0, mask)
    else:
        sheet.lay(view, x0, y0)
    if chance(rng, 0.25):
        grey = whole(rng, 20, 150)
        sheet.frame(x0, y0, x1, y1, span(rng, 0.2, 0.6), (grey, grey, grey))
    sheet.mark("photo", *box)


def cut_out(sheet: Sheet, box: Box) -> None:
    """A find photographed and cut out along its outline: a shaded pot or stone on the bare page."""
    rng, s = sheet.rng, sheet.scale
    x0, y0, x1, y1 = box
    size = (max(8, round((x1 - x0) * s)), max(8, round((y1 - y0) * s)))
    width, height = size
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    if chance(rng, 0.45):  # a vessel
        side = np.array(
            [(0.3, 0.03), (0.27, 0.2), (0.48, 0.5), (0.4, 0.75), (0.2, 0.97)]
        ) + rng.normal(0, 0.03, (5, 2))
        outline = np.concatenate([side * (-1, 1), (side * (1, 1))[::-1]]) * (width, height) + (
            width / 2,
            0,
        )
        pen.polygon(outline.ravel().tolist(), fill=255)
    else:
        pen.polygon(
            blob(rng, width / 2, height / 2, width * 0.42, height * 0.44, 0.1).ravel().tolist(),
            fill=255,
        )
    mask = mask.filter(ImageFilter.BoxBlur(max(1, width / 60)))
    dark, bright = whole(rng, 15, 90), whole(rng, 90, 200)
    ramp = np.linspace(bright, dark, width, dtype=np.float32)[None, :] * np.ones(
        (height, 1), np.float32
    )
    field = ramp + fractal(rng, size, 0.7) * span(rng, 10, 40)
    view = Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
    if chance(rng, 0.3):  # its shadow on the backdrop
        sheet.stamp_mask(
            mask.point(lambda v: v // 4).filter(ImageFilter.BoxBlur(max(1, width / 20))),
            x0 + 2,
            y0 + 2,
            (60, 60, 60),
        )
    sheet.lay(view, x0, y0, mask)
    sheet.mark("photo", *box)
