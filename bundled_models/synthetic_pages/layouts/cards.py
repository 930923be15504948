"""Tabular pages with pictures: cards with a head, records, legends, title blocks, grids."""

from __future__ import annotations

from collections.abc import Callable

from bundled_models.synthetic_pages.layouts.forms import (
    card_head,
    columns_of,
    grey_of,
    table,
    writer_of,
)
from bundled_models.synthetic_pages.layouts.identities import identity
from bundled_models.synthetic_pages.layouts.tables import text_in_card
from bundled_models.synthetic_pages.pictures.charts import CHARTS, machine_figure
from bundled_models.synthetic_pages.pictures.drawings import drawing, ornaments, pot, tool
from bundled_models.synthetic_pages.pictures.photographs import (
    contact_prints,
    cut_out,
    place_photograph,
)
from bundled_models.synthetic_pages.pictures.sketches import (
    clip_art,
    drawn_find,
    pasted_paper,
    sketched_view,
)
from bundled_models.synthetic_pages.pictures.townplans import tinted_map, town_plan
from bundled_models.synthetic_pages.pictures.workdrawings import part_views, zones
from bundled_models.synthetic_pages.sheet import Box, Sheet
from bundled_models.synthetic_pages.words import (
    NAMES,
    cell,
    chance,
    language,
    number,
    phrase,
    pick,
    span,
    whole,
    words,
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter, fill_lines

Picture = Callable[[Sheet, Box], None]
Tools = tuple[Print | Typewriter | Hand, ...]


def a_find(sheet: Sheet, box: Box) -> None:
    """One drawn find: a vessel, an implement, now and then something else."""
    kinds = (pot, pot, tool, tool, drawn_find, drawn_find, drawn_find, clip_art)
    pick(sheet.rng, kinds)(sheet, box)


def _a_print(sheet: Sheet, box: Box) -> None:
    """One photographed find or a small glued print."""
    (cut_out if chance(sheet.rng, 0.75) else place_photograph)(sheet, box)


def _filler(sheet: Sheet) -> Typewriter | Hand:
    return Typewriter(sheet) if chance(sheet.rng, 0.75) else Hand(sheet, size=2.2)


def _head(sheet: Sheet) -> float:
    """A card's head, filled in; where it ends, mm."""
    rng = sheet.rng
    return card_head(sheet, writer_of(_filler(sheet))[0], span(rng, 0.2, 1.0))


def _text(sheet: Sheet, y: float, share: float) -> float:
    rng = sheet.rng
    writer = Typewriter(sheet) if chance(rng, 0.8) else Hand(sheet, size=2.2)
    return max(y, text_in_card(sheet, writer, y, share))


def row_of(sheet: Sheet, box: Box, picture: Picture) -> None:
    """Several pictures side by side."""
    rng = sheet.rng
    count = max(1, min(whole(rng, 2, 7), int((box[2] - box[0]) / 16)))
    step = (box[2] - box[0]) / count
    for i in range(count):
        a, size = box[0] + i * step, step * span(rng, 0.6, 0.9)
        b = box[1] + span(rng, 0, 0.2) * (box[3] - box[1])
        picture(sheet, (a, b, a + size, min(box[3], b + size * span(rng, 0.7, 1.6))))


def column_of(sheet: Sheet, box: Box, picture: Picture) -> None:
    """One to three pictures one under another at the left of `box`."""
    rng, count = sheet.rng, whole(sheet.rng, 1, 3)
    room = (box[3] - box[1]) / count
    x = box[0] + span(rng, 0, 0.25) * (box[2] - box[0])
    size = min(room * 0.85, (box[2] - box[0]) * span(rng, 0.22, 0.5))
    for i in range(count):
        y, wide = box[1] + i * room, size * span(rng, 0.65, 1.0)
        picture(sheet, (x, y, x + wide, y + wide * span(rng, 0.7, 1.0)))


def strewn(sheet: Sheet, box: Box, picture: Picture) -> None:
    """A few pictures close together, in two uneven rows."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    across = max(1, min(whole(rng, 2, 4), int((x1 - x0) / 16)))
    step, tall = (x1 - x0) / across, (y1 - y0) / 2
    for i in range(across * 2):
        if chance(rng, 0.15):
            continue
        x, y = x0 + i % across * step, y0 + i // across * tall
        size = min(step, tall) * span(rng, 0.55, 0.98)
        picture(sheet, (x, y, x + size * span(rng, 0.5, 1.0), y + size))


def _note(sheet: Sheet, machine: Typewriter, x: float, y: float, room: float, low: float) -> None:
    """Typed lines of a description, ending with measures, from `y` to `low` at most."""
    rng = sheet.rng
    letters = machine.room(room)
    lines = fill_lines(words(rng, language(rng), whole(rng, 3, 30)), letters)
    lines += [f"v. {whole(rng, 2, 40)} cm, {whole(rng, 2, 40)} cm"[:letters]] * whole(rng, 0, 2)
    machine.lines(x, y, [line[:letters] for line in lines[: max(1, int((low - y) / 4.3))]])


def records(sheet: Sheet, y: float, picture: Picture) -> None:
    """Typed records one under another, most with a picture beside them, perhaps parted by rules."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine = Typewriter(sheet)
    machine.leading = 4.23
    depth, right = span(rng, 22, 62), chance(rng, 0.6)
    size = min(depth, 50) * span(rng, 0.6, 0.88)
    rule, margin = pick(rng, (0, 0, 0.2, 1.5)), span(rng, 10, 30)
    bare, drawn, top = chance(rng, 0.2), 0, y
    while y + depth < h - 4:
        if not (bare and drawn and chance(rng, 0.6)):
            a = w - margin - size - span(rng, 0, 8) if right else margin + span(rng, 0, 6)
            picture(sheet, (a, y + 2, a + size, y + 2 + size * span(rng, 0.7, 1.1)))
            drawn += 1
        x = margin if right else margin + size + span(rng, 8, 25)
        machine.put(x, y + 6, number(rng)[:10])
        inset, drop = (12 * machine.pitch, 0.0) if right else (0.0, machine.leading)
        room = w - 2 * margin - size - inset - 14
        _note(sheet, machine, x + inset, y + 6 + drop, room, y + depth)
        if rule:
            sheet.rule(4, y + depth, w - 4, y + depth, 0.25, dashes=0 if rule < 1 else rule)
        y += depth
        if chance(rng, 0.08):
            break
    if not drawn:
        picture(sheet, (margin, y + 3, margin + size, min(h - 2, y + 3 + size)))
    sheet.mark("table", 6, top, w - 6, max(y, top + 5))


def _cells(sheet: Sheet, y: float, picture: Picture) -> None:
    """Ruled cells of a grid, each with a picture and a line or two of notes below it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    ink, pen = grey_of(rng), span(rng, 0.2, 0.5)
    x0, x1, low = span(rng, 5, 20), w - span(rng, 5, 20), h - span(rng, 6, 40)
    across, down = whole(rng, 1, 3), whole(rng, 1, 4)
    wide, tall = (x1 - x0) / across, (low - y) / down
    tools: Tools = (Print(sheet, "sans", 7.5), Typewriter(sheet), Hand(sheet, size=1.7))
    put, letter = writer_of(pick(rng, tools))
    for row in range(down):
        for column in range(across):
            a, b = x0 + column * wide, y + row * tall
            sheet.frame(a, b, a + wide, b + tall, pen, ink)
            size = min(wide * 0.86, tall * 0.72)
            left = a + (wide - size) * span(rng, 0.2, 0.8)
            if not chance(rng, 0.1) or row + column == 0:
                picture(sheet, (left, b + 2, left + size, b + 2 + size * span(rng, 0.7, 1.0)))
            for line in range(whole(rng, 1, 2)):
                text = phrase(rng, language(rng), 1, 4)[: int((wide - 4) / letter)]
                put(a + 2, b + tall - 2 - line * 4.4, text)
    sheet.mark("table", x0, y, x1, low)


def _table_with(sheet: Sheet, y: float, picture: Picture) -> None:
    """A picture over or under a table that describes it, or beside it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    size = span(rng, 6.5, 9)
    tools: Tools = (Print(sheet, "sans", size), Typewriter(sheet), Hand(sheet, size=1.9))
    put, letter = writer_of(pick(rng, tools))
    row, rules = span(rng, 5.5, 9), pick(rng, ("all", "all", "rows", "frame"))
    if chance(rng, 0.25):
        x = w * span(rng, 0.45, 0.65)
        picture(sheet, (10, y + 3, x - 5, min(h - 10, y + (x - 15) * span(rng, 0.6, 1.3))))
        table(sheet, put, letter, x, y + 3, w - 8, h - 10, row=row, rules=rules)
        return
    split = y + (h - y) * span(rng, 0.35, 0.7)
    areas = [(y, split), (split + 6, h - 10)]
    if chance(rng, 0.35):
        areas.reverse()
    (a, b), inset = areas[0], span(rng, 4, 40)
    picture(sheet, (10 + inset, a + 3, w - 10 - inset, b - 3))
    if chance(rng, 0.6):
        sheet.frame(10, a, w - 10, b, 0.3)
    top, low = areas[1]
    table(sheet, put, letter, 10, top, w - 10, low, row=row, rules=rules)


def _legend(sheet: Sheet, box: Box) -> None:
    """A ruled legend: a patterned box and what it stands for, row by row."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    tools: Tools = (Print(sheet, "sans", 7.5), Hand(sheet, size=1.7), Typewriter(sheet))
    put, letter = writer_of(pick(rng, tools))
    row, ink = span(rng, 6, 10), grey_of(rng)
    split, y = x0 + min(18.0, (x1 - x0) * 0.25), y0
    while y + row <= y1:
        sheet.rule(x0, y, x1, y, 0.25, ink)
        grey = pick(rng, (255, 235, 190, 140, 60))
        sheet.frame(x0 + 2, y + 1.2, split - 2, y + row - 1.2, 0.25, fill=(grey, grey, grey))
        for x in range(whole(rng, 0, 6)):
            sheet.rule(x0 + 3 + x * 2, y + row - 1.5, x0 + 4 + x * 2, y + 1.5, 0.2)
        put(split + 2, y + row * 0.7, cell(rng, language(rng))[: int((x1 - split - 3) / letter)])
        y += row
    sheet.frame(x0, y0, x1, y, 0.3, ink)
    sheet.rule(split, y0, split, y, 0.25, ink)
    sheet.mark("table", x0, y0, x1, y)


def _title_block(sheet: Sheet, x1: float, y1: float) -> None:
    """The ruled block in a plan's corner: object, author, scale, date, sheet."""
    rng = sheet.rng
    wide, row, ink = span(rng, 60, 120), span(rng, 6, 10), grey_of(rng)
    face = Print(sheet, "sans", span(rng, 5.5, 8))
    rows = whole(rng, 2, 5)
    x0, y0 = x1 - wide, y1 - rows * row
    sheet.frame(x0, y0, x1, y1, 0.6, ink, (255, 255, 255))
    for i in range(rows):
        edges = columns_of(rng, x0, x1, whole(rng, 1, 4))
        for a, b in zip(edges, edges[1:], strict=False):
            sheet.frame(a, y0 + i * row, b, y0 + (i + 1) * row, 0.25, ink)
            text = pick(rng, (pick(rng, NAMES), f"1:{whole(rng, 1, 50)}0", phrase(rng, "cs", 1, 3)))
            face.put(a + 1.2, y0 + (i + 0.7) * row, text[: int((b - a) / face.size * 1.8)])
    sheet.mark("table", x0, y0, x1, y1)


def _framed_plan(sheet: Sheet) -> None:
    """A plan with a title block, a legend or both, in a frame that holds them together."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    edge = span(rng, 6, 15)
    kind = rng.random()
    low = h - edge
    if chance(rng, 0.3):
        zones(sheet, edge)
    elif chance(rng, 0.6):
        sheet.frame(edge, edge, w - edge, low, span(rng, 0.3, 0.8))
    if kind < 0.6:
        wide = w * span(rng, 0.3, 0.6)
        tall = min((h - 2 * edge) * span(rng, 0.2, 0.4), 90)
        a = pick(rng, (edge + 4, w - edge - 4 - wide))
        _legend(sheet, (a, low - 4 - tall, a + wide, low - 4))
        low -= tall + 6
    if kind > 0.4:
        _title_block(sheet, w - edge, low)
        low -= 40
    kinds = (drawing, drawing, machine_figure, part_views, part_views, town_plan, tinted_map)
    pick(rng, kinds)(sheet, (edge + 5, edge + 5, w - edge - 5, max(edge + 45, low - 6)))


def _sketches_on_paper(sheet: Sheet, box: Box) -> None:
    """One or two sketches on other paper, glued to the card."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    count = whole(rng, 1, 2)
    step = (x1 - x0) / count
    for i in range(count):
        low = max(y0 + 20, y0 + (y1 - y0) * span(rng, 0.6, 1))
        part = (x0 + i * step, y0 + span(rng, 0, 5), x0 + (i + span(rng, 0.6, 0.95)) * step, low)
        pasted_paper(sheet, part)
        inner = (part[0] + 4, part[1] + 4, part[2] - 4, part[3] - 4)
        pick(rng, (drawing, drawn_find, sketched_view))(sheet, inner)


def draw_card(sheet: Sheet) -> None:
    """Drawings under a card's head, beside records, in a grid, or with a tabular legend."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    kind = rng.random()
    if chance(rng, 0.2):
        _framed_plan(sheet)
        return
    if kind < 0.2:
        picture = pick(rng, (drawing, drawing, *CHARTS))
        _table_with(sheet, span(rng, 8, 25), picture)
        return
    y = _head(sheet)
    if kind < 0.28:
        _cells(sheet, y + 5, a_find)
        return
    if kind < 0.42:
        records(sheet, y + 6, a_find)
        return
    if chance(rng, 0.6):
        y = _text(sheet, y, 0.45)
    elif kind > 0.85:
        y -= span(rng, 0, 25)  # the drawing was glued over part of the head
    if h - y < 40:
        y = h - 45
    low, left = h - span(rng, 6, 30), span(rng, 6, 50)
    right = min(w - 6, left + span(rng, 0.35, 1.0) * (w - left))
    box = (left, y + 7, right, max(y + 30, y + (low - y) * span(rng, 0.5, 1)))
    if kind < 0.56:
        row_of(sheet, box, a_find)
    elif kind < 0.62:
        column_of(sheet, box, a_find)
    elif kind < 0.68:
        strewn(sheet, box, a_find)
    elif kind < 0.74:
        _sketches_on_paper(sheet, box)
    elif kind < 0.78:
        ornaments(sheet, box)
    else:
        drawing(sheet, box)


def _prints_on_card(sheet: Sheet, y: float) -> None:
    """One to four glued photographs below the head, some with a typed line under them."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    room = h - y - 8
    count = pick(rng, (1, 1, 1, 2, 2, 4))
    across = 1 if count == 1 or room > w * 1.1 and count == 2 else 2
    down = -(-count // across)
    wide = w * span(rng, 0.3, 0.85) / across
    tall = min((room - 6 * down) / down, wide * span(rng, 0.6, 1.25))
    x0 = span(rng, 5, max(6.0, w - wide * across - 6))
    machine = Typewriter(sheet) if chance(rng, 0.5) else None
    for i in range(count):
        x, top = x0 + i % across * wide, y + 5 + i // across * (tall + 7)
        place_photograph(sheet, (x, top, x + wide - 4, top + tall - 2))
        if machine is not None and top + tall + 4 < h:
            text = number(rng)[:8] + " " + phrase(rng, language(rng), 1, 4)
            machine.put(x, top + tall + 3, text[: machine.room(wide - 6)])


def _museum_card(sheet: Sheet, y: float) -> None:
    """Photographed finds at one side, typed measures beside them, drawings of the same below."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    room = h - y
    split = y + room * span(rng, 0.35, 0.6)
    wide = w * span(rng, 0.2, 0.4)
    left = span(rng, 4, 14)
    place = pick(rng, (strewn, column_of, row_of))
    place(sheet, (left, y + 4, left + wide, split), cut_out)
    machine = Typewriter(sheet)
    machine.leading = 4.23
    x = left + wide + span(rng, 4, 20)
    _note(sheet, machine, x, y + 8, w - x - 10, split)
    if chance(rng, 0.6):
        area = (left + span(rng, 0, 40), split + 4, w - span(rng, 8, 60), h - 5)
        pick(rng, (row_of, strewn))(sheet, area, a_find)


def photo_card(sheet: Sheet) -> None:
    """Photographs or cut-out finds under a card's head, in a grid or beside tabular records."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    if chance(rng, 0.4):
        identity(sheet)
        return
    kind = rng.random()
    if kind < 0.12:
        many = contact_prints if chance(rng, 0.12) else place_photograph
        _table_with(sheet, span(rng, 6, 30), many)
        return
    if kind < 0.2:
        records(sheet, span(rng, 5, 20), _a_print)
        return
    y = _head(sheet)
    if kind < 0.27:
        _cells(sheet, y + 5, pick(rng, (place_photograph, place_photograph, cut_out)))
        return
    if kind < 0.42:
        records(sheet, y + 6, _a_print)
        return
    if kind > 0.84:
        _museum_card(sheet, min(y, h * 0.6))
        return
    if chance(rng, 0.6):
        y = _text(sheet, y, 0.4)
    y = min(y, h * 0.68)
    area = (span(rng, 6, 40), y + 6, w - span(rng, 6, 60), h - span(rng, 5, 25))
    if kind < 0.52:
        side = min((h - y) * 0.9, w * 0.45)
        row_of(sheet, (area[0], y + 6, area[2], y + 6 + side), cut_out)
    elif kind < 0.6:
        column_of(sheet, area, cut_out)
    elif kind < 0.65:
        strewn(sheet, (area[0], area[1], area[0] + w * span(rng, 0.3, 0.6), area[3]), cut_out)
    else:
        _prints_on_card(sheet, y)
    if chance(rng, 0.2):
        size = min((h - y) * 0.6, 50)
        x = span(rng, w * 0.4, w - size)
        a_find(sheet, (x, y + 8, x + size * 0.6, y + 8 + size))
