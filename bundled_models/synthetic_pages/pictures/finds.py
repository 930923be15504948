"""Finds as bodies with light on them: vessels, sherds, stones; for photographs and drawings."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.pictures.found_pictures import some_crop, some_picture
from bundled_models.synthetic_pages.pictures.maps import blob
from bundled_models.synthetic_pages.pictures.scenes import fractal
from bundled_models.synthetic_pages.words import chance, pick, span, whole
from bundled_models.synthetic_pages.writing.hand import spline

Size = tuple[int, int]

# Half outlines of vessels: (distance from the axis, height), the rim first, each 0 to 1.
_VESSELS = (
    ((0.55, 0.02), (0.5, 0.2), (0.96, 0.5), (0.8, 0.78), (0.4, 0.98)),
    ((0.4, 0.02), (0.3, 0.22), (0.42, 0.36), (0.98, 0.66), (0.5, 0.98)),
    ((0.95, 0.03), (0.9, 0.3), (0.75, 0.65), (0.5, 0.9), (0.35, 0.97)),
    ((0.7, 0.02), (0.6, 0.15), (0.75, 0.35), (0.72, 0.7), (0.5, 0.97)),
    ((0.22, 0.02), (0.2, 0.3), (0.6, 0.5), (0.85, 0.75), (0.5, 0.98)),
)


def _vessel(rng: np.random.Generator, size: Size) -> Image.Image:
    """The mask of a vessel, with one or two handles or none."""
    width, height = size
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    knots = np.array(pick(rng, _VESSELS)) + rng.normal(0, 0.03, (5, 2)) * (1, 0.4)
    fill = span(rng, 0.4, 0.49)
    side = spline(np.clip(knots, 0.02, 1)) * (width * fill, height)
    axis = np.array([width / 2, 0])
    outline = np.concatenate([axis + side * (-1, 1), (axis + side)[::-1]])
    pen.polygon(outline.ravel().tolist(), fill=255)
    thick = max(1, round(width * span(rng, 0.03, 0.06)))
    for sign in ((), (1,), (1, -1))[whole(rng, 0, 2)]:
        x, y = width / 2 + sign * float(side[len(side) // 2, 0]), height * span(rng, 0.25, 0.45)
        r = width * span(rng, 0.06, 0.1)
        pen.ellipse((x - r, y - r * 1.3, x + r, y + r * 1.3), outline=255, width=thick)
    return mask


def _find_mask(rng: np.random.Generator, size: Size) -> Image.Image:
    """A vessel, a sherd or a stone, at times with a hole bored through it."""
    width, height = size
    if chance(rng, 0.5):
        return _vessel(rng, size)
    mask = Image.new("L", size)
    pen, rough = ImageDraw.Draw(mask), span(rng, 0.03, 0.14)
    rx, ry = width * span(rng, 0.2, 0.46), height * 0.46
    outline = blob(rng, width / 2, height / 2, rx, ry, rough, whole(rng, 5, 13))
    pen.polygon(outline.ravel().tolist(), fill=255)
    if chance(rng, 0.12):
        r = rx * 0.3
        centre = (width / 2, height * span(rng, 0.4, 0.65))
        pen.ellipse((centre[0] - r, centre[1] - r, centre[0] + r, centre[1] + r), fill=0)
    return mask


def lit_find(rng: np.random.Generator, size: Size) -> tuple[Image.Image, Image.Image]:
    """A find of clay, stone or metal, lit from one side, L, and its mask."""
    width, height = size
    mask = _find_mask(rng, size).filter(ImageFilter.BoxBlur(max(0.6, width / 90)))
    rounding = mask.filter(ImageFilter.BoxBlur(max(1.0, min(size) * span(rng, 0.05, 0.2))))
    depth = np.asarray(rounding, np.float32)
    shift = max(1, min(size) // 12)
    light = np.roll(depth, (-shift, -shift if chance(rng, 0.7) else shift), (0, 1)) - depth
    crop = some_crop(rng, "ground", size, least=0.3) if chance(rng, 0.75) else None
    if crop is None:
        surface = fractal(rng, size, 0.7) * span(rng, 10, 40)
    else:
        surface = np.asarray(crop.convert("L"), np.float32)
        surface = (surface - surface.mean()) * span(rng, 0.3, 1.1)
    field = span(rng, 35, 150) + surface - light * span(rng, 0.2, 0.8)
    field = field * (0.55 + 0.45 * depth / 255)
    if chance(rng, 0.3):  # bands and lines that decorate it
        for _ in range(whole(rng, 1, 5)):
            y, tone = int(height * span(rng, 0.2, 0.8)), span(rng, 0.6, 1.4)
            field[y : y + max(1, height // 40)] *= tone
    field += rng.normal(0, span(rng, 1, 7), field.shape).astype(np.float32)
    return Image.fromarray(np.clip(field, 4, 250).astype(np.uint8)), mask


def stamped_find(rng: np.random.Generator, size: Size) -> tuple[Image.Image, Image.Image] | None:
    """A real object in grey, L, and its mask; None where no picture of one is installed."""
    thing = some_picture(rng, "object")
    if thing is None:
        return None
    if chance(rng, 0.25):
        thing = thing.rotate(span(rng, -180, 180), expand=True)
    thing = thing.crop(thing.getbbox() or (0, 0, *thing.size))
    share = min(size[0] / thing.width, size[1] / thing.height)
    thing = thing.resize((max(4, int(thing.width * share)), max(4, int(thing.height * share))))
    return thing.convert("L"), thing.getchannel("A")
