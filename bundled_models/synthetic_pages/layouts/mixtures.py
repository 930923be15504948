"""Layouts of pages that mix print, typing and handwriting: cuttings, letterheads, form letters."""

from __future__ import annotations

from PIL import Image

from bundled_models.synthetic_pages.layouts.forms import grey_of, stamp
from bundled_models.synthetic_pages.layouts.memos import memo
from bundled_models.synthetic_pages.layouts.stamps import office_marks
from bundled_models.synthetic_pages.layouts.texts import printed_column, typed_body
from bundled_models.synthetic_pages.sheet import BLACK, Colour, Sheet
from bundled_models.synthetic_pages.words import (
    NAMES,
    PLACES,
    chance,
    date,
    language,
    measure,
    number,
    phrase,
    pick,
    span,
    whole,
    words,
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter


def cutting(sheet: Sheet, x: float, y: float, width: float, height: float) -> None:
    """A newspaper cutting glued on: grey paper with columns of small print."""
    rng, s = sheet.rng, sheet.scale
    tone = whole(rng, 170, 245)
    paper = Sheet(rng, width, height, s, sheet.image.mode == "RGB")
    paper.draw.rectangle(
        (0, 0, *paper.image.size), fill=paper.ink((tone, max(0, tone - 4), max(0, tone - 14)))
    )
    face = Print(
        paper, pick(rng, ("serif", "serif", "blackletter")), span(rng, 6.5, 9), leading=1.12
    )
    count = 1 if width < 75 else whole(rng, 1, 2)
    column = (width - 3 - 3 * (count - 1)) / count
    top = 5.0
    if chance(rng, 0.6):
        Print(paper, "serif_bold", span(rng, 9, 13)).put(
            width / 2, top + 1, phrase(rng, "cs", 1, 2).capitalize(), "m"
        )
        top += 6
    for i in range(count):
        printed_column(
            paper, face, 1.5 + i * (column + 3), top, column, height - 2, language(rng), heads=0.05
        )
    turn = rng.normal(0, 2.0)
    mask = Image.new("L", paper.image.size, 255).rotate(turn, expand=True)
    sheet.lay(paper.image.rotate(turn, Image.Resampling.BILINEAR, expand=True), x, y, mask)
    sheet.mark("print", x, y, x + width, y + height)


def slip(sheet: Sheet, x: float, y: float, width: float, height: float) -> None:
    """A typed slip glued on the sheet."""
    rng = sheet.rng
    tone = whole(rng, 225, 255)
    sheet.frame(x, y, x + width, y + height, 0, fill=(tone, tone, max(0, tone - 8)))
    sheet.rule(x, y + height, x + width, y + height, 0.3, (150, 150, 150))
    machine = Typewriter(sheet)
    machine.leading = 4.23
    typed_body(sheet, machine, x + 4, y + 7, width - 7, y + height - 4, lists=0.1)


def letterhead(sheet: Sheet) -> float:
    """An office's printed head; returns where it ends, mm."""
    rng, w = sheet.rng, sheet.width
    ink = pick(rng, (BLACK, BLACK, (40, 50, 120), (130, 40, 40), (60, 60, 60)))
    y, centred = span(rng, 9, 22), chance(rng, 0.5)
    x = w / 2 if centred else span(rng, 10, 25)
    if chance(rng, 0.15):
        _vignette(sheet, pick(rng, (w * 0.1, w * 0.42, w * 0.7)), y, ink)
        y += 24
    for i in range(whole(rng, 2, 4)):
        face = Print(
            sheet,
            pick(rng, ("serif_bold", "sans_bold", "serif", "sans")),
            span(rng, 12, 20) if i == 0 else span(rng, 7, 11),
            ink,
        )
        text = (
            pick(
                rng,
                (
                    "OKRESNÍ NÁRODNÍ VÝBOR",
                    "MĚSTSKÉ MUSEUM",
                    "STÁTNÍ ARCHEOLOGICKÝ ÚSTAV",
                    "Museum královského města",
                    "Správní rada",
                ),
            )
            if i == 0
            else f"{phrase(rng, 'cs', 1, 3)} {pick(rng, PLACES)}, tel. {whole(rng, 100, 9999)}"
        )
        while face.width(text) > w * 0.8:
            text = text[:-2]
        face.put(x, y, text, "m" if centred else "l")
        y += face.size * 1.5
    if chance(rng, 0.5):
        sheet.rule(8, y, w - 8, y, 0.4, ink)
        y += 4
    return y


def _vignette(sheet: Sheet, x: float, y: float, ink: Colour) -> None:
    """An engraved view of a building, as old letterheads have: hatching with darker blocks."""
    rng = sheet.rng
    wide = span(rng, 25, 45)
    for line in range(24):
        cut = abs(line - 12) / 12 * span(rng, 0.1, 0.4) * wide
        sheet.rule(x + cut, y + line * 0.8, x + wide - cut, y + line * 0.8, 0.25, ink)
    for _ in range(whole(rng, 3, 8)):
        a, b = x + span(rng, 0.15, 0.7) * wide, y + span(rng, 1, 9)
        sheet.frame(a, b, a + span(rng, 2, 8), y + 17, 0.2, ink, ink)
    sheet.mark("drawing", x, y, x + wide, y + 19)


def _cuttings_with_notes(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """Cuttings and slips glued on a sheet, with notes in pen between and below."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue = language(rng)
    for _ in range(whole(rng, 1, 3)):
        width, height = span(rng, 45, min(w - 20, 120)), span(rng, 18, h * 0.4)
        if y + height > h * 0.75:
            break
        glue = cutting if chance(rng, 0.75) else slip
        glue(sheet, span(rng, 5, max(6, w - width - 8)), y, width, height)
        y += height + span(rng, 3, 12)
        if chance(rng, 0.5):
            note = words(rng, tongue, whole(rng, 3, 16))
            y = hand.paragraph(left, y + hand.leading, room, note, bottom=h - 6)
    x, note = pick(rng, (left, w * 0.35)), words(rng, tongue, whole(rng, 15, 80))
    hand.paragraph(x, y + hand.leading, room * 0.65, note, bottom=h - 8)


def _written_letter(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """A letter in pen under an office's printed head."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    y = letterhead(sheet) + span(rng, 8, 20)
    body = words(rng, language(rng), whole(rng, 25, 140))
    hand.paragraph(left, y, room, body, bottom=h - 25, indent=15)
    hand.signature(w * 0.5, h - 14, 50)


def _typed_letter(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """A typed letter under a printed head, signed and stamped."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine = Typewriter(sheet)
    y = letterhead(sheet) + span(rng, 8, 20)
    y = typed_body(sheet, machine, left, y, room, y + (h - y) * span(rng, 0.2, 0.7), lists=0)
    hand.signature(w * 0.5, min(h - 8, y + 10), 45)
    stamp(sheet, w * span(rng, 0.3, 0.55), min(h - 35, y))
    if chance(rng, 0.5):
        note = words(rng, language(rng), whole(rng, 4, 25))
        hand.paragraph(left, min(h - 20, y + 28), room * 0.6, note, bottom=h - 8)


def _typed_with_notes(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """A typed text with much added in pen, below it and between its lines."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, machine = language(rng), Typewriter(sheet)
    y = typed_body(sheet, machine, left, y + 8, room, y + (h - y) * span(rng, 0.2, 0.55))
    hand.paragraph(left, y + 8, room, words(rng, tongue, whole(rng, 15, 90)), bottom=h - 10)
    for _ in range(whole(rng, 0, 5)):
        hand.put(span(rng, left, w * 0.6), span(rng, 10, y), phrase(rng, tongue, 1, 3), 0.8)


def _form_letter(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """Printed lines with typed and written answers."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, machine = language(rng), Typewriter(sheet)
    tools: tuple[Typewriter | Hand, ...] = (machine, hand)
    face = Print(sheet, pick(rng, ("serif", "sans")), span(rng, 9, 12), grey_of(rng))
    y = letterhead(sheet) + 10
    while y < h - 30:
        y = face.paragraph(left, y, room, words(rng, tongue, whole(rng, 4, 30)), justify=False)
        pick(rng, tools).put(left + span(rng, 0, 30), y + 3, phrase(rng, tongue, 1, 5))
        y += 11
    hand.signature(w * 0.55, h - 14, 45)


def _pasted_strip(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """A registry's sheet: typed place and source, between them a strip cut out of a ledger."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine = Typewriter(sheet)
    machine.put(left, y, " ".join(pick(rng, PLACES).upper()))
    machine.lines(w * span(rng, 0.42, 0.55), y, [f"obec {pick(rng, PLACES)}", "okr. Kladno"])
    if chance(rng, 0.6):
        hand.put(w * 0.72, y, number(rng))
    x0, x1, top = span(rng, 2, 14), w - span(rng, 2, 20), span(rng, 0.25, 0.5) * h
    low = top + span(rng, 30, 75)
    edges = (x0, x0 + (x1 - x0) * span(rng, 0.14, 0.25), x0 + (x1 - x0) * span(rng, 0.7, 0.85), x1)
    writer = Hand(sheet, size=span(rng, 1.7, 2.6))
    for a, b in zip(edges, edges[1:], strict=False):
        sheet.rule(a, top, a, low, 0.4)
        tokens = words(rng, "cs", int(span(rng, 0.3, 1) * (b - a) * (low - top) / 90) + 1)
        writer.paragraph(a + 1, top + 5, b - a - 2, tokens, bottom=low - 2)
    for at in (top, low):
        if chance(rng, 0.7):
            sheet.rule(x0, at, x1, at, 0.4)
    foot = min(h - 12, low + span(rng, 15, 60))
    machine.put(left, foot, f"{pick(rng, 'VJKB')}.{pick(rng, NAMES)}: {phrase(rng, 'cs', 2, 4)}")
    machine.put(w * 0.72, foot + 3, f"/{number(rng)}/")


def _pasted_note(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """A typed address over a white note in pen that was glued on, answered in pen below."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine = Typewriter(sheet)
    stamp(sheet, w * span(rng, 0.3, 0.55), span(rng, 3, 16))
    rows = [phrase(rng, "cs", 1, 5)[: machine.room(room)] for _ in range(whole(rng, 2, 6))]
    y = machine.lines(left, span(rng, 0.12, 0.2) * h, rows) + 5
    width, height = span(rng, 0.35, 0.75) * w, span(rng, 0.2, 0.42) * h
    x = span(rng, 8, max(9, w - width - 8))
    tone = whole(rng, 236, 255)
    sheet.frame(x, y, x + width, y + height, 0.2, (170, 170, 170), (tone, tone, tone))
    writer, inset = Hand(sheet, size=span(rng, 1.8, 3)), span(rng, 4, 20)
    tokens = words(rng, language(rng), whole(rng, 10, 45))
    writer.paragraph(x + inset, y + 8, width - inset - 4, tokens, bottom=y + height - 5)
    low = min(h - 18, y + height + span(rng, 10, 30))
    hand.paragraph(left, low, room, words(rng, "cs", whole(rng, 3, 30)), bottom=h - 8)


def _typed_over_lists(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """A typed or printed report on the upper half, measures in pen in columns below it."""
    rng, h = sheet.rng, sheet.height
    middle = y + (h - y) * span(rng, 0.3, 0.6)
    if chance(rng, 0.6):
        end = typed_body(sheet, Typewriter(sheet), left, y + 8, room, middle)
    else:
        face = Print(sheet, pick(rng, ("serif", "sans")), span(rng, 8, 11))
        end = printed_column(sheet, face, left, y + 8, room, middle, language(rng))
    columns = whole(rng, 1, 3)
    for column in range(columns):
        at, x = end + 10, left + column * room / columns
        hand.put(x, at, pick(rng, PLACES))
        for _ in range(whole(rng, 3, 12)):
            at += hand.leading * 0.8
            if at < h - 6:
                hand.put(x, at, f"{measure(rng)}  {measure(rng)}")


def _clipped(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """One or two dated cuttings on the left, a draft in pen beside them and below."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    hand.put(
        w * span(rng, 0.45, 0.6), span(rng, 8, 14), f"{pick(rng, PLACES)} ({pick(rng, PLACES)})"
    )
    if chance(rng, 0.7):
        stamp(sheet, w * span(rng, 0.5, 0.6), span(rng, 16, 24))
    y, width = span(rng, 24, 40), span(rng, 48, 80)
    top = y
    for _ in range(whole(rng, 1, 2)):
        label = Print(sheet, "sans", span(rng, 8, 11), (70, 70, 75))
        label.put(left + 4, y, pick(rng, ("NÁRODNÍ POLITIKA, PRAHA", "SEVEROČESKÝ DENÍK")))
        Print(sheet, "sans", 12, (70, 70, 75)).put(left + 8, y + 7, date(rng))
        height = span(rng, 22, 60)
        cutting(sheet, left, y + 10, width, height)
        y += height + span(rng, 18, 34)
    beside = left + width * span(rng, 0.5, 1.05)
    y = y if chance(rng, 0.5) else max(y - 25, top + 50)
    for _ in range(3):
        tokens = words(rng, "cs", whole(rng, 8, 35))
        y = hand.paragraph(beside, y, w - beside - 5, tokens, bottom=h - 10, strikes=0.12)


def _scrawled_memo(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """A typed memorandum that offices wrote over: notes all round, rings, strokes, stamps."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    end = memo(sheet, Typewriter(sheet))
    inks: tuple[Colour, ...] = (BLACK, BLACK, (40, 50, 130), (90, 90, 95), (150, 50, 50))
    for _ in range(whole(rng, 8, 16)):
        pen = Hand(sheet, size=span(rng, 1.8, 4.5), colour=pick(rng, inks))
        pen.climb = rng.normal(0, 0.25)
        x, at = span(rng, 2, w * 0.7), span(rng, 8, h - 6)
        kind = rng.random()
        if kind < 0.5:
            pen.paragraph(
                x, at, w * 0.35, words(rng, language(rng), whole(rng, 2, 9)), bottom=h - 3
            )
        elif kind < 0.7:
            pen.signature(x, at, span(rng, 12, 45))
        elif kind < 0.85:
            pen.strike(x, at, x + span(rng, 10, 50))
        else:
            box = tuple(c * sheet.scale for c in (x, at - 6, x + span(rng, 12, 40), at + 4))
            width = max(1, round(0.5 * sheet.scale))
            sheet.draw.ellipse(box, outline=sheet.ink(pen.colour), width=width)
    if end < h - 40:
        hand.paragraph(left, end + 10, room, words(rng, language(rng), whole(rng, 10, 60)),
                       bottom=h - 8)  # fmt: skip
    office_marks(sheet, 2.0)


def _noted_letter(sheet: Sheet, hand: Hand, left: float, room: float, y: float) -> None:
    """A typed letter with an answer drafted in pen down its margin and across its foot."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    wide = span(rng, 35, 60)
    low = y + (h - y) * span(rng, 0.3, 0.65)
    y = typed_body(
        sheet, Typewriter(sheet), left + wide, y + 10, w - left - wide - 12, low, lists=0
    )
    hand.size = min(hand.size, 2.4)
    note = words(rng, language(rng), whole(rng, 15, 50))
    hand.paragraph(4, span(rng, 25, 60), left + wide - 8, note, bottom=y)
    tokens = words(rng, language(rng), whole(rng, 20, 90))
    hand.paragraph(left, y + 8, room, tokens, bottom=h - 14, strikes=pick(rng, (0.0, 0.1)))
    hand.signature(w * 0.55, h - 10, 40)


def _remark(sheet: Sheet) -> None:
    """A large slanting remark in pencil across a free spot."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    pen = Hand(
        sheet,
        size=span(rng, 4, 7),
        colour=pick(rng, ((120, 120, 125), (150, 60, 60), (60, 70, 150))),
    )
    pen.climb = span(rng, -0.5, 0.5)
    pen.put(w * span(rng, 0.03, 0.3), h * span(rng, 0.4, 0.75), phrase(rng, "cs", 1, 2))


_KINDS = (
    *(_cuttings_with_notes,) * 4,
    *(_clipped,) * 3,
    *(_written_letter,) * 4,
    *(_typed_letter,) * 5,
    *(_typed_with_notes,) * 4,
    *(_form_letter,) * 2,
    *(_pasted_strip,) * 2,
    *(_pasted_note,) * 2,
    *(_typed_over_lists,) * 2,
    *(_scrawled_memo,) * 4,
    *(_noted_letter,) * 3,
)


def text_mixed(sheet: Sheet) -> None:
    """Print, typing and handwriting together on one page."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    left, room = span(rng, 8, 30), w - span(rng, 35, 50)
    pick(rng, _KINDS)(sheet, Hand(sheet), left, room, span(rng, 12, 30))
    if chance(rng, 0.12):
        _remark(sheet)
    if chance(rng, 0.35):
        stamp(sheet, span(rng, 5, max(6, w - 80)), pick(rng, (span(rng, 3, 15), h - 35)))
