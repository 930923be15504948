"""What lies round a page before a camera: dark cloth, a colour target, a ruler, fingers, shadow."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.pictures.maps import blob
from bundled_models.synthetic_pages.sheet import Colour, smooth_noise
from bundled_models.synthetic_pages.words import chance, pick, span, whole

Placed = tuple[Image.Image, list[Image.Image], tuple[int, int, int, int]]

_CLOTHS: tuple[Colour, ...] = (
    (12, 12, 14), (25, 25, 28), (45, 45, 48), (20, 24, 40), (70, 70, 72), (60, 45, 35),
    (110, 110, 112), (190, 190, 188), (30, 40, 32),
)  # fmt: skip
_PATCHES: tuple[Colour, ...] = (
    (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177),
    (103, 189, 170), (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108),
    (157, 188, 64), (224, 163, 46), (56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31),
)  # fmt: skip


def _tone(image: Image.Image, colour: Colour) -> Colour | int:
    return colour if image.mode == "RGB" else (colour[0] * 3 + colour[1] * 6 + colour[2]) // 10


def _target(rng: np.random.Generator, image: Image.Image, box: tuple[int, int, int, int]) -> None:
    """A photographer's strip of coloured and grey patches within `box` (pixels)."""
    pen, (x0, y0, x1, y1) = ImageDraw.Draw(image), box
    pen.rectangle(box, fill=_tone(image, pick(rng, ((15, 15, 15), (240, 240, 240)))))
    long, flat = max(x1 - x0, y1 - y0), x1 - x0 > y1 - y0
    count = whole(rng, 6, 20)
    greys = chance(rng, 0.35)
    for i in range(count):
        a, b = (long * (i + k) // count for k in (0.1, 0.9))
        grey = 250 - 240 * i // count
        colour = (grey,) * 3 if greys else pick(rng, _PATCHES)
        inset = max(1, min(x1 - x0, y1 - y0) // 6)
        place = (x0 + a, y0 + inset, x0 + b, y1 - inset) if flat else (
            x0 + inset, y0 + a, x1 - inset, y0 + b)  # fmt: skip
        pen.rectangle([int(c) for c in place], fill=_tone(image, colour))


def _ruler(rng: np.random.Generator, image: Image.Image, box: tuple[int, int, int, int]) -> None:
    """A white or black ruler with its division within `box` (pixels)."""
    pen, (x0, y0, x1, y1) = ImageDraw.Draw(image), box
    light = chance(rng, 0.6)
    ground, ink = (235, 20) if light else (20, 235)
    pen.rectangle(box, fill=_tone(image, (ground,) * 3))
    flat = x1 - x0 > y1 - y0
    deep = min(x1 - x0, y1 - y0)
    for i, at in enumerate(np.arange(0, max(x1 - x0, y1 - y0), max(2, deep / 5))):
        tick = deep * (0.6 if i % 10 == 0 else 0.45 if i % 5 == 0 else 0.25)
        line = (x0 + at, y0, x0 + at, y0 + tick) if flat else (x0, y0 + at, x0 + tick, y0 + at)
        pen.line(line, fill=_tone(image, (ink,) * 3))


def _fingers(rng: np.random.Generator, image: Image.Image, page: tuple[int, int, int, int]) -> None:
    """Finger tips that hold the page at its left, right or lower edge."""
    pen, (x0, y0, x1, y1) = ImageDraw.Draw(image), page
    unit, skin = (y1 - y0) / 297, pick(rng, ((205, 150, 125), (150, 100, 75), (225, 180, 160)))
    for _ in range(whole(rng, 1, 2)):
        side, at = whole(rng, 0, 2), span(rng, 0.25, 0.9)
        x, y = ((x0, y0 + at * (y1 - y0)), (x1, y0 + at * (y1 - y0)), (x0 + at * (x1 - x0), y1))[
            side
        ]
        rx, ry = ((16, 8), (16, 8), (8, 16))[side]
        outline = blob(rng, x, y, rx * unit, ry * unit, 0.05, 10)
        pen.polygon((outline + 1.5 * unit).ravel().tolist(), fill=_tone(image, (60, 50, 45)))
        pen.polygon(outline.ravel().tolist(), fill=_tone(image, skin))


def _leant(rng: np.random.Generator, size: tuple[int, int]) -> tuple[float, ...]:
    """The eight coefficients that map a slightly leant page back to an upright one of `size`."""
    width, height = size
    square = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    lean = span(rng, 0.0, 0.035)
    seen = square + rng.uniform(-lean, lean, (4, 2)) * (width, height)
    rows = []
    for (x, y), (u, v) in zip(seen, square, strict=True):
        rows.append((x, y, 1, 0, 0, 0, -u * x, -u * y))
        rows.append((0, 0, 0, x, y, 1, -v * x, -v * y))
    return tuple(np.linalg.solve(np.array(rows), square.ravel()).tolist())


def _photographed(
    rng: np.random.Generator, image: Image.Image, masks: list[Image.Image], size: tuple[int, int],
    corner: tuple[int, int],
) -> tuple[Image.Image, Image.Image, list[Image.Image]]:  # fmt: skip
    """The page, its opaque area and its masks at `corner` of a picture of `size`, seen aslant."""
    aslant, bilinear = Image.Transform.PERSPECTIVE, Image.Resampling.BILINEAR
    page, area = Image.new(image.mode, size), Image.new("L", size)
    page.paste(image, corner)
    area.paste(255, (*corner, corner[0] + image.width, corner[1] + image.height))
    eighth = (max(1, size[0] // 8), max(1, size[1] // 8))
    out = []
    for mask in masks:
        frame = Image.new("L", eighth)
        frame.paste(mask, (corner[0] // 8, corner[1] // 8))
        out.append(frame)
    back = _leant(rng, size)
    a, b, c, d, e, f, g, k = back
    small = (a, b, c / 8, d, e, f / 8, g * 8, k * 8)
    page = page.transform(size, aslant, back, bilinear)
    area = area.transform(size, aslant, back)
    return page, area, [mask.transform(eighth, aslant, small, bilinear) for mask in out]


def _cloth(rng: np.random.Generator, mode: str, size: tuple[int, int]) -> Image.Image:
    """Woven cloth or board of one colour."""
    colour = pick(rng, _CLOTHS)
    canvas = Image.new(mode, size)
    canvas.paste(_tone(canvas, colour), (0, 0, *size))
    weave = smooth_noise(rng, size, (size[0] // 6, size[1] // 6))
    r, g, b = (min(255, c + 40) for c in colour)
    canvas.paste(_tone(canvas, (r, g, b)), None, weave.point([v // 12 for v in range(256)]))
    return canvas


def _shadow(canvas: Image.Image, area: Image.Image) -> None:
    """The shadow that the page's `area` throws down to the right."""
    width, height = canvas.size
    dark = area.filter(ImageFilter.BoxBlur(max(1, width // 90)))
    dark = dark.point([value * 2 // 3 for value in range(256)])
    x, y = max(1, width // 150), max(1, width // 120)
    part = dark.crop((0, 0, width - x, height - y))
    canvas.paste(_tone(canvas, (0, 0, 0)), (x, y), part)


def on_cloth(rng: np.random.Generator, image: Image.Image, masks: list[Image.Image]) -> Placed:
    """A camera's picture of the page on dark cloth or grey board, with what lies beside it."""
    width, height = image.size
    left, right, top = (int(span(rng, 0.01, 0.12) * width) for _ in range(3))
    below = chance(rng, 0.35)
    bottom = int((span(rng, 0.07, 0.16) if below else span(rng, 0.01, 0.08)) * height)
    canvas = _cloth(rng, image.mode, (width + left + right, height + top + bottom))
    page, area, out = _photographed(rng, image, masks, canvas.size, (left, top))
    _shadow(canvas, area)
    canvas.paste(page, (0, 0), area)
    box = (left, top, left + width, top + height)
    if below:
        y = box[3] + int(bottom * span(rng, 0.2, 0.35))
        deep = max(4, int(bottom * span(rng, 0.3, 0.55)))
        x = left + int(width * span(rng, 0, 0.3))
        strip = (x, y, x + int(width * span(rng, 0.35, 0.7)), y + deep)
        pick(rng, (_target, _target, _ruler))(rng, canvas, strip)
    elif right > 0.06 * width:
        x, end = box[2] + right // 4, int(height * span(rng, 0.4, 0.9))
        strip = (x, top + height // 10, x + right // 2, top + end)
        pick(rng, (_target, _ruler))(rng, canvas, strip)
    elif chance(rng, 0.3):
        _fingers(rng, canvas, box)
    return canvas, out, box
