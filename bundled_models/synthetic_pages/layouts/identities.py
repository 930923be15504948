"""Forms and cards that hold somebody's or something's portrait: papers, registers, object cards."""

from __future__ import annotations

import numpy as np
from PIL import Image

from bundled_models.synthetic_pages.layouts.forms import (
    columns_of,
    filling,
    grey_of,
    stamp,
    writer_of,
)
from bundled_models.synthetic_pages.pictures.photographs import cut_out, place_photograph
from bundled_models.synthetic_pages.pictures.portraits import portrait, standing
from bundled_models.synthetic_pages.pictures.prints import developed
from bundled_models.synthetic_pages.sheet import Box, Sheet
from bundled_models.synthetic_pages.words import (
    NAMES,
    chance,
    date,
    language,
    number,
    phrase,
    pick,
    span,
    whole,
    words,
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter

_ASKED = (
    "Name", "Surname", "Born", "Residence", "Age", "Weight", "Height", "Hair", "Eyes", "Face",
    "Jméno", "Bydliště", "Povolání", "Narozen", "Stav", "Name und Vorname", "Beruf", "Wohnort",
    "Nom", "Prénoms", "Né le", "Profession", "Nationality", "Complexion", "Distinctive marks",
)  # fmt: skip
_OBJECT = (
    "Inv. No.", "Object", "Material", "Provenance", "Date", "Acquired", "Negative", "Location",
    "Inv. č.", "Předmět", "Lokalita", "Rozměry", "Uložení", "Gegenstand", "Fundort", "Maße",
)  # fmt: skip
Writer = Typewriter | Hand


def likeness(sheet: Sheet, box: Box) -> None:
    """A portrait's print glued within `box` (mm), a little askew, with a white rim or none."""
    rng, s = sheet.rng, sheet.scale
    size = (max(16, round((box[2] - box[0]) * s)), max(16, round((box[3] - box[1]) * s)))
    half = (size[0] // 2, size[1] // 2)
    view = (standing if chance(rng, 0.2) else portrait)(rng, half)
    view = developed(rng, view, sheet.image.mode == "RGB" and chance(rng, 0.5))
    view = view.convert(sheet.image.mode).resize(size, Image.Resampling.BILINEAR)
    turn = rng.normal(0, 2.0)
    mask = Image.new("L", size, 255).rotate(turn, expand=True)
    if chance(rng, 0.4):
        rim = span(rng, 0.8, 2.5)
        sheet.frame(
            box[0] - rim, box[1] - rim, box[2] + rim, box[3] + rim, 0.2, (150,) * 3, (248,) * 3
        )
    sheet.lay(view.rotate(turn, Image.Resampling.BILINEAR, expand=True), box[0], box[1], mask)
    sheet.mark("photo", *box)


def _writer(sheet: Sheet) -> Writer:
    if chance(sheet.rng, 0.5):
        return Hand(sheet, size=span(sheet.rng, 1.6, 2.6))
    return Typewriter(sheet)


def _asked(sheet: Sheet, tool: Writer, box: Box, names: tuple[str, ...], columns: int) -> None:
    """Printed captions with dotted lines in `columns`, answered by `tool`."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    face = Print(sheet, pick(rng, ("serif", "sans")), span(rng, 7, 9.5), grey_of(rng))
    put, letter = writer_of(tool)
    step, wide, dots = span(rng, 6.5, 9), (x1 - x0) / columns, pick(rng, (0.0, 0.5))
    for column in range(columns):
        y, x = y0 + step, x0 + column * wide
        while y < y1:
            start = x + face.put(x, y, pick(rng, names)[: int(wide / face.size)]) + 1.5
            end = x + wide - 3
            sheet.rule(start, y + 0.6, end, y + 0.6, 0.2, face.colour, dots)
            if chance(rng, 0.85) and end - start > 6:
                put(start + 1, y - 0.3, filling(rng)[: int((end - start) / letter)])
            y += step
    sheet.mark("table", *box)


def _over_the_corner(sheet: Sheet, box: Box) -> None:
    """A stamp or a signature that runs from the portrait onto the paper."""
    rng = sheet.rng
    if chance(rng, 0.5):
        stamp(sheet, max(1.0, pick(rng, (box[0] - 15, box[2] - 20))), box[3] - span(rng, 15, 30))
    if chance(rng, 0.35):
        pen = Hand(sheet, size=span(rng, 2, 3), colour=(25, 25, 40))
        pen.signature(box[0] + 2, box[3] - span(rng, 3, 15), box[2] - box[0] + 8)


def registration(sheet: Sheet) -> None:
    """A registration form: questions down the page, a portrait with a description beside it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tool, left = _writer(sheet), span(rng, 10, 20)
    head = Print(sheet, pick(rng, ("serif_bold", "sans_bold")), span(rng, 11, 17), grey_of(rng))
    y = span(rng, 12, 22)
    head.put(w / 2, y, phrase(rng, language(rng), 2, 4).upper(), "m")
    tall = min(h * 0.45, span(rng, 45, 75))
    low = chance(rng, 0.6)
    top = max(y + 8, h - tall - span(rng, 10, 25)) if low else y + 8
    wide = tall * span(rng, 0.68, 0.85)
    x = pick(rng, (left, w - left - wide))
    beside = (
        (x + wide + 6, top, w - left, top + tall) if x == left else (left, top, x - 6, top + tall)
    )
    _asked(sheet, tool, beside, _ASKED, 1 if beside[2] - beside[0] < 80 else 2)
    other = (left, y + 6, w - left, top - 6) if low else (left, top + tall + 6, w - left, h - 12)
    if other[3] - other[1] > 12:
        _asked(sheet, tool, other, _ASKED, pick(rng, (1, 1, 2)))
    place = (x, top, x + wide, top + tall)
    likeness(sheet, place)
    _over_the_corner(sheet, place)


def framed_card(sheet: Sheet) -> None:
    """A card of ruled boxes with captions, one of them filled by a portrait or an object."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tool, ink = _writer(sheet), grey_of(rng)
    face = Print(sheet, "sans", span(rng, 5.5, 8), ink)
    put, letter = writer_of(tool)
    x0, x1, y = span(rng, 5, 15), w - span(rng, 5, 15), span(rng, 8, 20)
    people = chance(rng, 0.6)
    names = _ASKED if people else _OBJECT
    bottom, wide = h - span(rng, 8, 30), (x1 - x0) * span(rng, 0.25, 0.45)
    tall = min((bottom - y) * 0.8, wide * span(rng, 0.9, 1.4))
    at_left = chance(rng, 0.5)
    area = (x0, y, x0 + wide, y + tall) if at_left else (x1 - wide, y, x1, y + tall)
    sheet.frame(x0, y, x1, bottom, span(rng, 0.3, 0.8), ink)
    sheet.frame(*area, 0.3, ink)
    top = y
    while y + 7 < bottom:
        step = min(bottom - y, pick(rng, (8, 9, 11, 16)))
        inside = y < area[3]
        a = area[2] if inside and at_left else x0
        b = area[0] if inside and not at_left else x1
        edges = columns_of(rng, a, b, whole(rng, 1, 3))
        for start, end in zip(edges, edges[1:], strict=False):
            sheet.frame(start, y, end, y + step, 0.25, ink)
            face.put(
                start + 1,
                y + face.size * 1.1,
                pick(rng, names)[: int((end - start) / face.size * 1.7)],
            )
            if chance(rng, 0.75):
                put(
                    start + 2,
                    y + step - 1.6,
                    filling(rng)[: max(1, int((end - start - 4) / letter))],
                )
        y += step
    sheet.mark("table", x0, top, x1, bottom)
    inner = (area[0] + 2, area[1] + 2, area[2] - 2, area[3] - 2)
    (likeness if people else pick(rng, (place_photograph, cut_out)))(sheet, inner)
    if people:
        _over_the_corner(sheet, inner)


def two_views(sheet: Sheet) -> None:
    """A police file: the same person twice side by side, a number, measures in a table below."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tool, inset, y = _writer(sheet), span(rng, 10, 30), span(rng, 10, 30)
    wide = (w - 2 * inset) / 2
    tall = min(wide * span(rng, 0.9, 1.3), h * 0.5)
    for i in range(2):
        x = inset + i * wide
        likeness(sheet, (x, y, x + wide - 1.5, y + tall))
    face = Print(sheet, "sans_bold", span(rng, 9, 15))
    face.put(w / 2, y + tall + 6, f"{number(rng)}   {pick(rng, NAMES).upper()}", "m")
    _asked(sheet, tool, (inset, y + tall + 9, w - inset, h - 10), _ASKED, whole(rng, 1, 3))


def deposited(sheet: Sheet) -> None:
    """A printed form of three columns written by hand, a photograph glued across it anyhow."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    face = Print(sheet, pick(rng, ("serif", "serif_italic")), span(rng, 6, 8), grey_of(rng))
    hand, inset = Hand(sheet, size=span(rng, 1.6, 2.6)), span(rng, 8, 18)
    y = span(rng, 10, 18)
    face.put(w / 2, y, phrase(rng, "en", 6, 12).upper(), "m")
    edges = np.linspace(inset, w - inset, 4).tolist()
    top, low = y + 8, h - span(rng, 22, 40)
    for a, b in zip(edges, edges[1:], strict=False):
        face.paragraph(a + 1, top, b - a - 4, words(rng, "en", whole(rng, 3, 7)), justify=False)
        note = words(rng, language(rng), whole(rng, 6, 30))
        hand.paragraph(a + 1, top + 14, b - a - 3, note, bottom=low)
        if chance(rng, 0.6):
            sheet.rule(b, top - 2, b, low, 0.2, face.colour)
    sheet.mark("table", inset, top, w - inset, low)
    face.put(inset, h - 14, f"Dated {date(rng)}    Signed")
    hand.signature(w * 0.6, h - 13, 40)
    wide = w * span(rng, 0.18, 0.32)
    tall = min(h * 0.75, wide * span(rng, 0.8, 1.5))
    x, y = span(rng, inset, w - inset - wide), span(rng, 8, h - tall - 10)
    if chance(rng, 0.6):
        likeness(sheet, (x, y, x + wide, y + tall))
        return
    place_photograph(sheet, (x, y, x + wide, y + tall))


def identity(sheet: Sheet) -> None:
    """One of this module's pages."""
    pick(sheet.rng, (registration, registration, framed_card, framed_card, two_views, deposited))(
        sheet
    )
