"""Layouts of typewritten pages: reports, title pages, letters, slips, hanging lists, dialogues."""

from __future__ import annotations

from bundled_models.synthetic_pages.layouts.forms import stamp
from bundled_models.synthetic_pages.layouts.memos import memo, message, program, treatise
from bundled_models.synthetic_pages.layouts.stamps import office_marks
from bundled_models.synthetic_pages.layouts.texts import heading, small_notes, typed_body
from bundled_models.synthetic_pages.sheet import BLACK, Sheet
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

_ROLES = ("Vedoucí výzkumu", "Asistent", "Zaměřil", "Kreslil", "Fotografie", "Bearbeiter", "Autor")
_OFFICES = ("ředitel musea", "předseda", "vedoucí odboru", "Direktor", "konservátor", "tajemník")
_PENS = (BLACK, (40, 60, 150), (30, 40, 110), (90, 90, 95))


def text_typed(sheet: Sheet) -> None:
    """A page of one machine, with the few pen marks and stamps that such pages bear."""
    rng, roll, machine = sheet.rng, sheet.rng.random(), Typewriter(sheet)
    if roll < 0.1:
        _title(sheet, machine)
    elif roll < 0.2:
        _letter(sheet, machine)
    elif roll < 0.26 or (roll < 0.6 and sheet.width > sheet.height):
        _slip(sheet, machine)
    elif roll < 0.34:
        _hanging_list(sheet, machine)
    elif roll < 0.39:
        _dialogue(sheet, machine)
    elif roll < 0.58:
        memo(sheet, machine)
    elif roll < 0.63:
        message(sheet, machine)
    elif roll < 0.67 or roll > 0.95:
        program(sheet, machine)
    elif roll < 0.73:
        treatise(sheet, machine)
    else:
        _report(sheet, machine)
    small_notes(sheet, 0.35)
    office_marks(sheet, pick(rng, (0.0, 0.0, 0.5, 1.0, 1.6)))
    if chance(rng, 0.06):
        _date_stamp(sheet)


def _report(sheet: Sheet, machine: Typewriter) -> None:
    """Paragraphs down the page or down a part of it, numbered, dated, perhaps signed."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    left, right = span(rng, 8, 38), span(rng, 4, 25)
    top, low = span(rng, 12, 45), h - span(rng, 8, 40)
    if chance(rng, 0.25):
        machine.leading = pick(rng, (3.9, 4.23))  # a dense carbon copy on thin paper
    if chance(rng, 0.22):
        low = top + (h - top) * span(rng, 0.08, 0.6)
    if chance(rng, 0.5):
        mark = f"- {whole(rng, 2, 300)} -"
        machine.put(pick(rng, (w / 2 - 8, w / 2 - 8, w - 30)), top - span(rng, 6, 9), mark)
    if chance(rng, 0.2):
        machine.put(w - 65, top, date(rng))
        top += 2 * machine.leading
    end = typed_body(sheet, machine, left, top, w - left - right, low)
    if chance(rng, 0.15) and end < h - 15:
        _signed(sheet, machine, end + 4)
    if chance(rng, 0.12):  # pencilled remarks in the margin
        pen = Hand(sheet, size=span(rng, 1.6, 2.4), colour=pick(rng, _PENS))
        for _ in range(whole(rng, 1, 4)):
            pen.put(span(rng, 1, left * 0.4), span(rng, 30, h - 20), phrase(rng, "cs", 1, 1))


def _spaced(sheet: Sheet, machine: Typewriter, text: str, y: float, room: float) -> None:
    """A centred line, sometimes in spaced letters, sometimes underlined once or twice."""
    rng = sheet.rng
    if chance(rng, 0.4):
        text = " ".join(text.upper())
    text = text[: machine.room(room)]
    x = (sheet.width - len(text) * machine.pitch) / 2
    machine.put(x, y, text)
    if chance(rng, 0.35):
        machine.underline(x, y, len(text), chance(rng, 0.3))


def _title(sheet: Sheet, machine: Typewriter) -> None:
    """Few centred lines far apart, a stencilled name, a list of people, place, date, signature."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, y = language(rng), span(rng, 0.08, 0.35) * h
    gaps = pick(rng, ((1, 2, 3), (2, 3, 5), (3, 4, 6)))
    for _ in range(whole(rng, 1, 5)):
        _spaced(sheet, machine, heading(rng, tongue), y, w - 20)
        y += machine.leading * pick(rng, gaps)
        if chance(rng, 0.12):
            face = Print(sheet, "sans_bold", span(rng, 16, 32))
            text = f"{pick(rng, PLACES)} {whole(rng, 1, 400)}".upper()
            if face.width(text) < w - 16 and y < h * 0.6:
                face.put(w / 2, y + 4, text, "m")
                sheet.mark("type", w * 0.3, y - 4, w * 0.7, y + 5)  # a toy stamp set, no press
                y += face.size * 1.5 + machine.leading
    if chance(rng, 0.45) and y < h * 0.7:
        x = span(rng, 0.12, 0.4) * w
        y += machine.leading * whole(rng, 1, 5)
        machine.put(x, y, "Pracovní team:")
        machine.underline(x, y, 14)
        rows = [
            f"{pick(rng, _ROLES)}: {pick(rng, 'ABDHJKMV')}. {pick(rng, NAMES)}"
            for _ in range(whole(rng, 2, 7))
        ]
        y = machine.lines(x, y + 1.6 * machine.leading, rows)
    if chance(rng, 0.6):
        foot = max(y + 6, h - span(rng, 25, 60))
        machine.put(span(rng, 15, 40), foot, f"{pick(rng, PLACES)}, {date(rng)}")
        if chance(rng, 0.6):
            _signed(sheet, machine, foot)
    if chance(rng, 0.25):
        _date_stamp(sheet)


