"""How photographs reach an archive: on a studio's card, screened in a book, as a film's print."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from bundled_models.synthetic_pages.pictures.photographs import photograph
from bundled_models.synthetic_pages.pictures.portraits import portrait, standing
from bundled_models.synthetic_pages.pictures.prints import developed, screened
from bundled_models.synthetic_pages.sheet import Box, Colour, Sheet
from bundled_models.synthetic_pages.words import (
    NAMES,
    PLACES,
    chance,
    language,
    number,
    phrase,
    pick,
    sentence,
    span,
    whole,
    words,
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print

_BOARDS: tuple[Colour, ...] = (
    (35, 32, 30), (60, 62, 58), (120, 115, 110), (225, 205, 165), (240, 230, 205), (110, 60, 45),
    (150, 140, 120), (250, 248, 240),
)  # fmt: skip


def _view(sheet: Sheet, size: tuple[int, int], people: float) -> Image.Image:
    """A photograph of `size`, in `people` (0 to 1) of the cases somebody's portrait."""
    rng, colour = sheet.rng, sheet.image.mode == "RGB" and chance(sheet.rng, 0.6)
    if chance(rng, people):
        kind = portrait if chance(rng, 0.65) else standing
        return developed(rng, kind(rng, size), colour)
    return photograph(rng, size, colour)


def _lay(sheet: Sheet, view: Image.Image, box: Box, mask: Image.Image | None = None) -> None:
    size = (round((box[2] - box[0]) * sheet.scale), round((box[3] - box[1]) * sheet.scale))
    full = view.convert(sheet.image.mode).resize(size, Image.Resampling.BILINEAR)
    sheet.lay(full, box[0], box[1], None if mask is None else mask.resize(size))
    sheet.mark("photo", *box)


def _half(sheet: Sheet, box: Box) -> tuple[int, int]:
    s = sheet.scale / 2
    return max(16, round((box[2] - box[0]) * s)), max(16, round((box[3] - box[1]) * s))


def studio_card(sheet: Sheet) -> None:
    """A portrait on a studio's board, in an oval or square cut, the studio's name below it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    board = pick(rng, _BOARDS)
    sheet.frame(0, 0, w, h, 0, fill=board)
    light = sum(board) < 330
    inset = span(rng, 0.05, 0.18) * w
    box = (inset, inset, w - inset, h - inset - span(rng, 0.06, 0.14) * h)
    view, mask = _view(sheet, _half(sheet, box), 0.85), None
    if chance(rng, 0.25):
        mask = Image.new("L", view.size)
        ImageDraw.Draw(mask).ellipse((0, 0, view.width - 1, view.height - 1), fill=255)
    _lay(sheet, view, box, mask)
    gold: Colour = pick(rng, ((215, 190, 120), (230, 230, 225))) if light else (120, 70, 50)
    face = Print(sheet, pick(rng, ("serif_italic", "serif_bold", "serif")), span(rng, 12, 24), gold)
    y = (box[3] + h) / 2 + 2
    if chance(rng, 0.75):
        face.put(inset, y, f"{pick(rng, NAMES)} & {pick(rng, NAMES)}"[:22])
        small = Print(sheet, "serif", face.size / 0.353 * 0.6, gold)
        small.put(w - inset, y, pick(rng, PLACES).upper(), "r")
    if chance(rng, 0.2):
        Hand(sheet, size=2.4, colour=gold).put(inset, min(h - 2, y + 8), phrase(rng, "en", 1, 3))


def film_print(sheet: Sheet) -> None:
    """A negative's whole print: the film's black rebate round the picture, a number in it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    sheet.frame(0, 0, w, h, 0, fill=(whole(rng, 5, 30),) * 3)
    inset = [span(rng, 0.01, 0.06) * min(w, h) for _ in range(4)]
    box = (inset[0], inset[1], w - inset[2], h - inset[3])
    _lay(sheet, _view(sheet, _half(sheet, box), 0.3), box)
    white = (235, 235, 235)
    if chance(rng, 0.6):
        face = Print(sheet, "sans", span(rng, 8, 14), white)
        face.put(span(rng, 0.1, 0.7) * w, pick(rng, (inset[1] - 1, h - 2)), number(rng))
    if chance(rng, 0.3):  # notches in the film's edge
        for x in np.linspace(0.1, 0.16, whole(rng, 2, 4)):
            sheet.frame(w * x, 0, w * x + 2, 2, 0, fill=(250,) * 3)


def screened_plate(sheet: Sheet) -> None:
    """A book's or report's page: one to four screened pictures with printed captions, some text."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    face = Print(sheet, pick(rng, ("serif", "serif_italic", "sans")), span(rng, 7.5, 10))
    x0, x1, y = span(rng, 12, 30), w - span(rng, 12, 30), span(rng, 10, 30)
    if chance(rng, 0.4):
        y = face.paragraph(x0, y, x1 - x0, words(rng, language(rng), whole(rng, 8, 90))) + 3
    across, down = pick(rng, ((1, 1), (1, 1), (1, 2), (1, 2), (2, 1), (2, 2)))
    wide, tall = (x1 - x0) / across, (h - y - 15) / down
    for i in range(across * down):
        a, b = x0 + i % across * wide, y + i // across * tall
        size = (wide - 4, min(tall - 16, (wide - 4) * span(rng, 0.55, 1.3)))
        if size[1] < 15:
            continue
        box = (a + 2, b, a + 2 + size[0], b + size[1])
        view = _view(sheet, _half(sheet, box), 0.25)
        field = screened(rng, np.asarray(view, np.float32))
        _lay(sheet, Image.fromarray(field.astype(np.uint8)), box)
        text = f"{pick(rng, ('Fig.', 'Plate', 'Abb.', 'Obr.'))} {whole(rng, 1, 90)}. "
        text += sentence(rng, language(rng), 2, 12)
        face.paragraph(a + 2, box[3] + 5, size[0], text.split(), justify=False, bottom=b + tall)


def mounted(sheet: Sheet) -> None:
    """One of this module's pages."""
    pick(sheet.rng, (studio_card, film_print, screened_plate, screened_plate))(sheet)
