"""Layouts of office typescripts: memoranda, messages by wire, listings of programs, copies."""

from __future__ import annotations

from numpy.random import Generator

from bundled_models.synthetic_pages.layouts.listings import feed_holes
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
    span,
    whole,
    words,
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter, fill_lines

_HEADS = (
    "CENTRAL INTELLIGENCE AGENCY", "UNITED STATES GOVERNMENT", "FEDERAL BUREAU OF INVESTIGATION",
    "DEPARTMENT OF STATE", "WAR DEPARTMENT", "MINISTERSTVO VNITRA", "KANCELÁŘ PRESIDENTA",
    "AUSWÄRTIGES AMT", "MINISTÈRE DE LA GUERRE", "HEADQUARTERS AIR FORCE", "Memorandum",
)  # fmt: skip
_LINES = (
    ("TO", "FROM", "SUBJECT"),
    ("MEMORANDUM FOR", "FROM", "SUBJECT"),
    ("MEMORANDUM FOR", "THROUGH", "SUBJECT", "REFERENCE"),
    ("TO", "FROM", "DATE", "SUBJECT"),
    ("Komu", "Od", "Věc"),
    ("An", "Von", "Betr.", "Bezug"),
    ("A", "DE", "OBJET"),
)
_CLASSES = ("S E C R E T", "CONFIDENTIAL", "SECRET", "- 2 -", "TAJNÉ", "RESTRICTED")


def printed_head(sheet: Sheet) -> float:
    """One or two short printed lines, at times a seal; returns where they end, mm."""
    rng, w = sheet.rng, sheet.width
    y, tone = span(rng, 12, 20), pick(rng, (BLACK, BLACK, (60, 60, 65), (40, 50, 110)))
    face = Print(sheet, pick(rng, ("serif_bold", "sans_bold", "serif", "sans")),
                 span(rng, 9, 14), tone)  # fmt: skip
    x, anchor = pick(rng, ((w / 2, "m"), (w / 2, "m"), (span(rng, 16, 26), "l")))
    face.put(x, y, pick(rng, _HEADS), anchor)
    if chance(rng, 0.6):
        small = Print(sheet, "serif", span(rng, 7, 9), tone)
        small.put(x, y + 5, pick(rng, PLACES) + pick(rng, ("", f" {whole(rng, 1, 25)}")), anchor)
    if chance(rng, 0.25):
        size = span(rng, 14, 22)
        for inset in (0.0, 2.2):
            box = tuple(c * sheet.scale for c in (8 + inset, y - 8 + inset, 8 + size - inset,
                                                  y - 8 + size - inset))  # fmt: skip
            sheet.draw.ellipse(box, outline=sheet.ink(tone), width=max(1, round(0.4 * sheet.scale)))
        face.put(8 + size / 2, y - 6 + size / 2, "*", "m")
    return y + 12


def numbered_body(
    sheet: Sheet, machine: Typewriter, left: float, y: float, room: float, bottom: float
) -> float:
    """Numbered paragraphs, double spaced between, from baseline `y`; returns where they end."""
    rng, tongue, letters = sheet.rng, language(sheet.rng), machine.room(room)
    count, numbered = 1, chance(rng, 0.7)
    indent, upper = pick(rng, (0, 5, 10)), chance(rng, 0.12)
    while y < bottom:
        tokens = words(rng, tongue, whole(rng, 15, 90))
        if numbered:
            tokens = [f"{count}. ", *tokens]
        if upper:
            tokens = [token.upper() for token in tokens]
        lines = fill_lines(tokens, letters, indent)
        y = machine.lines(left, y, lines[: max(1, int((bottom - y) / machine.leading) + 1)])
        y, count = y + machine.leading * pick(rng, (0.5, 1, 1)), count + 1
    return y


