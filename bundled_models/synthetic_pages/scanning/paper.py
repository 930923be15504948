"""From a drawn sheet to a scan: paper, holes, skew, borders, light, noise, thresholding."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.scanning.copies import copied_again
from bundled_models.synthetic_pages.scanning.grounds import on_cloth
from bundled_models.synthetic_pages.sheet import OVERSAMPLING, REGIONS, Colour, Sheet, smooth_noise
from bundled_models.synthetic_pages.words import chance, pick, span, whole

MASK_STEP = 16  # page pixels to one value of the region masks

_PAPERS = (
    (255, 255, 255),
    (252, 252, 250),
    (244, 240, 226),
    (236, 226, 196),
    (224, 205, 165),
    (238, 238, 236),
    (252, 252, 252),
    (248, 248, 246),
    (215, 215, 212),
    (222, 228, 214),
    (246, 242, 230),
    (240, 218, 140),
    (245, 228, 165),
    (206, 178, 128),
    (206, 222, 206),
    (232, 200, 192),
    (200, 212, 226),
    (190, 188, 182),
)


_LIGHTER = [min(255, 120 + value) for value in range(256)]


def region_masks(sheet: Sheet, size: tuple[int, int]) -> list[Image.Image]:
    """One L image per region at an eighth of `size`, 255 where the region is."""
    width, height = max(1, size[0] // 8), max(1, size[1] // 8)
    fx, fy = width / sheet.image.width, height / sheet.image.height
    masks = [Image.new("L", (width, height)) for _ in REGIONS]
    pens = [ImageDraw.Draw(mask) for mask in masks]
    for region, (x0, y0, x1, y1) in sheet.marks:
        a, b = x0 * fx, y0 * fy
        pens[region].rectangle((a, b, max(a, x1 * fx), max(b, y1 * fy)), fill=255)
    return masks


def scan(sheet: Sheet, target: int) -> tuple[Image.Image, np.ndarray]:
    """The page as scanned, `target` pixels on the longer side, and region masks (6, h/16, w/16)."""
    rng = sheet.rng
    image = sheet.image
    held = {REGIONS[region] for region, _ in sheet.marks}
    tones = "photo" in held or sheet.toned
    copied = chance(rng, 0.2)  # in black and white only, or by a hard copier
    if copied:
        grey = image.convert("L")
        ink = float(np.percentile(np.asarray(grey.reduce(2)), 1))
        image = grey.point(
            _curve(ink + (255 - ink) * span(rng, 0.4, 0.75), ink, 255.0, hard=not tones)
        )
    image = image.reduce(OVERSAMPLING)
    masks = region_masks(sheet, image.size)
    image, masks, box = _lay_on_bed(rng, image, masks)
    image = _light_and_noise(rng, image, box, clean=copied or chance(rng, 0.65))
    if not tones:
        image = copied_again(rng, image, dark=0.04 if "type" in held else 0.02)
    if chance(rng, 0.25):
        image = image.filter(ImageFilter.BoxBlur(span(rng, 0.2, 0.8) * target / 640))
    if chance(rng, 0.3):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=whole(rng, 35, 85))
        image = Image.open(buffer)
        image.load()
    ratio = target / max(image.size)
    if abs(ratio - 1) > 0.02:
        image = image.resize(
            (max(16, round(image.width * ratio)), max(16, round(image.height * ratio))),
            Image.Resampling.BILINEAR,
        )
    grid = (max(1, round(image.width / MASK_STEP)), max(1, round(image.height / MASK_STEP)))
    regions = np.stack([np.asarray(mask.resize(grid, Image.Resampling.BOX)) for mask in masks])
    return image, regions


def _curve(level: float, ink: float, paper: float, hard: bool) -> list[int]:
    """A tone curve round `level`: a threshold when `hard`, else the steep S of a photocopier."""
    if hard:
        return [0 if value < level else 255 for value in range(256)]
    softness = max(8.0, (paper - ink) / 9)
    return [
        round(255 / (1 + float(np.exp((level - 15 - value) / softness)))) for value in range(256)
    ]


def _lay_on_bed(
    rng: np.random.Generator, image: Image.Image, masks: list[Image.Image]
) -> tuple[Image.Image, list[Image.Image], tuple[int, int, int, int]]:
    """Turn the paper a little and put it on a scanner bed, which may show round it or may not."""
    mode, (width, height) = image.mode, image.size
    skew = rng.normal(0, 0.6) if chance(rng, 0.8) else rng.normal(0, 1.8)
    show = rng.random()
    margins = [0, 0, 0, 0]
    bed = 255
    if show < 0.07:  # a bound volume or a film's frame: dark all round
        bed = pick(rng, (0, 0, 14, 30, 70))
        margins = [int(span(rng, 0.004, 0.05) * max(width, height)) for _ in range(4)]
    elif show < 0.32:
        bed = pick(rng, (0, 12, 255, 255, 245, 200))
        far = 0.45 if rng.random() < 0.1 else 0.06
        margins = [
            int(span(rng, 0, far if rng.random() < 0.6 else 0) * max(width, height))
            for _ in range(4)
        ]
    elif show < 0.5:  # the scan cuts into the page
        margins = [-int(span(rng, 0, 0.03) * width) for _ in range(4)]
    left, top, right, bottom = margins
    size = (width + left + right, height + top + bottom)
    back = (bed,) * 3 if mode == "RGB" else bed
    if show > 0.95:
        return _on_a_table(rng, image, masks, skew)
    if show > 0.87:
        return on_cloth(rng, image, masks)
    turned = image.rotate(skew, Image.Resampling.BILINEAR, fillcolor=back)
    canvas = Image.new(mode, size, back)
    canvas.paste(turned, (left, top))
    out = _moved(masks, size, (left, top), skew)
    return canvas, out, (left, top, left + width, top + height)


def _moved(
    masks: list[Image.Image], size: tuple[int, int], corner: tuple[int, int], skew: float
) -> list[Image.Image]:
    """The masks of a page laid with its `corner` (left, top) on a canvas of `size` pixels."""
    out = []
    for mask in masks:
        frame = Image.new("L", (max(1, size[0] // 8), max(1, size[1] // 8)))
        frame.paste(mask.rotate(skew), (corner[0] // 8, corner[1] // 8))
        out.append(frame)
    return out


def _on_a_table(
    rng: np.random.Generator, image: Image.Image, masks: list[Image.Image], skew: float
) -> tuple[Image.Image, list[Image.Image], tuple[int, int, int, int]]:
    """A camera's picture: the page on a brown or grey table, a part of its neighbour beside it."""
    width, height = image.size
    left, right = (int(span(rng, 0.01, 0.16) * width) for _ in range(2))
    top, bottom = (int(span(rng, 0.0, 0.07) * height) for _ in range(2))
    size = (width + left + right, height + top + bottom)
    tone: Colour = pick(rng, ((110, 74, 40), (60, 50, 44), (92, 92, 94), (150, 130, 105)))
    table = Image.new("RGB", size, tone)
    grain = smooth_noise(rng, size, (3, 60)).point(_LIGHTER)
    table = Image.composite(table, Image.new("RGB", size, (20, 16, 12)), grain)
    canvas = table.convert(image.mode)
    opaque = Image.new("L", image.size, 255).rotate(skew, expand=False)
    turned = image.rotate(skew, Image.Resampling.BILINEAR)
    if chance(rng, 0.5):  # an open book: the other page runs out of the picture
        at = left - width + int(span(rng, -3, 3)) if chance(rng, 0.5) else left + width
        canvas.paste(turned.transpose(Image.Transpose.ROTATE_180), (at, top), opaque)
    canvas.paste(turned, (left, top), opaque)
    return canvas, _moved(masks, size, (left, top), skew), (left, top, left + width, top + height)


