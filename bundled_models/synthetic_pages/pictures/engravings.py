"""Engravings and painted pictures: tone cut into lines, crossed, stippled or laid on in colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from bundled_models.synthetic_pages.pictures.found_pictures import some_crop
from bundled_models.synthetic_pages.pictures.portraits import portrait, standing
from bundled_models.synthetic_pages.pictures.scenes import made_up
from bundled_models.synthetic_pages.sheet import BLACK, Box, Colour, Sheet, smooth_noise
from bundled_models.synthetic_pages.words import NAMES, PLACES, chance, phrase, pick, span, whole
from bundled_models.synthetic_pages.writing.ink import Print

_INKS: tuple[Colour, ...] = (BLACK, BLACK, (45, 40, 38), (70, 55, 45), (95, 60, 50))


def _subject(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """What an engraver had before him: a view, a person, a landscape made up; L of `size`."""
    roll = rng.random()
    if roll < 0.35:
        return (portrait if roll < 0.25 else standing)(rng, size).resize(size)
    view = some_crop(rng, "photo", size) if roll < 0.85 else None
    return ImageOps.autocontrast((view or made_up(rng, size)).convert("L"), cutoff=2).resize(size)


def cut_in_lines(rng: np.random.Generator, dark: np.ndarray, pitch: float) -> np.ndarray:
    """Ink, 0 to 1: lines that swell with `dark` (0 to 1), a second set across the darker parts."""
    height, width = dark.shape
    bend = np.asarray(smooth_noise(rng, (width, height), (5, 5)), np.float32) * (pitch * 5 / 255)
    bend += dark * pitch * span(rng, 0, 2.5)  # the lines follow the bodies
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    angle, ink = span(rng, 0, np.pi), np.zeros(dark.shape, np.float32)
    for turn, least in ((0.0, 0.08), (span(rng, 0.9, 1.6), 0.45), (0.7, 0.72)):
        across = x * np.float32(np.cos(angle + turn)) + y * np.float32(np.sin(angle + turn)) + bend
        wave = np.abs((across / pitch) % 1 - 0.5) * 2
        strength = np.clip((dark - least) / (1 - least), 0, 1)
        ink = np.maximum(ink, np.clip((strength * 0.9 - wave) * 5 + 0.5, 0, 1) * (dark > least))
    return ink


def _vignette(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """How much of a picture shows, 0 to 1, fading to its edges; (height, width) of `size`."""
    width, height = size
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    far = (x * x + y * y).astype(np.float32)
    soft = span(rng, 0.1, 0.6)
    return np.clip((span(rng, 0.75, 1.0) - far) / soft, 0, 1).astype(np.float32)


def _frame(sheet: Sheet, box: Box) -> None:
    """A plate's border: one to four rules."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    gap = 0.0
    for _ in range(whole(rng, 1, 4)):
        sheet.frame(x0 - gap, y0 - gap, x1 + gap, y1 + gap, pick(rng, (0.2, 0.3, 0.8)))
        gap += span(rng, 0.8, 2.5)


