"""Photographs on a sheet: what they show, how they are mounted, finds cut out of them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.pictures.finds import lit_find, stamped_find
from bundled_models.synthetic_pages.pictures.found_pictures import pictures, some_crop
from bundled_models.synthetic_pages.pictures.prints import developed
from bundled_models.synthetic_pages.pictures.scenes import made_up
from bundled_models.synthetic_pages.pictures.trenches import excavation
from bundled_models.synthetic_pages.sheet import Box, Sheet
from bundled_models.synthetic_pages.words import chance, number, pick, span, whole
from bundled_models.synthetic_pages.writing.hand import spline
from bundled_models.synthetic_pages.writing.ink import Print

_REAL = 0.75  # of the photographs, where pictures are installed


def photograph(rng: np.random.Generator, size: tuple[int, int], colour: bool) -> Image.Image:
    """A photograph of `size` pixels: L, or RGB when `colour`."""
    size = (max(8, size[0]), max(8, size[1]))
    view = None
    if chance(rng, _REAL):
        if pictures("ground") and chance(rng, 0.65):
            view = excavation(rng, size)
        else:
            view = some_crop(rng, "photo", size)
    return developed(rng, view or made_up(rng, size), colour)


def _tone(sheet: Sheet, grey: int) -> int | tuple[int, int, int]:
    return sheet.ink((grey, grey, grey))


def _deckled(rng: np.random.Generator, size: tuple[int, int], step: float) -> Image.Image:
    """A mask of `size` whose edges are cut in waves, as prints of the 1930s to 1950s are."""
    width, height = size
    along, down = np.arange(0, width, step), np.arange(0, height, step)
    top, bottom = (np.stack([along, edge + rng.random(len(along)) * step * 0.7], 1)
                   for edge in (0.0, height - 1 - step * 0.7))  # fmt: skip
    left, right = (np.stack([edge + rng.random(len(down)) * step * 0.7, down], 1)
                   for edge in (0.0, width - 1 - step * 0.7))  # fmt: skip
    mask = Image.new("L", size)
    outline = np.concatenate([top, right, bottom[::-1], left[::-1]])
    ImageDraw.Draw(mask).polygon(outline.ravel().tolist(), fill=255)
    return mask


def _framed(sheet: Sheet, view: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The print with a border of its own, and the mask of its edge; pixels of the canvas."""
    rng, s, size = sheet.rng, sheet.scale, view.size
    rim = max(1, round(span(rng, 1, 4) * s))
    white = _tone(sheet, whole(rng, 215, 252))
    ImageDraw.Draw(view).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=white, width=rim)
    if chance(rng, 0.4):
        edge = rim + max(1, round(0.3 * s))
        box = (rim, rim, size[0] - edge, size[1] - edge)
        ImageDraw.Draw(view).rectangle(box, outline=_tone(sheet, whole(rng, 20, 160)))
    return view, _deckled(rng, size, span(rng, 1, 2.5) * s) if chance(rng, 0.4) else None