def _address_block(sheet: Sheet, machine: Typewriter, left: float, y: float, room: float) -> float:
    """To, from and subject in a hanging block, the day beside or above; returns its end."""
    rng, tongue = sheet.rng, language(sheet.rng)
    names = pick(rng, _LINES)
    wide = max(len(name) for name in names) + 3
    machine.put(left + room * span(rng, 0.6, 0.75), y, date(rng))
    y += machine.leading * whole(rng, 1, 3)
    for name in names:
        text = phrase(rng, tongue, 2, 6) if name == names[-1] else f"Mr. {pick(rng, NAMES)}"
        text = pick(rng, (text, text.upper(), f"{text} ({number(rng)})"))
        lines = fill_lines(text.split(), max(10, machine.room(room) - wide))[:2]
        head = [name.ljust(wide - 2) + ": " + lines[0], *(" " * wide + line for line in lines[1:])]
        y = machine.lines(left, y, head) + machine.leading * pick(rng, (0, 0.5, 1))
    if chance(rng, 0.3):
        sheet.rule(left, y - 2, left + room, y - 2, 0.3)
    return y + machine.leading * 0.5


def _signature_block(
    sheet: Sheet, machine: Typewriter, left: float, y: float, room: float
) -> float:
    """A signature over a typed name, copies and enclosures below on the left."""
    rng = sheet.rng
    x = left + room * span(rng, 0.45, 0.6)
    if chance(rng, 0.75):
        pen = Hand(sheet, size=span(rng, 2, 3.6), colour=pick(rng, (BLACK, (40, 50, 130))))
        pen.signature(x, y + machine.leading, span(rng, 20, 45))
    name = f"{pick(rng, 'ABCDEGHJRW')}. {pick(rng, 'ABDLMT')}. {pick(rng, NAMES)}"
    y = machine.lines(x, y + 2.2 * machine.leading, [name, phrase(rng, "en", 1, 3).title()])
    if chance(rng, 0.6):
        lines = [f"{whole(rng, 1, 5)} - {pick(rng, NAMES)}" for _ in range(whole(rng, 1, 5))]
        y = machine.lines(
            left, y, [pick(rng, ("Enclosures", "cc:", "Distribution:")), *lines], 4.23
        )
    return y


def memo(sheet: Sheet, machine: Typewriter) -> float:
    """A memorandum with or without a short printed head; returns where it ends, mm."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine.leading = min(machine.leading, pick(rng, (4.23, 4.23, 6.35)))
    left = span(rng, 16, 32)
    room, y = w - left - span(rng, 10, 25), span(rng, 18, 34)
    if chance(rng, 0.35):
        y = printed_head(sheet) + 4
    elif chance(rng, 0.4):
        text = pick(rng, _CLASSES)
        machine.put((w - len(text) * machine.pitch) / 2, y - 8, text)
    if chance(rng, 0.75):
        y = _address_block(sheet, machine, left, y, room)
    low = y + (h - y - 20) * span(rng, 0.2, 1.0)
    y = numbered_body(sheet, machine, left, y, room, low)
    if y < h - 40 and chance(rng, 0.75):
        y = _signature_block(sheet, machine, left, y + 2, room)
    return min(y, h - 8)


def message(sheet: Sheet, machine: Typewriter) -> None:
    """A message by wire: capitals, codes at its head, STOP between sentences."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine.leading = pick(rng, (4.23, 6.35, 8.46))
    left, y = span(rng, 10, 28), span(rng, 16, 34)
    if chance(rng, 0.4):
        y = printed_head(sheet) + 4
    codes = [
        f"{number(rng).upper()} {pick(rng, PLACES).upper()} {whole(rng, 10, 99)} "
        f"{whole(rng, 100, 2359)} {pick(rng, ('ZEX', 'NL PD', 'VIA WU', 'RR', 'NNNN'))}"
        for _ in range(whole(rng, 1, 4))
    ]  # fmt: skip
    y = machine.lines(left, y, codes) + machine.leading
    letters = machine.room(w - left - span(rng, 8, 30))
    stop = pick(rng, ("STOP", "STOP", "PD", "."))
    low = y + (h - y - 15) * span(rng, 0.15, 0.95)
    while y < low:
        tokens = [token.upper() for token in words(rng, language(rng), whole(rng, 8, 60))]
        tokens = [stop if token.endswith(".") else token.rstrip(",") for token in tokens]
        lines = fill_lines(tokens, letters)
        y = machine.lines(left, y, lines[: max(1, int((low - y) / machine.leading) + 1)])
        y += machine.leading * pick(rng, (0, 1))