def _signed(sheet: Sheet, machine: Typewriter, y: float) -> None:
    """A signature over a typed name and office, on the right."""
    rng = sheet.rng
    x = sheet.width * span(rng, 0.5, 0.7)
    if chance(rng, 0.7):
        length = span(rng, 14, 42)
        pen = Hand(sheet, size=span(rng, 1.8, 3.6), colour=pick(rng, _PENS))
        pen.signature(x + span(rng, -4, 8), y - span(rng, 0, 4), length)
    machine.lines(
        x, y + 1, [pick(rng, NAMES), pick(rng, _OFFICES)][: whole(rng, 1, 2)], machine.leading
    )


def _date_stamp(sheet: Sheet) -> None:
    """The day a page came in, stamped at the head or the foot."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tone = pick(rng, ((30, 30, 35), (90, 90, 100), (70, 50, 140), (150, 50, 60)))
    face = Print(sheet, pick(rng, ("sans", "sans_bold")), span(rng, 8, 13), tone)
    face.put(span(rng, 0.05, 0.7) * w, pick(rng, (span(rng, 6, 14), h - span(rng, 5, 20))),
             f"{whole(rng, 1, 30)} {pick(rng, ('I', 'III', 'břez', 'VI', 'XI'))}. "
             f"{whole(rng, 1928, 1989)}")  # fmt: skip


def _letter(sheet: Sheet, machine: Typewriter) -> None:
    """A typed letter without any printed head: sender, day, address, matter, text, signature."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, left, y = language(rng), span(rng, 10, 32), span(rng, 10, 32)
    if chance(rng, 0.6):
        sender = [heading(rng, tongue)[:34] for _ in range(whole(rng, 1, 4))]
        machine.lines(left, y, sender)
        if chance(rng, 0.3):
            machine.underline(left, y, len(sender[0]))
        y += machine.leading * len(sender)
    machine.put(w * span(rng, 0.5, 0.66), y, f"{pick(rng, PLACES)} {date(rng)}")
    y += machine.leading * whole(rng, 1, 4)
    if chance(rng, 0.65):
        x = pick(rng, (left, w * span(rng, 0.45, 0.6)))
        address = ["P. T.", heading(rng, tongue)[:28], pick(rng, NAMES), pick(rng, PLACES)]
        address = address[whole(rng, 0, 1) :]
        y = machine.lines(x, y, address)
        mark = pick(rng, ("-", "=", ""))
        machine.put(x, y - machine.leading * 0.4, mark * len(address[-1]))
    if chance(rng, 0.5):
        y += machine.leading
        text = f"Věc: {phrase(rng, tongue, 2, 6)}"[:50]
        machine.put(left, y, text)
        if chance(rng, 0.7):
            machine.underline(left, y, len(text))
    y += machine.leading * whole(rng, 1, 3)
    low = y + (h - y - 30) * span(rng, 0.1, 0.95)
    y = typed_body(sheet, machine, left, y, w - left - span(rng, 6, 22), low, lists=0.05)
    if y < h - 22:
        if chance(rng, 0.5):
            machine.put(left + span(rng, 8, 40), y, "S projevem úcty")
        y = min(h - 14, y + machine.leading * whole(rng, 2, 4))
        _signed(sheet, machine, y)
        if chance(rng, 0.3):
            stamp(sheet, w * span(rng, 0.12, 0.45), min(h - 34, y - 8))


