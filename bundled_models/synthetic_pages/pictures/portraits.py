"""Portraits: made-up likenesses, as photographs on cards and forms or as engravings."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.pictures.maps import blob
from bundled_models.synthetic_pages.sheet import smooth_noise
from bundled_models.synthetic_pages.words import chance, pick, span, whole

Place = tuple[float, float, float]  # centre x, centre y, half width of the face; pixels


def _oval(pen: ImageDraw.ImageDraw, x: float, y: float, rx: float, ry: float, tone: int) -> None:
    pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=max(0, min(255, tone)))


def _body(rng: np.random.Generator, pen: ImageDraw.ImageDraw, place: Place, low: float) -> None:
    """Shoulders in dark or light clothes, a collar, a tie or a row of buttons."""
    x, y, r = place
    cloth, wide = pick(rng, (25, 40, 60, 90, 130, 200)), span(rng, 1.9, 2.8) * r
    neck = y + 1.35 * r
    points = [
        (x - r * 0.5, neck - r * 0.4), (x + r * 0.5, neck - r * 0.4),
        (x + wide * 0.75, neck + r * 0.6), (x + wide, neck + r * 1.5), (x + wide, low),
        (x - wide, low), (x - wide, neck + r * 1.5), (x - wide * 0.75, neck + r * 0.6),
    ]  # fmt: skip
    pen.polygon([c for point in points for c in point], fill=cloth)
    white = pick(rng, (235, 225, cloth))
    front = [(x - r * 0.55, neck - r * 0.1), (x + r * 0.55, neck - r * 0.1), (x, neck + r * 1.2)]
    pen.polygon([c for point in front for c in point], fill=white)
    for i in range(whole(rng, 0, 5)):
        _oval(pen, x, neck + r * (0.9 + 0.45 * i), r * 0.07, r * 0.07, 255 - cloth)


def _face(rng: np.random.Generator, pen: ImageDraw.ImageDraw, place: Place, skin: int) -> None:
    """Hair, face, eyes, nose, mouth, perhaps a beard or a hat."""
    x, y, r = place
    hair = pick(rng, (20, 35, 60, 110, 190))
    turn = rng.normal(0, 0.12) * r
    if chance(rng, 0.45):  # long hair or a bun
        _oval(pen, x, y + r * 0.15, r * 1.2, r * span(rng, 1.4, 1.9), hair)
    _oval(pen, x, y - r * 0.25, r * 1.1, r * 1.2, hair)
    pen.rectangle((x - r * 0.45, y + r * 0.6, x + r * 0.45, y + r * 1.5), fill=skin - 30)
    _oval(pen, x, y + r * 0.1, r * 0.92, r * 1.22, skin)
    _oval(pen, x + r * 0.35, y + r * 0.25, r * 0.5, r * 0.9, skin - 18)
    for side in (-1, 1):
        at = x + turn + side * r * 0.36
        _oval(pen, at, y - r * 0.08, r * 0.2, r * 0.13, skin - 35)
        _oval(pen, at, y - r * 0.06, r * 0.1, r * 0.08, skin - 100)
        pen.line((at - r * 0.22, y - r * 0.28, at + r * 0.2, y - r * 0.3), fill=hair + 10,
                 width=max(1, round(r * 0.07)))  # fmt: skip
    _oval(pen, x + turn * 1.3 + r * 0.06, y + r * 0.32, r * 0.14, r * 0.22, skin - 28)
    _oval(pen, x + turn, y + r * 0.68, r * 0.3, r * 0.07, skin - 60)
    if chance(rng, 0.35):
        _oval(pen, x + turn, y + r * 0.55, r * 0.42, r * 0.1, hair)
        if chance(rng, 0.5):
            pen.polygon(blob(rng, x, y + r * 1.05, r * 0.75, r * 0.6, 0.08, 9).ravel().tolist(),
                        fill=hair)  # fmt: skip
    if chance(rng, 0.25):
        pen.rectangle((x - r, y - r * 1.6, x + r, y - r * 0.55), fill=hair)
        _oval(pen, x, y - r * 0.58, r * 1.4, r * 0.16, hair)


def portrait(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Head and shoulders of nobody before a plain wall, L of `size` pixels."""
    width, height = max(16, size[0]), max(16, size[1])
    wall = np.asarray(smooth_noise(rng, (width, height), (3, 3)), np.float32)
    view = Image.fromarray((pick(rng, (70, 150, 205)) + wall * 0.18).astype(np.uint8))
    r = min(width, height) * span(rng, 0.13, 0.24)
    place = (width * span(rng, 0.44, 0.56), height * span(rng, 0.28, 0.42), r)
    pen, skin = ImageDraw.Draw(view), whole(rng, 130, 225)
    _body(rng, pen, place, height)
    _face(rng, pen, place, skin)
    view = view.filter(ImageFilter.GaussianBlur(r * 0.06))
    side = np.linspace(span(rng, -35, 35), span(rng, -35, 35), width, dtype=np.float32)
    rough = np.asarray(smooth_noise(rng, (width, height), (14, 16)), np.float32) - 127
    lit = np.asarray(view, np.float32) + side[None, :] + rough * 0.16
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))


def standing(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A person at full length or sitting, with the studio's floor and curtain, L."""
    width, height = max(16, size[0]), max(16, size[1])
    wall = np.asarray(smooth_noise(rng, (width, height), (4, 5)), np.float32)
    view = Image.fromarray((pick(rng, (60, 120, 180)) + wall * 0.25).astype(np.uint8))
    pen, r = ImageDraw.Draw(view), height * span(rng, 0.05, 0.075)
    x, y, cloth = width * span(rng, 0.35, 0.65), height * span(rng, 0.16, 0.3), whole(rng, 20, 110)
    floor = height * span(rng, 0.78, 0.9)
    pen.rectangle((0, floor, width, height), fill=whole(rng, 60, 150))
    hem = min(height * 0.97, y + r * span(rng, 9, 12))
    wide = r * span(rng, 1.2, 3.2)
    skirt = [(x - r * 1.3, y + 2 * r), (x + r * 1.3, y + 2 * r), (x + wide, hem), (x - wide, hem)]
    pen.polygon([c for point in skirt for c in point], fill=cloth)
    for side in (-1, 1):
        arm = [
            (x + side * r * 1.4, y + 2 * r),
            (x + side * r * 2, y + r * 4.2),
            (x + side * r, y + r * 5.4),
        ]
        pen.line(
            [c for point in arm for c in point], fill=max(0, cloth - 15), width=max(2, int(r * 0.8))
        )
    _body(rng, pen, (x, y, r), y + r * 5)
    _face(rng, pen, (x, y, r), whole(rng, 140, 220))
    for _ in range(whole(rng, 0, 3)):  # a table, a chair, a plant
        a, b = rng.random() * width, floor - r * span(rng, 1, 5)
        pen.rectangle((a, b, a + r * span(rng, 0.5, 3), floor + r), fill=whole(rng, 30, 170))
    return view.filter(ImageFilter.GaussianBlur(r * 0.12))