def program(sheet: Sheet, machine: Typewriter) -> None:
    """A listing of a program or an outline: short lines at many depths, in capitals."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine.leading, machine.unevenness = pick(rng, (4.23, 4.23, 3.2)), machine.unevenness * 0.3
    left, y = span(rng, 12, 40), span(rng, 14, 30)
    if chance(rng, 0.6):  # of a printer, whose paper is pulled by holes
        feed_holes(sheet, pick(rng, ((40, 40, 40), (150, 150, 150), (205, 205, 205))))
        machine.jitter = span(rng, 0, 0.15)
        machine.pitch = (w - 30) / whole(rng, 70, 110)
        machine.fit()
        machine.leading = machine.pitch * 1.67
    letters = machine.room(w - left - 10)
    count = int((h - y - span(rng, 8, 0.6 * h)) / machine.leading)
    title = f"{phrase(rng, 'en', 1, 3).upper()}   {date(rng)}   PAGE {whole(rng, 1, 99)}"
    machine.put(left, y - machine.leading * 2, title[:letters])
    lines = nested_lines(sheet.rng, max(3, count))
    machine.lines(left, y, [line[:letters] for line in lines])


def nested_lines(rng: Generator, count: int) -> list[str]:
    """So many short lines, each deeper or less deep than the last one or below a word of it."""
    upper, opened = chance(rng, 0.7), pick(rng, ("(", "(", "", "- "))
    step, wide, empty = pick(rng, (2, 3, 4, 8)), pick(rng, (2, 4, 7)), span(rng, 0.02, 0.2)
    at, lines = 0, list[str]()
    for _ in range(count):
        text = opened + phrase(rng, "en", 1, wide)
        text += ")" * whole(rng, 0, 3) if opened == "(" else ""
        lines.append("" if chance(rng, empty) else " " * at + (text.upper() if upper else text))
        if opened == "(" and " " in text and chance(rng, 0.3):
            at += text.index(" ") + 1
        else:
            at += step * pick(rng, (-3, -1, -1, 0, 0, 0, 1, 1))
        at = max(0, at) if at < 40 else step
    return lines


def _equation(sheet: Sheet, machine: Typewriter, x: float, y: float, room: float) -> float:
    """A typed formula with fractions' bars and a number at the right; returns the next baseline."""
    rng, step = sheet.rng, machine.leading
    at = x + room * span(rng, 0.15, 0.35)
    machine.put(at, y + step, f"{pick(rng, 'XYVKTPF')} = ")
    at += 4 * machine.pitch
    for _ in range(whole(rng, 1, 4)):
        top, low = (_term(sheet) for _ in range(2))
        long = max(len(top), len(low)) * machine.pitch
        if at + long > x + room * 0.85:
            break
        machine.put(at, y + step * 0.45, top)
        sheet.rule(at, y + step * 0.75, at + long, y + step * 0.75, 0.3)
        machine.put(at, y + step * 1.55, low)
        machine.put(at + long + machine.pitch * 0.5, y + step, pick(rng, "+-"))
        at += long + 2.5 * machine.pitch
    machine.put(x + room - 5 * machine.pitch, y + step, f"({whole(rng, 1, 40)})")
    return y + step * 3


def _term(sheet: Sheet) -> str:
    rng = sheet.rng
    return "".join(pick(rng, "abckxyzNTV0245()+-") for _ in range(whole(rng, 2, 9)))


def treatise(sheet: Sheet, machine: Typewriter) -> None:
    """A technical report's page: paragraphs in wide spacing with typed formulae between them."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine.leading = pick(rng, (6.35, 8.46))
    left, y, low = span(rng, 18, 32), span(rng, 20, 40), h - span(rng, 18, 45)
    room = w - left - span(rng, 14, 24)
    while y < low:
        tokens = words(rng, language(rng), whole(rng, 15, 80))
        lines = fill_lines(tokens, machine.room(room), pick(rng, (0, 5)))
        y = machine.lines(left, y, lines[: max(1, int((low - y) / machine.leading) + 1)])
        if y < low - 3 * machine.leading and chance(rng, 0.6):
            y = _equation(sheet, machine, left, y, room)
    if chance(rng, 0.7):
        machine.put(w / 2, h - 10, str(whole(rng, 1, 200)))
