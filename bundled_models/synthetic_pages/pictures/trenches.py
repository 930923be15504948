"""Views of excavations put together from pictures of soil, rock, walls and fields."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.pictures.found_pictures import some_crop, some_picture
from bundled_models.synthetic_pages.pictures.maps import blob
from bundled_models.synthetic_pages.pictures.scenes import scale_rod
from bundled_models.synthetic_pages.words import chance, span, whole

Size = tuple[int, int]


def _ground(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Soil, rock or grass, (height, width, 3) float32, 0 to 255, at a brightness of its own."""
    crop = some_crop(rng, "ground", size, least=0.25)
    field = np.asarray(crop or Image.new("RGB", size, (128, 120, 110)), np.float32)
    return field * (span(rng, 70, 175) / max(20.0, float(field.mean())))


def _level(rng: np.random.Generator, size: Size, height: float, wave: float) -> np.ndarray:
    """True below an uneven line about `height` (share of the picture) from the top."""
    width, tall = size
    knots = height + rng.normal(0, wave, whole(rng, 4, 12))
    line = np.interp(np.linspace(0, 1, width), np.linspace(0, 1, len(knots)), knots) * tall
    line += rng.normal(0, 0.8, width)
    return np.arange(tall, dtype=np.float32)[:, None] > line[None, :]


def _section(rng: np.random.Generator, size: Size) -> np.ndarray:
    """A trench's wall: layers of soil under a strip of grass or of open country."""
    field, level = _ground(rng, size), span(rng, 0.0, 0.3)
    if level > 0.1 and chance(rng, 0.6):
        above = some_crop(rng, "photo", size, least=0.3)
        field = field if above is None else np.asarray(above, np.float32)
    for _ in range(whole(rng, 2, 4)):
        below = _level(rng, size, level, span(rng, 0.01, 0.06))
        field = np.where(below[..., None], _ground(rng, size), field)
        level += span(rng, 0.1, 0.35)
    return field


def _pit(rng: np.random.Generator, size: Size) -> np.ndarray:
    """A pit seen from above: its filling lies deeper, in the shadow of one edge."""
    width, height = size
    mask = Image.new("L", size)
    for _ in range(whole(rng, 1, 2)):
        x, y = width * span(rng, 0.25, 0.75), height * span(rng, 0.3, 0.7)
        rx, ry = width * span(rng, 0.12, 0.42), height * span(rng, 0.15, 0.42)
        outline = blob(rng, x, y, rx, ry, span(rng, 0.02, 0.12), whole(rng, 5, 12))
        ImageDraw.Draw(mask).polygon(outline.ravel().tolist(), fill=255)
    inside = np.asarray(mask, np.float32)[..., None] / 255
    depth = max(2, int(min(size) * span(rng, 0.02, 0.12)))
    lit = np.roll(inside, (depth, int(rng.normal(0, depth))), (0, 1))
    shade = 1 - inside * (1 - lit) * span(rng, 0.35, 0.85)
    field = _ground(rng, size)
    return (field + (_ground(rng, size) - field) * inside) * shade


