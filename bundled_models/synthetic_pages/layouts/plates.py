"""Layouts of pages with drawings or photographs, free of tables; those with one come along."""

from __future__ import annotations

from bundled_models.synthetic_pages.layouts.cards import (
    a_find,
    draw_card,
    photo_card,
    row_of,
    strewn,
)
from bundled_models.synthetic_pages.pictures.charts import figure_page
from bundled_models.synthetic_pages.pictures.drawings import drawing, ornaments
from bundled_models.synthetic_pages.pictures.engravings import engraved_page
from bundled_models.synthetic_pages.pictures.maps import grid_paper, map_plan, scale_and_north
from bundled_models.synthetic_pages.pictures.mounts import mounted
from bundled_models.synthetic_pages.pictures.photographs import (
    contact_prints,
    cut_out,
    place_photograph,
)
from bundled_models.synthetic_pages.pictures.sketches import (
    as_blueprint,
    clip_art,
    drawn_find,
    pasted_paper,
    sketched_view,
)
from bundled_models.synthetic_pages.pictures.townplans import map_page
from bundled_models.synthetic_pages.pictures.workdrawings import part_views
from bundled_models.synthetic_pages.sheet import Box, Sheet
from bundled_models.synthetic_pages.words import (
    NAMES,
    PLACES,
    chance,
    date,
    language,
    number,
    pick,
    sentence,
    span,
    whole,
    words,
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter, fill_lines

__all__ = ["caption", "draw_card", "draw_page", "photo_card", "photo_page"]


def caption(sheet: Sheet, x: float, y: float, room: float) -> float:
    """A caption in print, typing or pen; returns the next baseline."""
    rng = sheet.rng
    tongue = language(rng)
    text = (
        pick(rng, ("Obr. ", "Foto ", "Tab. ", "Fig. ", ""))
        + f"{whole(rng, 1, 120)}. "
        + sentence(rng, tongue, 2, 10)
    )
    kind = rng.random()
    if kind < 0.4:
        face = Print(
            sheet, pick(rng, ("serif", "sans", "serif_bold", "serif_italic")), span(rng, 8, 12)
        )
        return face.paragraph(x, y, room, text.split(), justify=False)
    if kind < 0.75:
        machine = Typewriter(sheet)
        machine.leading = 4.23
        return machine.lines(x, y, fill_lines(text.split(), machine.room(room))[:4])
    hand = Hand(sheet, size=span(rng, 1.6, 3))
    return hand.paragraph(x, y, room, text.split()[:8])


def _lettered(sheet: Sheet, y: float) -> None:
    """A plate's title lettered by a draughtsman: the place, its district, a number."""
    rng = sheet.rng
    x = span(rng, 0.2, 0.5) * sheet.width
    title = f"{pick(rng, PLACES).upper()} (okr. {pick(rng, PLACES)})"
    if chance(rng, 0.5):
        Print(sheet, "sans", span(rng, 12, 20)).put(sheet.width / 2, y, title, "m")
    else:
        Hand(sheet, size=span(rng, 2.4, 4.2)).put(x, y, title)
    Hand(sheet, size=2).put(x + span(rng, 0, 30), y + 8, number(rng))


def draw_page(sheet: Sheet) -> None:
    """A plan, a plate of finds, a sketch, a report's figures, an engraving, a map."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    if chance(rng, 0.42):
        pick(rng, (figure_page, figure_page, engraved_page, engraved_page, map_page, _plan))(sheet)
        return
    kind = rng.random()
    if chance(rng, 0.15):
        grid_paper(
            sheet,
            (0, 0, w, h) if chance(rng, 0.6) else (8, 8, w - 8, h * 0.8),
            pick(rng, (2.0, 5.0)),
            pick(rng, ((200, 205, 215), (225, 195, 165), (190, 190, 190))),
        )
    if chance(rng, 0.2):
        sheet.frame(6, 6, w - 6, h - 6, span(rng, 0.3, 0.8))
    y = span(rng, 10, 40)
    if chance(rng, 0.45):
        y = caption(sheet, span(rng, 12, 50), y, w - 60) + 6
    if kind < 0.38:
        bottom = h - span(rng, 12, 60)
        box = (span(rng, 8, 35), y, w - span(rng, 8, 35), max(y + 25, bottom))
        drawing(sheet, box)
        if chance(rng, 0.6) and box[3] < h - 16:
            caption(sheet, span(rng, 12, 50), box[3] + 10, w - 60)
    elif kind < 0.54:
        _plate_of_finds(sheet, y)
    elif kind < 0.64:
        _notes_with_drawing(sheet, y)
    elif kind < 0.72:
        _panels(sheet, y, photographs=False)
    elif kind < 0.79:
        _typed_head_with_drawing(sheet)
    elif kind < 0.87:
        _pasted_sketch(sheet, y)
    else:
        _small_drawing(sheet, y)
    if chance(rng, 0.2):
        Hand(sheet).put(w - 60, h - 10, f"{pick(rng, NAMES)} {date(rng)}")
    if chance(rng, 0.04):
        as_blueprint(sheet)


def _plan(sheet: Sheet) -> None:
    """Views of a part or a building's members over the whole sheet, without a title block."""
    w, h = sheet.width, sheet.height
    part_views(sheet, (span(sheet.rng, 8, 25), 18, w - span(sheet.rng, 10, 25), h - 12))


def _plate_of_finds(sheet: Sheet, y: float) -> None:
    """Vessels and implements in rows, numbered."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    across, face = whole(rng, 2, 6), Print(sheet, "sans", 8)
    cell = (w - 24) / across
    for row in range(int((h - y - 15) / cell)):
        for column in range(across):
            if chance(rng, 0.15):
                continue
            a, b, size = 12 + column * cell, y + row * cell, cell * span(rng, 0.5, 0.85)
            a_find(sheet, (a, b, a + size, b + size * span(rng, 0.5, 0.9)))
            face.put(a + size * 0.5, b + cell * 0.93, str(row * across + column + 1), "m")


def _notes(sheet: Sheet, y: float, low: float) -> float:
    """Some lines of text, typed or in pen, from `y` to `low`; returns the next baseline."""
    rng, w = sheet.rng, sheet.width
    tongue = language(rng)
    if chance(rng, 0.5):
        machine = Typewriter(sheet)
        lines = fill_lines(words(rng, tongue, whole(rng, 15, 120)), machine.room(w - 40))
        return machine.lines(18, y, lines[: max(1, int((low - y) / machine.leading))])
    return Hand(sheet).paragraph(15, y, w - 30, words(rng, tongue, whole(rng, 8, 40)), bottom=low)


def _notes_with_drawing(sheet: Sheet, y: float) -> None:
    """Some lines of text over a drawing."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    low = _notes(sheet, y, y + (h - y) * span(rng, 0.1, 0.35))
    bottom = max(low + 40, h - span(rng, 10, 60))
    drawing(sheet, (span(rng, 10, 40), low + 8, w - span(rng, 10, 40), bottom))


def _typed_head_with_drawing(sheet: Sheet) -> None:
    """A typed heading of a few captions with no rule, a map or a plate below it, notes at its foot.

    It is no table: such sheets of the German years count as drawings.
    """
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine = Typewriter(sheet)
    machine.leading = 4.23
    y, x = span(rng, 15, 30), span(rng, 12, 25)
    captions = ("Reg.Bez.", "Kreis", "Gemarkung") if chance(rng, 0.6) else ("okr.", "obec", "pole")
    for i, name in enumerate(captions):
        machine.put(x + i * (w - x) / 3, y, f"{name}: {pick(rng, PLACES)}")
    if chance(rng, 0.6):
        sheet.rule(x, y + 2, w - x, y + 2, 0.3, dashes=span(rng, 1, 2))
    y += 12
    if chance(rng, 0.5):
        lines = fill_lines(words(rng, language(rng), whole(rng, 10, 90)), machine.room(w * 0.55))
        y = machine.lines(x, y, lines) + 3
    box = (x, y, w - x, max(y + 40, h - span(rng, 25, 70)))
    pick(rng, (map_plan, map_plan, ornaments, ornaments, strewn_finds))(sheet, box)
    if chance(rng, 0.4):
        scale_and_north(sheet, box)
    if box[3] < h - 15:
        machine.put(x, box[3] + 10, "Literatur:" + " " * 14 + "Anmerkungen:")


def strewn_finds(sheet: Sheet, box: Box) -> None:
    """Drawn finds in uneven rows all over `box` (mm)."""
    rows = whole(sheet.rng, 2, 5)
    tall = (box[3] - box[1]) / rows
    for row in range(rows):
        place = (box[0], box[1] + row * tall, box[2], box[1] + (row + 0.95) * tall)
        row_of(sheet, place, a_find)


def _pasted_sketch(sheet: Sheet, y: float) -> None:
    """Another paper pasted onto the sheet, with a find painted or a view sketched on it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    x0, x1 = span(rng, 2, 40), w - span(rng, 2, 40)
    low = min(h - 8, y + (x1 - x0) * span(rng, 0.5, 1.1))
    pasted_paper(sheet, (x0, y, x1, low))
    split = low - span(rng, 8, 0.35 * (low - y) + 9)
    kind = pick(rng, (drawn_find, drawn_find, sketched_view, drawing, clip_art))
    kind(sheet, (x0 + 6, y + 6, x0 + (x1 - x0) * span(rng, 0.5, 0.95), max(y + 25, split)))
    if chance(rng, 0.7):
        note = words(rng, language(rng), whole(rng, 3, 25))
        Hand(sheet, size=2).paragraph(x0 + 6, split + 6, x1 - x0 - 16, note, bottom=low - 3)


def _small_drawing(sheet: Sheet, y: float) -> None:
    """One small drawing on a large sheet, with a note in pen."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    a, b = span(rng, 0.05, 0.5) * w, y + span(rng, 0, 0.4) * h
    right, low = a + span(rng, 0.3, 0.48) * w, min(h - 10, b + span(rng, 0.2, 0.45) * h)
    drawing(sheet, (a, b, right, low))
    note = words(rng, language(rng), whole(rng, 1, 25))
    at = min(h - 12, b + 0.42 * h)
    Hand(sheet).paragraph(span(rng, 8, w * 0.4), at, w * 0.5, note, bottom=h - 6)


def _panels(sheet: Sheet, y: float, photographs: bool) -> None:
    """Two or three framed panels with numbers and a lettered title below, as in find reports.

    With `photographs` at least the last panel holds one, the others a photograph or a drawing.
    """
    rng, w, h = sheet.rng, sheet.width, sheet.height
    count = 2 if h > w else 1
    count += h > w and chance(rng, 0.25)
    tall = (h - y - 30) / count
    x0, x1, first = span(rng, 12, 40), w - span(rng, 12, 40), whole(rng, 1, 60)
    pen, frames = span(rng, 0.3, 0.8), chance(rng, 0.7)
    for i in range(count):
        top, low = y + i * tall, y + (i + 1) * tall - 12
        if frames:
            sheet.frame(x0, top, x1, low, pen)
        inset = span(rng, 3, 14)
        box = (x0 + inset, top + inset, x1 - inset, low - inset)
        last = i == count - 1
        if photographs and (last or chance(rng, 0.5)):
            place_photograph(sheet, box)
        else:
            drawing(sheet, box)
        Hand(sheet, size=2.4).put(pick(rng, ((x0 + x1) / 2, x1 - 8)), low + 7, str(first + i))
    _lettered(sheet, h - 14)


def _album_page(sheet: Sheet) -> None:
    """Prints on the black or grey board of an album, with white or glued captions."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    grey = pick(rng, (30, 45, 60, 150, 185, 205))
    edge = pick(rng, (0.0, 0.0, 6.0))
    sheet.frame(edge, edge, w - edge, h - edge, 0, fill=(grey, grey, max(0, grey - 8)))
    across, down = pick(rng, ((1, 1), (1, 2), (2, 2), (2, 3)))
    wide, tall = (w - 20) / across, (h - 20) / down
    white = (225, 225, 220) if grey < 100 else (40, 40, 45)
    for i in range(across * down):
        if i and chance(rng, 0.1):
            continue
        x, y = 10 + i % across * wide, 10 + i // across * tall
        size, shape = wide * span(rng, 0.7, 0.92), span(rng, 0.6, 1.3)
        box = (x + span(rng, 0, 5), y + span(rng, 0, 6), x + size, y + min(size * shape, tall - 14))
        place_photograph(sheet, box)
        if chance(rng, 0.5):
            note = words(rng, language(rng), whole(rng, 1, 4))
            Hand(sheet, size=1.9, colour=white).paragraph(box[0], box[3] + 7, size, note)


def photo_page(sheet: Sheet) -> None:
    """One to six photographs with captions, free on the page or filling it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    if chance(rng, 0.3):
        mounted(sheet)
        return
    kind = rng.random()
    if kind < 0.1:
        edge = span(rng, 0, 8)
        place_photograph(sheet, (edge, edge, w - edge, h - edge - pick(rng, (0, 0, 15))))
        return
    y = span(rng, 8, 35)
    if kind < 0.16:
        _album_page(sheet)
        return
    if kind < 0.24:
        _panels(sheet, y, photographs=True)
        return
    if kind < 0.27:
        box = (span(rng, 5, 20), y, w - span(rng, 5, 40), y + (h - y) * span(rng, 0.3, 0.9))
        contact_prints(sheet, box)
        return
    if chance(rng, 0.4):
        if chance(rng, 0.5):
            y = caption(sheet, span(rng, 10, 40), y, w - 50) + 5
        else:
            face = Print(sheet, "serif", span(rng, 9, 12), leading=1.25)
            y = face.paragraph(20, y, w - 40, words(rng, language(rng), whole(rng, 10, 90))) + 5
    if kind < 0.33:
        low = y + (h - y) * span(rng, 0.35, 0.8)
        pick(rng, (strewn, row_of))(sheet, (15.0, y, w - 15, low), cut_out)
        if low < h - 14:
            caption(sheet, 20, low + 10, w - 40)
        return
    if kind < 0.42:
        with_drawing = (15.0, y, w - 15, y + (h - y) * 0.38)
        drawing(sheet, with_drawing)
        y = with_drawing[3] + 8
    _prints_down_the_page(sheet, y)


def _prints_down_the_page(sheet: Sheet, y: float) -> None:
    """One to three photographs, or pairs of them, one under another with captions."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    grid = chance(rng, 0.25)
    width = w * span(rng, 0.4, 0.85)
    shape = span(rng, 0.55, 1.0)
    for _ in range(whole(rng, 1, 3)):
        height = min(width * shape * (0.5 if grid else 1), h - y - 12)
        if height < 22:
            break
        x = (w - width) / 2 if chance(rng, 0.6) else span(rng, 4, max(5, w - width - 4))
        if grid:
            place_photograph(sheet, (x, y, x + width * 0.48, y + height))
            place_photograph(sheet, (x + width * 0.52, y, x + width, y + height))
        else:
            place_photograph(sheet, (x, y, x + width, y + height))
        y += height + span(rng, 4, 8)
        y = (
            caption(sheet, x, y + 2, width) + span(rng, 2, 10)
            if chance(rng, 0.7) and y < h - 10
            else y + span(rng, 0, 12)
        )