def engraving(sheet: Sheet, box: Box) -> None:
    """A picture engraved or stippled within `box` (mm), with a border, a vignette or neither."""
    rng, s = sheet.rng, sheet.scale
    size = (max(24, round((box[2] - box[0]) * s)), max(24, round((box[3] - box[1]) * s)))
    half = (size[0] // 2, size[1] // 2)
    tone = np.asarray(_subject(rng, half), np.float32) / 255
    dark = np.clip((1 - tone) * span(rng, 0.9, 1.3) - span(rng, 0.1, 0.35), 0, 1)
    faded = chance(rng, 0.4)
    if faded:
        dark = dark * _vignette(rng, half)
    full = Image.fromarray((dark * 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    dark = np.asarray(full, np.float32) / 255
    pitch = span(rng, 0.8, 2.0) * s
    if chance(rng, 0.8):
        ink = cut_in_lines(rng, dark, max(2.5, pitch))
    else:  # lithograph: a grain
        cells = (max(8, round(size[0] / pitch * 2)), max(8, round(size[1] / pitch * 2)))
        grain = np.asarray(smooth_noise(rng, size, cells), np.float32) / 255
        ink = np.clip((dark**1.4 - grain) * 6 + 0.3, 0, 1) * (dark > 0.05)
    mask = Image.fromarray((ink * 255).astype(np.uint8))
    sheet.stamp_mask(mask, box[0], box[1], pick(rng, _INKS))
    sheet.toned = True
    if not faded and chance(rng, 0.7):
        _frame(sheet, box)
    sheet.mark("drawing", *box)


def painting(sheet: Sheet, box: Box) -> None:
    """A picture in flat tints and soft outlines: a watercolour, a coloured plate, a poster."""
    rng, s = sheet.rng, sheet.scale
    size = (max(24, round((box[2] - box[0]) * s)), max(24, round((box[3] - box[1]) * s)))
    small = (max(24, size[0] // 3), max(24, size[1] // 3))
    view = some_crop(rng, "photo", small) or ImageOps.colorize(
        _subject(rng, small), (60, 40, 30), (240, 230, 200)
    )
    flat = view.convert("RGB").filter(ImageFilter.MedianFilter(pick(rng, (3, 5))))
    flat = ImageOps.posterize(flat, pick(rng, (2, 3, 3)))
    pale = Image.blend(flat, Image.new("RGB", small, (250, 244, 228)), span(rng, 0.1, 0.55))
    outline = (
        flat.convert("L")
        .filter(ImageFilter.FIND_EDGES)
        .point([min(255, v * 2) for v in range(256)])
    )
    if chance(rng, 0.6):
        pale.paste(pick(rng, _INKS), None, outline)
    picture = pale.resize(size, Image.Resampling.BICUBIC)
    mask = None
    if chance(rng, 0.3):
        mask = Image.fromarray((_vignette(rng, small) * 255).astype(np.uint8)).resize(size)
    sheet.lay(picture, box[0], box[1], mask)
    sheet.toned = True
    if mask is None and chance(rng, 0.5):
        _frame(sheet, box)
    sheet.mark("drawing", *box)


def _ornament(sheet: Sheet, x: float, y: float, wide: float) -> None:
    """A rule that swells to its middle."""
    points = np.array([(x - wide, y), (x, y - 0.7), (x + wide, y), (x, y + 0.7)])
    sheet.shape(points, BLACK)


def engraved_page(sheet: Sheet) -> None:
    """A plate that fills most of its page, titled below or above in a few printed lines."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    inset, top = span(rng, 0.06, 0.25) * w, span(rng, 0.05, 0.2) * h
    low = h - span(rng, 0.1, 0.35) * h
    kind: Callable[[Sheet, Box], None] = pick(rng, (engraving, engraving, engraving, painting))
    kind(sheet, (inset, top, w - inset, low))
    face = Print(sheet, pick(rng, ("serif", "serif_italic", "serif_bold")), span(rng, 9, 16))
    name = pick(rng, (f"{pick(rng, 'ABEJK')}. {pick(rng, NAMES)}", pick(rng, PLACES),
                      phrase(rng, "fr", 2, 5).capitalize()))  # fmt: skip
    if chance(rng, 0.75):
        y = low + span(rng, 8, 16)
        face.put(w / 2, y, name.upper() if chance(rng, 0.5) else name, "m")
        small = Print(sheet, "serif", face.size / 0.353 * 0.65)
        if chance(rng, 0.5):
            small.put(w / 2, y + face.size * 1.4, phrase(rng, "en", 3, 8).capitalize() + ".", "m")
        if chance(rng, 0.25):
            _ornament(sheet, w / 2, y + face.size * 2.4, w * 0.08)
    if chance(rng, 0.3):
        small = Print(sheet, "serif_italic", 7.5)
        small.put(inset, low + 3.5, f"{pick(rng, NAMES)} del.")
        small.put(w - inset, low + 3.5, f"{pick(rng, NAMES)} sc.", "r")
    if chance(rng, 0.2):
        Print(sheet, "serif", 11).put(w / 2, top - 6, phrase(rng, "de", 2, 5).upper(), "m")