def _wall(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Masonry, its top uneven, before soil or country."""
    back = some_crop(rng, "photo", size, least=0.3) if chance(rng, 0.5) else None
    field = _ground(rng, size) if back is None else np.asarray(back, np.float32)
    top = span(rng, 0.0, 0.5)
    field = np.where(_level(rng, size, top, 0.05)[..., None], _ground(rng, size), field)
    if chance(rng, 0.6):
        foot = _level(rng, size, span(rng, max(0.6, top + 0.2), 0.95), 0.03)
        field = np.where(foot[..., None], _ground(rng, size), field)
    return field


def _bones(rng: np.random.Generator, view: Image.Image) -> None:
    """The pale strokes of a skeleton somewhere in the middle."""
    width, height = view.size
    pen, unit = ImageDraw.Draw(view), min(width, height) * span(rng, 0.3, 0.5)
    centre = np.array([width * span(rng, 0.35, 0.65), height * span(rng, 0.4, 0.6)])
    angle = rng.random() * 2 * np.pi
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    tone, thick = whole(rng, 175, 235), max(1, round(unit * 0.05))

    def stroke(points: list[tuple[float, float]], width: int) -> None:
        path = [tuple(centre + along * a * unit + across * b * unit) for a, b in points]
        pen.line(path, fill=(tone, tone - 6, tone - 16), width=width, joint="curve")

    skull = centre - along * unit * 0.78
    r = unit * 0.13
    pen.ellipse((*(skull - r), *(skull + r)), fill=(tone, tone - 6, tone - 16))
    stroke([(-0.6, 0), (0.1, rng.normal(0, 0.06))], max(1, thick // 2))
    for i in range(7):
        at = -0.5 + i * 0.07
        for side in (-1, 1):
            stroke([(at, 0), (at + 0.08, side * 0.2)], max(1, thick // 3))
    for side in (-1, 1):
        bend = rng.normal(0, 0.15)
        stroke([(-0.5, side * 0.24), (-0.1, side * 0.34), (0.12, side * (0.2 + bend))], thick)
        stroke([(0.12, side * 0.12), (0.55, side * (0.14 + bend)), (0.98, side * 0.12)], thick)


def _stones(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """Stones of rock, lit from one side, strewn over `field`."""
    height, width = field.shape[:2]
    mask = Image.new("L", (width, height))
    pen, spread = ImageDraw.Draw(mask), span(rng, 0.1, 0.5)
    centre = (span(rng, 0.3, 0.7), span(rng, 0.4, 0.8))
    largest = min(width, height) * span(rng, 0.03, 0.12)
    for x, y in np.clip(rng.normal(centre, spread, (whole(rng, 3, 60), 2)), 0, 1).tolist():
        r = largest * span(rng, 0.25, 1.0)
        outline = blob(rng, x * width, y * height, r * 1.25, r, 0.16, whole(rng, 5, 8))
        pen.polygon(outline.ravel().tolist(), fill=whole(rng, 150, 255), outline=60)
    tone = np.asarray(mask.filter(ImageFilter.BoxBlur(max(0.6, largest / 12))), np.float32)
    inside = np.clip(tone / 110, 0, 1)[..., None]
    drop = max(1, int(largest / 4))
    shadow = np.roll(inside, (drop, drop), (0, 1)) * span(rng, 0.3, 0.7)
    light = np.roll(tone, (drop // 2 + 1,) * 2, (0, 1)) - tone
    rock = _ground(rng, (width, height)) * (tone[..., None] / 150) - light[..., None] * 0.4
    return field * (1 - shadow) * (1 - inside) + rock * inside


def _markers(rng: np.random.Generator, view: Image.Image) -> None:
    """What excavators lay into a picture: a ranging rod, a board with numbers, a spade."""
    width, height = view.size
    pen = ImageDraw.Draw(view)
    if chance(rng, 0.55):
        scale_rod(rng, view)
    for _ in range(whole(rng, 1, 6) if chance(rng, 0.25) else 0):  # tickets
        x, y, r = rng.random() * width, rng.random() * height, width * span(rng, 0.008, 0.02)
        pen.rectangle((x, y, x + r, y + r), fill=(236, 236, 230))
    if chance(rng, 0.3):
        x, y, w = width * span(rng, 0.1, 0.7), height * span(rng, 0.4, 0.85), width * 0.14
        pen.rectangle((x, y, x + w, y + w * 0.5), fill=(228, 228, 222))
        for row in (0.15, 0.32):
            pen.line(
                (x + w * 0.1, y + w * row, x + w * span(rng, 0.5, 0.9), y + w * row), fill=(40,) * 3
            )
    thing = some_picture(rng, "object") if chance(rng, 0.12) else None
    if thing is not None:
        share = min(width, height) * span(rng, 0.15, 0.4) / max(thing.size)
        thing = thing.resize((max(2, int(thing.width * share)), max(2, int(thing.height * share))))
        place = (int(rng.random() * (width - thing.width)), int(height * 0.95) - thing.height)
        view.paste(thing.convert("RGB"), place, thing.getchannel("A"))


def excavation(rng: np.random.Generator, size: Size) -> Image.Image:
    """A section, a pit, a wall or a heap of stones at `size`, RGB; needs pictures of ground."""
    makers = (_section, _section, _pit, _pit, _wall, _ground)
    field = makers[int(rng.random() * len(makers))](rng, size)
    if chance(rng, 0.6):
        field = _stones(rng, field)
    slope = rng.normal(0, 22, 2)
    field = field + np.linspace(-slope[0], slope[0], size[0], dtype=np.float32)[:, None]
    field = field + np.linspace(-slope[1], slope[1], size[1], dtype=np.float32)[:, None, None]
    view = Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
    if chance(rng, 0.2):
        _bones(rng, view)
    _markers(rng, view)
    return view
