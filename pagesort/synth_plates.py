"""Layouts of pages with drawings or photographs, free or in a tabular frame."""

from __future__ import annotations

from collections.abc import Callable

from pagesort.synth_drawings import drawing, pot, tool
from pagesort.synth_forms import card_head, table, writer_of
from pagesort.synth_hand import Hand
from pagesort.synth_ink import Print, Typewriter, fill_lines
from pagesort.synth_maps import grid_paper
from pagesort.synth_photographs import cut_out, place_photograph
from pagesort.synth_sheet import Box, Sheet
from pagesort.synth_tables import text_in_card
from pagesort.synth_texts import typed_body
from pagesort.synth_words import (
    NAMES,
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

Picture = Callable[[Sheet, Box], None]


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


def draw_page(sheet: Sheet) -> None:
    """A plan, a plate of finds, a sketch, with or without captions and notes."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
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
    if kind < 0.5:
        bottom = h - span(rng, 12, 60)
        box = (span(rng, 8, 35), y, w - span(rng, 8, 35), max(y + 25, bottom))
        drawing(sheet, box)
        if chance(rng, 0.6) and box[3] < h - 16:
            caption(sheet, span(rng, 12, 50), box[3] + 10, w - 60)
    elif kind < 0.7:
        _plate_of_finds(sheet, y)
    elif kind < 0.82:
        _notes_with_drawing(sheet, y)
    else:
        _small_drawing(sheet, y)
    if chance(rng, 0.2):
        Hand(sheet).put(w - 60, h - 10, f"{pick(rng, NAMES)} {date(rng)}")


def _plate_of_finds(sheet: Sheet, y: float) -> None:
    """Pots and tools in rows, numbered."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    across, face = whole(rng, 2, 5), Print(sheet, "sans", 8)
    cell = (w - 24) / across
    for row in range(int((h - y - 15) / cell)):
        for column in range(across):
            if chance(rng, 0.15):
                continue
            a, b, size = 12 + column * cell, y + row * cell, cell * span(rng, 0.5, 0.85)
            box = (a, b, a + size, b + size * span(rng, 0.5, 0.9))
            pick(rng, (pot, pot, tool))(sheet, box)
            face.put(a + size * 0.5, b + cell * 0.93, str(row * across + column + 1), "m")


def _notes_with_drawing(sheet: Sheet, y: float) -> None:
    """Some lines of text over a drawing."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    low = y + (h - y) * span(rng, 0.1, 0.35)
    if chance(rng, 0.5):
        low = typed_body(sheet, Typewriter(sheet), 18, y, w - 40, low)
    else:
        note = words(rng, language(rng), whole(rng, 8, 40))
        low = Hand(sheet).paragraph(15, y, w - 30, note, bottom=low)
    bottom = max(low + 40, h - span(rng, 10, 60))
    drawing(sheet, (span(rng, 10, 40), low + 8, w - span(rng, 10, 40), bottom))


def _small_drawing(sheet: Sheet, y: float) -> None:
    """One small drawing on a large sheet, with a note in pen."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    a, b = span(rng, 0.05, 0.5) * w, y + span(rng, 0, 0.4) * h
    right, low = a + span(rng, 0.3, 0.48) * w, min(h - 10, b + span(rng, 0.2, 0.45) * h)
    drawing(sheet, (a, b, right, low))
    note = words(rng, language(rng), whole(rng, 1, 25))
    at = min(h - 12, b + 0.42 * h)
    Hand(sheet).paragraph(span(rng, 8, w * 0.4), at, w * 0.5, note, bottom=h - 6)


def _little_text(sheet: Sheet, y: float, share: float) -> float:
    rng = sheet.rng
    writer = Typewriter(sheet) if chance(rng, 0.8) else Hand(sheet, size=2.2)
    return text_in_card(sheet, writer, y, share)


def draw_card(sheet: Sheet) -> None:
    """Drawings under a card's head, beside records, or with a tabular legend."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    kind = rng.random()
    filler = Typewriter(sheet) if chance(rng, 0.75) else Hand(sheet, size=2.2)
    if kind < 0.8:
        y = card_head(sheet, writer_of(filler)[0], span(rng, 0.2, 1.0))
        if chance(rng, 0.6):
            y = max(y, _little_text(sheet, y, 0.45))
        if kind < 0.2:
            _records(sheet, y + 6, lambda s, box: pick(rng, (pot, tool))(s, box))
        elif h - y > 40:
            low = h - span(rng, 6, 30)
            left = span(rng, 6, 50)
            box = (
                left,
                y + 7,
                min(w - 6, left + span(rng, 0.35, 1.0) * (w - left)),
                max(y + 30, y + (low - y) * span(rng, 0.5, 1)),
            )
            if chance(rng, 0.35):
                _row_of(sheet, box, lambda s, b: pick(rng, (pot, tool, tool))(s, b))
            else:
                drawing(sheet, box)
        return
    y = span(rng, 8, 25)
    face = Print(sheet, "sans", span(rng, 6, 9))
    split = h * span(rng, 0.5, 0.75)
    drawing(sheet, (12, y, w - 12, split - 8))
    kind_of = writer_of(pick(rng, (face, face, Typewriter(sheet), Hand(sheet, size=1.8))))
    table(
        sheet,
        kind_of[0],
        kind_of[1],
        span(rng, 8, 30),
        split + 3,
        w - span(rng, 8, 30),
        h - 10,
        row=span(rng, 5, 8),
        rules=pick(rng, ("all", "rows", "frame")),
    )


def _row_of(sheet: Sheet, box: Box, picture: Picture) -> None:
    """Several pictures side by side."""
    rng, count = sheet.rng, whole(sheet.rng, 2, 6)
    step = (box[2] - box[0]) / count
    for i in range(count):
        a, size = box[0] + i * step, step * span(rng, 0.5, 0.85)
        b = box[1] + span(rng, 0, 8)
        picture(sheet, (a, b, a + size, min(box[3], b + size * span(rng, 0.7, 1.6))))


def _records(sheet: Sheet, y: float, picture: Picture) -> None:
    """Typed records one under another, each with its picture beside it, perhaps parted by rules."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine = Typewriter(sheet)
    machine.leading = 4.23
    depth, right = span(rng, 18, 45), chance(rng, 0.6)
    rule, size = pick(rng, (0, 0, 0.2, 1.5)), span(rng, 0.5, 0.85)
    margin = span(rng, 10, 30)
    while y + depth < h - 4:
        a = w - margin - depth if right else margin
        picture(sheet, (a, y + 2, a + depth * size, y + 2 + depth * size * span(rng, 0.7, 1.1)))
        x = margin if right else margin + depth + 6
        machine.put(x, y + 6, number(rng)[:10])
        typed_body(
            sheet,
            machine,
            x + 12 * machine.pitch * right,
            y + 6 + machine.leading * (not right),
            w - 2 * margin - depth - 14 * machine.pitch * right - 6,
            y + depth - 6,
            lists=0,
        )
        if rule:
            sheet.rule(4, y + depth, w - 4, y + depth, 0.25, dashes=0 if rule < 1 else rule)
        y += depth
        if chance(rng, 0.08):
            break
    sheet.mark("table", 6, y - depth, w - 6, y)


def photo_page(sheet: Sheet) -> None:
    """One to four photographs with captions, free on the page or filling it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    kind = rng.random()
    if kind < 0.1:
        edge = span(rng, 0, 8)
        place_photograph(sheet, (edge, edge, w - edge, h - edge - pick(rng, (0, 0, 15))))
        return
    y = span(rng, 8, 35)
    if chance(rng, 0.4):
        if chance(rng, 0.5):
            y = caption(sheet, span(rng, 10, 40), y, w - 50) + 5
        else:
            face = Print(sheet, "serif", span(rng, 9, 12), leading=1.25)
            y = face.paragraph(20, y, w - 40, words(rng, language(rng), whole(rng, 10, 90))) + 5
    if kind < 0.25:
        with_drawing = (15.0, y, w - 15, y + (h - y) * 0.38)
        drawing(sheet, with_drawing)
        y = with_drawing[3] + 8
    grid = chance(rng, 0.25)
    count = whole(rng, 1, 3)
    width = w * span(rng, 0.4, 0.85)
    shape = span(rng, 0.55, 1.0)
    for _ in range(count):
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


def _photo_with_table(sheet: Sheet, y: float) -> None:
    """A photograph in a frame over, or under, a table that describes it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    split = y + (h - y) * span(rng, 0.4, 0.65)
    put, letter = writer_of(
        pick(
            rng, (Print(sheet, "sans", span(rng, 6.5, 9)), Typewriter(sheet), Hand(sheet, size=1.9))
        )
    )
    areas = [(y, split), (split + 6, h - 10)]
    if chance(rng, 0.4):
        areas.reverse()
    a, b = areas[0]
    inset = span(rng, 4, 40)
    place_photograph(sheet, (10 + inset, a + 3, w - 10 - inset, b - 3))
    if chance(rng, 0.6):
        sheet.frame(10, a, w - 10, b, 0.3)
    table(
        sheet,
        put,
        letter,
        10,
        areas[1][0],
        w - 10,
        areas[1][1],
        row=span(rng, 5.5, 9),
        rules=pick(rng, ("all", "all", "rows")),
    )


def photo_card(sheet: Sheet) -> None:
    """Photographs or cut-out finds under a card's head or beside tabular records."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    filler = Typewriter(sheet) if chance(rng, 0.75) else Hand(sheet, size=2.2)
    kind = rng.random()
    headless = chance(rng, 0.15)
    y = (
        span(rng, 6, 30)
        if headless
        else card_head(sheet, writer_of(filler)[0], span(rng, 0.2, 1.0))
    )
    if headless and kind > 0.5:
        _photo_with_table(sheet, y)
        return
    if kind < 0.3 or headless:
        _records(sheet, y + 6, cut_out if chance(rng, 0.75) else place_photograph)
        return
    if chance(rng, 0.65):
        y = max(y, _little_text(sheet, y, 0.4))
    room = h - y - 10
    if room < 25:
        room = h * 0.3
        y = h - room - 6
    if kind < 0.55:
        side = min(room * 0.9, w * 0.45)
        _row_of(sheet, (span(rng, 6, 30), y + 6, w - span(rng, 6, 80), y + 6 + side), cut_out)
    elif kind < 0.7:
        for _ in range(whole(rng, 1, 3)):
            size = min(room * 0.6, w * span(rng, 0.14, 0.3))
            a, b = span(rng, 8, w - size - 6), y + 6 + span(rng, 0, max(1, room - size - 6))
            cut_out(sheet, (a, b, a + size, b + size * span(rng, 0.7, 1.1)))
    else:
        width = w * span(rng, 0.25, 0.8)
        height = min(room - 4, width * span(rng, 0.6, 1.1))
        x = span(rng, 5, w - width - 4)
        place_photograph(sheet, (x, y + 6, x + width, y + 6 + height))
        if chance(rng, 0.4) and y + height + 16 < h:
            caption(sheet, x, y + height + 13, width)
    if chance(rng, 0.3):
        size = min(room * 0.7, 50)
        for _ in range(whole(rng, 1, 3)):
            a = span(rng, w * 0.3, w - size)
            pick(rng, (tool, pot))(sheet, (a, y + 8, a + size * 0.6, y + 8 + size))