def place_photograph(sheet: Sheet, box: Box) -> None:
    """A photograph within `box` (mm): bare, bordered, in corners, numbered, perhaps turned."""
    rng, s = sheet.rng, sheet.scale
    x0, y0, x1, y1 = box
    size = (max(8, round((x1 - x0) * s)), max(8, round((y1 - y0) * s)))
    # the canvas is oversampled, photographs need not be
    small = (max(8, size[0] // 2), max(8, size[1] // 2))
    colour = sheet.image.mode == "RGB" and chance(rng, 0.5)
    view = photograph(rng, small, colour).resize(size, Image.Resampling.BILINEAR)
    view, mask = view.convert(sheet.image.mode), None
    if chance(rng, 0.4):
        view, mask = _framed(sheet, view)
    if chance(rng, 0.06):
        _written_on(sheet, view)
    if mask is not None and chance(rng, 0.6):  # the shadow that a glued print throws
        shade = mask.point(lambda v: v // 3).filter(ImageFilter.BoxBlur(max(1, 0.5 * s)))
        sheet.stamp_mask(shade, x0 + 0.4, y0 + 0.5, (70, 70, 70))
    if chance(rng, 0.3):
        turn = rng.normal(0, 1.5)
        mask = (mask or Image.new("L", size, 255)).rotate(turn, expand=True)
        sheet.lay(view.rotate(turn, expand=True), x0, y0, mask)
    else:
        sheet.lay(view, x0, y0, mask)
        if chance(rng, 0.1):
            _corners(sheet, box)
    if chance(rng, 0.2):
        grey = whole(rng, 20, 150)
        sheet.frame(x0, y0, x1, y1, span(rng, 0.2, 0.6), (grey, grey, grey))
    if chance(rng, 0.1):
        _number_label(sheet, box)
    sheet.mark("photo", *box)


def _written_on(sheet: Sheet, view: Image.Image) -> None:
    """An arrow or the bounds of a layer, drawn on the print in white or black."""
    rng, (width, height) = sheet.rng, view.size
    pen, tone = ImageDraw.Draw(view), _tone(sheet, pick(sheet.rng, (250, 15)))
    thick = max(1, round(0.5 * sheet.scale))
    for _ in range(whole(rng, 1, 3)):
        knots = np.stack([np.linspace(0.1, 0.9, 5), span(rng, 0.2, 0.8) + rng.normal(0, 0.05, 5)])
        path = spline(knots.T) * (width, height)
        pen.line(path.ravel().tolist(), fill=tone, width=thick)


def _corners(sheet: Sheet, box: Box) -> None:
    """Paper corners that hold a print on an album's page."""
    x0, y0, x1, y1 = box
    deep, grey = span(sheet.rng, 4, 8), whole(sheet.rng, 20, 200)
    for x, y, dx, dy in ((x0, y0, 1, 1), (x1, y0, -1, 1), (x0, y1, 1, -1), (x1, y1, -1, -1)):
        points = np.array([(x - dx, y - dy), (x + dx * deep, y - dy), (x - dx, y + dy * deep)])
        sheet.shape(points, (grey, grey, grey), (90, 90, 90), 0.2)


def _number_label(sheet: Sheet, box: Box) -> None:
    """A small paper with the print's number, glued to a corner of it."""
    rng = sheet.rng
    x = pick(rng, (box[0] + 1, box[2] - 15))
    y = pick(rng, (box[1] + 1, box[3] - 8))
    sheet.frame(x, y, x + 14, y + 7, 0.2, (80, 80, 80), (246, 244, 236))
    Print(sheet, pick(rng, ("sans", "type")), 9).put(x + 1.5, y + 5.2, str(whole(rng, 1, 999)))


def contact_prints(sheet: Sheet, box: Box) -> None:
    """Strips of small negatives' prints on black, with the film's holes or without."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    strips, grey = whole(rng, 1, 4), whole(rng, 8, 45)
    tall, holes = (y1 - y0) / strips, chance(rng, 0.6)
    for strip in range(strips):
        y, low = y0 + strip * tall, y0 + (strip + 1) * tall - span(rng, 1, 3)
        sheet.frame(x0, y, x1, low, 0, fill=(grey, grey, grey))
        inset = (low - y) * (0.16 if holes else 0.07)
        across = max(1, int((x1 - x0) / ((low - y) * 1.25)))
        step = (x1 - x0) / across
        for i in range(across):
            a = x0 + i * step
            size = (
                round((step - 2) * sheet.scale / 2),
                round((low - y - 2 * inset) * sheet.scale / 2),
            )
            view = photograph(rng, size, colour=False)
            full = (max(8, size[0] * 2), max(8, size[1] * 2))
            sheet.lay(view.resize(full, Image.Resampling.BILINEAR), a + 1, y + inset)
        for x in np.arange(x0 + 1, x1 - 2, 3.2) if holes else ():
            for at in (y + inset * 0.25, low - inset * 0.75):
                sheet.frame(float(x), at, float(x) + 1.6, at + inset * 0.5, 0, fill=(225,) * 3)
    sheet.mark("photo", *box)


def cut_out(sheet: Sheet, box: Box) -> None:
    """A find photographed and cut out along its outline, or on its own small piece of backdrop."""
    rng, s = sheet.rng, sheet.scale
    x0, y0, x1, y1 = box
    size = (max(8, round((x1 - x0) * s)), max(8, round((y1 - y0) * s)))
    half = (max(8, size[0] // 2), max(8, size[1] // 2))
    found = stamped_find(rng, half) if chance(rng, 0.35) else None
    if found is not None:
        found = (developed(rng, found[0], colour=False), found[1])
    view, mask = found or lit_find(rng, half)
    size = (view.width * 2, view.height * 2)
    view, mask = (part.resize(size, Image.Resampling.BILINEAR) for part in (view, mask))
    if chance(rng, 0.18):
        tone = whole(rng, 170, 245)
        edge = (tone - whole(rng, 0, 40),) * 3
        sheet.frame(x0 - 2, y0 - 2, x1 + 2, y1 + 2, 0.25, edge, (tone,) * 3)
    elif chance(rng, 0.3):  # its shadow on the backdrop
        shade = mask.point(lambda v: v // 4).filter(ImageFilter.BoxBlur(max(1, size[0] / 20)))
        sheet.stamp_mask(shade, x0 + 1.2, y0 + 1.2, (60, 60, 60))
    sheet.lay(view, x0, y0, mask)
    if chance(rng, 0.2) and x1 - x0 > 12:  # the number that the museum wrote on it
        white = (235, 235, 235)
        face = Print(sheet, "sans", span(rng, 5, 8), white)
        face.put((x0 + x1) / 2, (y0 + y1) / 2 + 2, number(rng)[:5], "m")
    sheet.mark("photo", *box)