def _slip(sheet: Sheet, machine: Typewriter) -> None:
    """A few typed lines on a slip or in the middle of a sheet, dated and signed."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    left, y = span(rng, 0.06, 0.25) * w, span(rng, 0.06, 0.42) * h
    machine.density = max(machine.density, 0.5)
    letters = machine.room(w - left - span(rng, 0.04, 0.2) * w)
    lines = fill_lines(words(rng, language(rng), whole(rng, 12, 70)), letters, whole(rng, 0, 5))
    lines = lines[: max(1, int((h - y - 15) / machine.leading))]
    y = machine.lines(left, y, lines)
    if chance(rng, 0.6) and y < h - 10:
        machine.put(w * span(rng, 0.35, 0.6), y + machine.leading * 0.5, date(rng))
        if chance(rng, 0.7):
            Hand(sheet, colour=pick(rng, _PENS)).signature(w * 0.68, y + machine.leading * 0.7, 32)
    if chance(rng, 0.25):
        tone = whole(rng, 100, 200)
        sheet.frame(1, 1, w - 1, h - 1, span(rng, 0.4, 1.2), (tone, tone, tone))


def _hanging_list(sheet: Sheet, machine: Typewriter) -> None:
    """A catalogue of finds: a label in the margin, its text hanging beside, spaced heads."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, left, y = language(rng), span(rng, 6, 28), span(rng, 12, 30)
    hang = whole(rng, 6, 14)
    letters = max(hang + 12, machine.room(w - left - span(rng, 4, 20)))
    word, count = pick(rng, ("ABB.", "Tab.", "Obj. č.", "", "Inv.č.", "hrob")), whole(rng, 1, 300)
    bottom = h - span(rng, 8, 35)
    while y < bottom:
        if chance(rng, 0.16):
            text = heading(rng, tongue).upper()[: letters // 2]
            text = " ".join(text) if chance(rng, 0.5) else text
            machine.put(left, y, text)
            machine.underline(left, y, len(text), chance(rng, 0.4))
            y += machine.leading * pick(rng, (1, 1.5, 2))
        count += 1
        label = f"{word} {count}".strip()[: hang - 1] + pick(rng, ("", " :", ":"))
        lines = fill_lines(words(rng, tongue, whole(rng, 4, 45)), letters - hang)
        lines = [label.ljust(hang) + lines[0], *(" " * hang + line for line in lines[1:])]
        y = machine.lines(left, y, lines[: max(1, int((bottom - y) / machine.leading) + 1)])
        y += machine.leading * pick(rng, (0, 0, 0.5, 1))


def _dialogue(sheet: Sheet, machine: Typewriter) -> None:
    """Short indented lines: a play, an interview, a record of a meeting, verse."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, left, y = language(rng), span(rng, 12, 40), span(rng, 14, 40)
    deep = whole(rng, 0, 14) * machine.pitch
    letters = max(20, machine.room(w - left - deep - span(rng, 8, 50)))
    bottom = y + (h - y - 12) * span(rng, 0.3, 1.0)
    while y < bottom:
        name = pick(rng, (pick(rng, NAMES).upper() + ":", f"{number(rng)}", ""))[:24]
        if name:
            machine.put(left, y, name)
            if chance(rng, 0.4):
                machine.underline(left, y, len(name))
            y += machine.leading
        lines = fill_lines(sentence(rng, tongue, 4, 40).split(), letters)
        lines = lines[: max(1, int((bottom - y) / machine.leading) + 1)]
        y = machine.lines(left + deep, y, lines) + machine.leading * pick(rng, (0, 0.5, 1, 2))