def _light_and_noise(
    rng: np.random.Generator, image: Image.Image, box: tuple[int, int, int, int], clean: bool
) -> Image.Image:
    """Multiply by paper colour and light, add bleed-through, folds, holes and grain."""
    width, height = image.size
    field: np.ndarray = np.asarray(image, np.float32)
    light = np.ones((height, width), np.float32)
    if not clean:
        clouds = np.asarray(smooth_noise(rng, (width, height), (3, 4)), np.float32) / 255
        light -= clouds * span(rng, 0, 0.14)
        if chance(rng, 0.3):
            fibre = (
                np.asarray(
                    smooth_noise(rng, (width, height), (width // 3, height // 3)), np.float32
                )
                / 255
            )
            light -= fibre * span(rng, 0, 0.12)
        if chance(rng, 0.3):
            edge = np.minimum(
                np.minimum(np.arange(width)[None, :], np.arange(width)[None, ::-1]),
                np.minimum(np.arange(height)[:, None], np.arange(height)[::-1, None]),
            )
            light *= 1 - span(rng, 0.1, 0.45) * np.exp(-edge / (span(rng, 0.005, 0.05) * width))
        if chance(rng, 0.12):
            ghost = np.maximum(
                110,
                np.asarray(
                    image.convert("L")
                    .transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                    .filter(ImageFilter.BoxBlur(1.5)),
                    np.float32,
                ),
            )
            light *= 1 - (255 - ghost) / 255 * span(rng, 0.03, 0.16)
        light *= _gutter_and_film(rng, (width, height))
        for _ in range(whole(rng, 0, 2) if chance(rng, 0.25) else 0):
            at, deep = int(span(rng, 0.1, 0.9) * (height - 3)), span(rng, 0.03, 0.15)
            light[at : at + 2] *= 1 - deep
            light[at + 2 : at + 3] *= 1 + deep / 2
    paper = np.array(pick(rng, _PAPERS[:2] if clean else _PAPERS), np.float32) / 255
    if image.mode == "RGB":
        field = field * light[..., None] * paper
    else:
        field = field * light * paper.mean()
    grain = span(rng, 0, 0.02) if clean else span(rng, 0, 0.09)
    field += rng.integers(-128, 128, field.shape[:2], dtype=np.int8).reshape(
        height, width, *([1] * (field.ndim - 2))
    ) * np.float32(grain)
    if chance(rng, 0.35):  # contrast of the scanner
        black, white = span(rng, -10, 60), span(rng, 230, 262)
        field = field * ((white - black) / 255) + black
    out = Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
    _marks(rng, out, box)
    return out


def _gutter_and_film(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray | float:
    """Light of a book's gutter or of a mottled, streaky film, (height, width) or 1 for neither."""
    width, height = size
    roll = rng.random()
    if roll < 0.14:
        away = np.arange(width, dtype=np.float32) / width
        away = away if roll < 0.07 else away[::-1]
        return 1 - np.float32(span(rng, 0.25, 0.7)) * np.exp(-away / span(rng, 0.02, 0.09))[None, :]
    if roll < 0.26:
        spots = smooth_noise(rng, size, (width // 12, height // 12))
        film = np.asarray(spots, np.float32) * np.float32(span(rng, 0.03, 0.14) / 255)
        streaks = rng.random(width, np.float32) * np.float32(span(rng, 0, 0.08))
        return 1 - film - streaks[None, :]
    return 1.0


def _marks(rng: np.random.Generator, image: Image.Image, box: tuple[int, int, int, int]) -> None:
    """Punch holes, specks and black edges."""
    pen, (width, height) = ImageDraw.Draw(image), image.size
    unit = max(box[3] - box[1], box[2] - box[0]) / 297

    def tone(value: int) -> int | tuple[int, int, int]:
        return (value,) * 3 if image.mode == "RGB" else value

    if chance(rng, 0.12):
        x, value = box[0] + span(rng, 8, 13) * unit, pick(rng, (0, 10, 255, 180))
        for y in (0.5 * height - 40 * unit, 0.5 * height + 40 * unit):
            r = 2.8 * unit
            pen.ellipse((x - r, y - r, x + r, y + r), fill=tone(value), outline=tone(90))
    elif chance(rng, 0.05):  # a spiral binding's row of slots
        value, x = pick(rng, (0, 0, 60, 235)), box[0] + span(rng, 3, 8) * unit
        for y in np.arange(box[1] + 5 * unit, box[3] - 4 * unit, span(rng, 8, 14) * unit):
            pen.rectangle((x, y, x + 3.2 * unit, y + 5.5 * unit), fill=tone(value))
    if chance(rng, 0.25):
        spots = rng.random((whole(rng, 5, 120), 3))
        for x, y, r in (spots * (width, height, 0.5)).tolist():
            pen.ellipse((x - r, y - r, x + r, y + r), fill=tone(60))
    if chance(rng, 0.15):
        side, thick = whole(rng, 0, 3), span(rng, 0.004, 0.02) * width
        edges = (
            (0, 0, thick, height),
            (width - thick, 0, width, height),
            (0, 0, width, thick),
            (0, height - thick, width, height),
        )
        pen.rectangle(edges[side], fill=tone(pick(rng, (0, 20, 60))))
