"""Layouts of text pages: printed, typewritten, handwritten, mixed."""

from __future__ import annotations

import numpy as np

from bundled_models.synthetic_pages.layouts.forms import stamp
from bundled_models.synthetic_pages.pictures.maps import grid_paper
from bundled_models.synthetic_pages.sheet import BLACK, Colour, Sheet
from bundled_models.synthetic_pages.words import (
    NAMES,
    PLACES,
    chance,
    date,
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
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter, fill_lines


def heading(rng: np.random.Generator, tongue: str) -> str:
    """A short title, now and then in capitals."""
    text = phrase(rng, tongue, 1, 5)
    return text.upper() if chance(rng, 0.4) else text[:1].upper() + text[1:]


def typed_body(
    sheet: Sheet,
    machine: Typewriter,
    x: float,
    y: float,
    room: float,
    bottom: float,
    *,
    lists: float = 0.2,
) -> float:
    """Typed paragraphs, headings and lists from baseline `y` to `bottom`; returns its end."""
    rng, tongue = sheet.rng, language(sheet.rng)
    letters = machine.room(room)
    indent = pick(rng, (0, 3, 5, 8))
    hang = pick(rng, (0, 0, 0, 4, 9))
    ragged = max(8, letters - whole(rng, 0, 6))
    gap = machine.leading * pick(rng, (0, 0, 0.5, 1))
    while y < bottom:
        roll = rng.random()
        if roll < 0.12:
            text = heading(rng, tongue)
            text = " ".join(text[: letters // 2]) if chance(rng, 0.4) else text[:letters]
            at = x + (max(0, letters - len(text)) / 2 * machine.pitch if chance(rng, 0.4) else 0)
            machine.put(at, y, text)
            if chance(rng, 0.6):
                machine.underline(at, y, len(text), chance(rng, 0.15))
            y += machine.leading * 1.5
            continue
        if roll < 0.12 + lists * 0.4:
            lines = [
                pick(rng, ("- ", f"{whole(rng, 1, 40)}. ", "a) ", number(rng) + "  "))
                + sentence(rng, tongue, 2, 7)
                for _ in range(whole(rng, 2, 6))
            ]
            lines = [line[:letters] for line in lines]
        else:
            lines = fill_lines(words(rng, tongue, whole(rng, 12, 90)), ragged - hang, indent)
            lines = [lines[0]] + [" " * hang + line for line in lines[1:]]
        lines = lines[: max(1, int((bottom - y) / machine.leading) + 1)]
        y = machine.lines(x, y, lines) + gap
    return y


def small_notes(sheet: Sheet, share: float) -> None:
    """A few pen marks, on `share` (0 to 1) of the pages, that leave a page what it is."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    if not chance(rng, share):
        return
    hand = Hand(sheet, colour=pick(rng, ((90, 90, 95), (40, 40, 110), BLACK)))
    hand.put(pick(rng, (w * 0.75, w * 0.1)), pick(rng, (span(rng, 6, 14), h - 8)), number(rng)[:8])


def printed_column(
    sheet: Sheet,
    face: Print,
    x: float,
    y: float,
    room: float,
    bottom: float,
    tongue: str,
    *,
    heads: float = 0.08,
    justify: bool = True,
) -> float:
    """Printed paragraphs with headings in one column; returns where it ended."""
    rng = sheet.rng
    bold = Print(
        sheet,
        pick(rng, ("serif_bold", "sans_bold")),
        face.size / 0.3528 * span(rng, 1.0, 1.3),
        face.colour,
    )
    indent = pick(rng, (0.0, 4.0))
    gap = 0.0 if indent else face.leading * pick(rng, (0.4, 1.0))
    while y < bottom:
        if chance(rng, heads):
            y += face.leading * 0.7
            if y > bottom:
                break
            text = heading(rng, tongue)
            while bold.width(text) > room and " " in text:
                text = text.rsplit(" ", 1)[0]
            centred = chance(rng, 0.4)
            bold.put(x + room / 2 if centred else x, y, text, "m" if centred else "l")
            y += face.leading * 1.4
            continue
        y = (
            face.paragraph(
                x,
                y,
                room,
                words(rng, tongue, whole(rng, 15, 110)),
                justify=justify,
                indent=indent,
                bottom=bottom,
            )
            + gap
        )
    return y


def text_print(sheet: Sheet) -> None:
    """A book's page, columns, a report, a title page, a poster."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, kind = language(rng), rng.random()
    left, top = span(rng, 8, 32), span(rng, 10, 35)
    room, bottom = w - left - span(rng, 8, 30), h - span(rng, 10, 40)
    role = pick(rng, ("serif", "serif", "serif", "sans", "blackletter"))
    face = Print(
        sheet,
        role,
        pick(rng, (8, 9, 9.5, 10, 11, 12, 14)),
        pick(rng, (BLACK, BLACK, (50, 50, 50), (90, 90, 90))),
        pick(rng, (1.12, 1.2, 1.3, 1.5, 1.8)),
    )
    if kind < 0.12:
        _printed_title(sheet, tongue)
    elif kind < 0.24:
        _poster(sheet, tongue)
    elif kind < 0.34:
        _verses(sheet, face, tongue)
    elif kind < 0.58:
        _printed_columns(sheet, role, left, top, room, bottom, tongue)
    else:
        if chance(rng, 0.25):
            bottom = top + (h - top) * span(rng, 0.1, 0.8)
        printed_column(
            sheet,
            face,
            left,
            top,
            room,
            bottom,
            tongue,
            heads=pick(rng, (0, 0.05, 0.3)),
            justify=chance(rng, 0.8),
        )
    if chance(rng, 0.6):
        y = pick(rng, (h - 7, h - 7, top - 6))
        Print(sheet, "serif", 9).put(
            pick(rng, (w / 2, w - left)),
            max(5, y),
            pick(rng, ("— {} —", "{}", "{}")).format(whole(rng, 2, 400)),
            "m",
        )
    small_notes(sheet, 0.15)


def _printed_columns(
    sheet: Sheet, role: str, left: float, top: float, room: float, bottom: float, tongue: str
) -> None:
    """Two to four columns as in newspapers and journals, perhaps under one headline."""
    rng, w = sheet.rng, sheet.width
    count, gap = whole(rng, 2, 4 if w > 150 else 2), span(rng, 3, 8)
    column = (room - gap * (count - 1)) / count
    face = Print(sheet, role, pick(rng, (7, 8, 8.5, 9)), leading=pick(rng, (1.1, 1.15, 1.25)))
    if chance(rng, 0.2):  # the copy caught a part of the next column or page
        left -= span(rng, 0.4, 0.8) * column
    if chance(rng, 0.3):
        headline = Print(sheet, "serif_bold", span(rng, 16, 34))
        headline.put(w / 2, top + 4, heading(rng, tongue)[:22], "m")
        top += 14
    for i in range(count):
        x = left + i * (column + gap)
        low = bottom if chance(rng, 0.8) else top + (bottom - top) * span(rng, 0.2, 0.9)
        printed_column(sheet, face, x, top, column, low, tongue, heads=span(rng, 0, 0.2))
        if i and chance(rng, 0.4):
            sheet.rule(x - gap / 2, top, x - gap / 2, bottom, 0.2)


def _printed_title(sheet: Sheet, tongue: str) -> None:
    rng, w, h = sheet.rng, sheet.width, sheet.height
    y = span(rng, 0.1, 0.35) * h
    for _ in range(whole(rng, 2, 7)):
        face = Print(
            sheet,
            pick(rng, ("serif", "serif_bold", "sans", "sans_bold", "blackletter")),
            pick(rng, (9, 11, 14, 18, 24, 32)),
        )
        text = heading(rng, tongue)
        while face.width(text) > w - 16 and len(text) > 4:
            text = text[:-2]
        face.put(w / 2, y, text, "m")
        y += face.size * span(rng, 1.5, 3.5)
        if chance(rng, 0.2):
            sheet.rule(w * 0.4, y, w * 0.6, y, 0.4)
            y += 8
    Print(sheet, "serif", 10).put(
        w / 2, h - span(rng, 12, 40), f"{pick(rng, PLACES)} {whole(rng, 1880, 2005)}", "m"
    )


def _poster(sheet: Sheet, tongue: str) -> None:
    """Blocks of bold print of various sizes, left or centred."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    y, centred = span(rng, 18, 50), chance(rng, 0.5)
    until = h * span(rng, 0.4, 0.92)
    while y < until:
        face = Print(
            sheet,
            pick(rng, ("sans_bold", "sans", "serif_bold", "serif")),
            pick(rng, (9, 9, 10, 12, 14, 20)),
            leading=1.25,
        )
        if face.size < 5 and not centred:
            y = face.paragraph(
                20, y, w - 40, words(rng, tongue, whole(rng, 3, 40)), justify=False
            ) + pick(rng, (0, 4, 8))
        else:
            text = heading(rng, tongue)
            while face.width(text) > w - 24 and len(text) > 4:
                text = text[:-2]
            face.put(w / 2 if centred else 20, y, text, "m" if centred else "l")
            y += face.leading * pick(rng, (1, 1, 1.8))


def _verses(sheet: Sheet, face: Print, tongue: str) -> None:
    """Short lines: verse, dialogue, a list of literature."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    left, y = span(rng, 15, 55), span(rng, 12, 40)
    hang = pick(rng, (0.0, 8.0))
    while y < h - 15:
        if hang:
            face.put(left - hang, y, f"{pick(rng, NAMES).upper()}, {pick(rng, 'ABCDEFJKLM')}.")
            y = face.paragraph(
                left,
                y + face.leading,
                w - left - 20,
                words(rng, tongue, whole(rng, 10, 35)),
                bottom=h - 12,
            )
        else:
            face.put(left, y, sentence(rng, tongue, 4, 7)[:60])
            y += face.leading * (1 if chance(rng, 0.85) else 2)


def ruled_paper(sheet: Sheet, share: float = 0.3) -> None:
    """Lines or squares printed on writing paper, sometimes."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    if not chance(rng, share):
        return
    tone: Colour = pick(rng, ((190, 200, 215), (205, 205, 205), (170, 170, 180), (215, 190, 190)))
    if chance(rng, 0.35):
        grid_paper(sheet, (0, 0, w, h), pick(rng, (4.0, 5.0)), tone, 0.1)
        return
    step = span(rng, 6.5, 10)
    for y in np.arange(span(rng, 10, 30), h - 5, step):
        sheet.rule(0, y, w, y, 0.2, tone)
    if chance(rng, 0.3):
        sheet.rule(25, 0, 25, h, 0.2, (210, 140, 140))


def text_hand(sheet: Sheet) -> None:
    """A letter, notes, a draft, an old deed, some words on a slip."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    ruled_paper(sheet, 0.22)
    roll = rng.random()
    if roll < 0.16 or (roll < 0.4 and w > h):
        _few_words(sheet)
    elif roll < 0.25:
        _address_page(sheet)
    elif roll < 0.35:
        _entries(sheet)
    else:
        _written_page(sheet)
    if chance(rng, 0.2):
        stamp(sheet, span(rng, 5, w * 0.55), pick(rng, (span(rng, 3, 20), h - 35)))


def _few_words(sheet: Sheet) -> None:
    """A few words in a large hand, far apart: a slip, an envelope, a divider, a caption."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    size = min(span(rng, 0.016, 0.05) * h, span(rng, 0.02, 0.045) * w)
    pen = size * span(rng, 0.06, 0.18)
    hand, tongue = Hand(sheet, size=size, pen=pen), language(rng)
    y, left = span(rng, 0.1, 0.45) * h, span(rng, 0.04, 0.4) * w
    step, drift = hand.leading * span(rng, 1.0, 2.2), span(rng, -0.06, 0.12) * w
    for _ in range(whole(rng, 1, 6)):
        if y > h - size:
            break
        room = max(4, int((w - left) / hand.letter))
        text = pick(rng, (phrase(rng, tongue, 1, 4), pick(rng, PLACES), pick(rng, NAMES)))
        text = text.capitalize() + pick(rng, ("", "", f" {whole(rng, 1880, 1990)}", " II", "."))
        width = hand.put(left, y, text[:room])
        if chance(rng, 0.25):
            rise = rng.normal(0, size * 0.2)
            sheet.line([(left, y + size * 0.7), (left + width, y + size * 0.7 + rise)], pen,
                       hand.colour)  # fmt: skip
        y += step * span(rng, 0.8, 1.4)
        left = max(2.0, left + drift + rng.normal(0, 0.04 * w))
    if chance(rng, 0.2):
        hand.signature(w * span(rng, 0.3, 0.6), min(h - size, y), span(rng, 25, 60))


def _address_page(sheet: Sheet) -> None:
    """A note of a few lines scattered over the sheet: to whom, of what, days, initials."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    hand, tongue = Hand(sheet, size=span(rng, 2.2, 4.2)), language(rng)
    second = Hand(sheet, colour=pick(rng, ((110, 110, 115), (60, 60, 140), BLACK)))
    if chance(rng, 0.6):
        stamp(sheet, span(rng, 3, 0.2 * w), span(rng, 3, 14))
    hand.put(w * span(rng, 0.45, 0.6), span(rng, 9, 18), f"{pick(rng, PLACES)} p. {date(rng)}")
    y, left = h * span(rng, 0.16, 0.3), w * span(rng, 0.2, 0.5)
    for _ in range(whole(rng, 2, 7)):
        if y > h - 18:
            break
        hand.put(left, y, phrase(rng, tongue, 1, 5)[: max(4, int((w - left) / hand.letter))])
        y += hand.leading * span(rng, 0.9, 2.0)
        left = max(4.0, left + rng.normal(0, 0.08 * w))
    for _ in range(whole(rng, 1, 4)):
        x = w * span(rng, 0.03, 0.7)
        if chance(rng, 0.5):
            second.put(x, h - span(rng, 5, 25), pick(rng, (date(rng), number(rng))))
        else:
            second.signature(x, h - span(rng, 8, 40), span(rng, 8, 35))


def _entries(sheet: Sheet) -> None:
    """A field diary: numbered entries, their text hanging, notes in another pen, rules between."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    hand, tongue = Hand(sheet, size=span(rng, 1.7, 2.8)), language(rng)
    pencil = Hand(sheet, size=hand.size * span(rng, 0.6, 0.9), colour=(125, 125, 128), pen=0.2)
    left, y, hang = span(rng, 2, 14), span(rng, 6, 16), span(rng, 14, 28)
    count, bottom = whole(rng, 1, 400), h - span(rng, 3, 40)
    while y < bottom:
        count += 1
        hand.put(left, y, f"{count}/{whole(rng, 20, 60)} -")
        y = hand.paragraph(
            left + hang, y, w - left - hang - 4, words(rng, tongue, whole(rng, 2, 30)),
            bottom=bottom,
        )  # fmt: skip
        if chance(rng, 0.4) and y < bottom:
            note = words(rng, tongue, whole(rng, 6, 40))
            y = pencil.paragraph(left + hang, y, w - left - hang - 8, note, bottom=bottom)
        if chance(rng, 0.5):
            at = y - hand.leading * 0.55
            sheet.line([(left, at), (w * span(rng, 0.5, 0.98), at + rng.normal(0, 0.8))],
                       hand.pen, hand.colour)  # fmt: skip
            y += hand.leading * 0.4
    if chance(rng, 0.2):
        x, y = w * span(rng, 0.05, 0.8), h * span(rng, 0.2, 0.85)
        sheet.line([(x, y), (x + 6, y + 1), (x + 6, y + 18), (x, y + 17), (x, y)], 0.35)


def _written_page(sheet: Sheet) -> None:
    """Paragraphs in one hand, perhaps under a printed box, with what was struck out or added."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, kind, hand = language(rng), rng.random(), Hand(sheet)
    if kind > 0.75:
        hand.leading, hand.flat = hand.size * span(rng, 2.0, 2.8), span(rng, 0.3, 0.8)
    left, y = span(rng, 4, 45), span(rng, 10, 40)
    room, bottom = w - left - span(rng, 0, 22), h - span(rng, 2, 35)
    if kind < 0.2:
        bottom = h * span(rng, 0.25, 0.6)
    if chance(rng, 0.12):
        y = _form_top(sheet, hand) + 8
    if chance(rng, 0.4):
        hand.put(w * span(rng, 0.4, 0.65), y, f"{pick(rng, PLACES)} {date(rng)}")
        y += hand.leading * 1.6
    strikes, indent = pick(rng, (0.0, 0.0, 0.05, 0.2)), pick(rng, (0.0, 12.0, 25.0))
    while y < bottom:
        top, tokens = y, words(rng, tongue, whole(rng, 8, 80))
        y = hand.paragraph(left, y, room, tokens, bottom=bottom, indent=indent, strikes=strikes)
        if chance(rng, 0.15):
            at = y - hand.leading * 0.6
            sheet.line([(left, at), (w * 0.6, at)], hand.pen, hand.colour)
        if chance(rng, 0.08):  # a bracket in the margin
            x = left + room + 1
            sheet.line([(x - 2, top), (x, top), (x, y), (x - 2, y)], hand.pen, hand.colour)
        y += hand.leading if chance(rng, 0.12) else 0.0
    if y < h - 18 and chance(rng, 0.6):
        hand.signature(w * 0.55, y + hand.leading * 0.5, 45)
    if chance(rng, 0.2):
        Hand(sheet).put(span(rng, 3, w * 0.5), span(rng, 6, 20), phrase(rng, tongue, 1, 4))


def _form_top(sheet: Sheet, hand: Hand) -> float:
    """A small printed box or a line of print over a handwritten report; returns where it ends."""
    rng, w = sheet.rng, sheet.width
    face = Print(sheet, pick(rng, ("serif_bold", "sans_bold", "serif")), span(rng, 7, 9))
    x, y, width = span(rng, 8, 20), span(rng, 8, 20), span(rng, 0.3, 0.45) * w
    for caption in ("Kat. obec", "Osada", "Okres")[: whole(rng, 1, 3)]:
        sheet.frame(x, y, x + width, y + 9, 0.3)
        face.put(x + 1.5, y + 5, caption)
        hand.put(x + 20, y + 6.5, pick(rng, PLACES))
        y += 9
    if chance(rng, 0.5):
        Print(sheet, "serif_bold", 14).put(
            w / 2, y + 12, pick(rng, ("Zpráva", "Hlášení", "Protokol")), "m"
        )
        y += 14
    return y
