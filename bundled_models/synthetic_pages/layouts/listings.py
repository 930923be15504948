"""Typed tables and lists: figures in columns, lists of documents, questionnaires, print-outs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundled_models.synthetic_pages.layouts.forms import grey_of
from bundled_models.synthetic_pages.sheet import Colour, Sheet
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
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter

_UNITS = ("km/h", "mm", "cm", "kg", "%", "No.", "deg", "m", "ft", "sec", "Kč", "(1)", "(a)")


def figure(rng: np.random.Generator, form: int) -> str:
    """A figure of a column whose `form` (0 to 7) all its figures share."""
    value = span(rng, 0, 1)
    return (
        f"{int(value * 99)}",
        f"{int(value * 9999):,}",
        f"{value * 10:.2f}",
        f"{value:.3f}",
        f"{value * 100:.1f}",
        f"{value:.5f}",
        f"-{value * 50:.1f}" if value < 0.4 else f"{value * 50:.1f}",
        f"{value * 9.99:.3f}E {int(value * 7):02d}",
    )[form]


def typed_figures(sheet: Sheet, machine: Typewriter) -> None:
    """One to three tables of figures under typed titles, with or without rules."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine.pitch = machine.pitch * pick(rng, (0.7, 0.85, 1.0, 1.0, 1.0, 1.2))
    machine.fit()
    machine.leading = machine.pitch * pick(rng, (1.7, 1.7, 2.5, 3.3))
    y, left = span(rng, 14, 50), span(rng, 8, 28)
    room = machine.room(w - left - span(rng, 8, 28))
    for _ in range(whole(rng, 1, 3)):
        y = _one_table(sheet, machine, left, y, room) + machine.leading * span(rng, 2, 5)
        if y > h * 0.75:
            break


def _one_table(sheet: Sheet, machine: Typewriter, left: float, y: float, room: int) -> float:
    """A title, a head of one to three lines and rows of figures; returns where it ends, mm."""
    rng, tongue, step, top = sheet.rng, language(sheet.rng), machine.leading, y
    wide = whole(rng, 7, 11)
    stub = whole(rng, 4, max(5, min(34, room - 3 * wide)))
    count = max(2, min(whole(rng, 2, 12), (room - stub) // wide))
    forms = [whole(rng, 0, 7) for _ in range(count)]
    title = f"TABLE {pick(rng, ('I', 'II', 'IV', 'VII', '3', '12'))}.- {phrase(rng, tongue, 3, 9)}"
    title = title.upper() if chance(rng, 0.6) else title
    long = stub + count * wide
    x = left + max(0, room - long) / 2 * machine.pitch * pick(rng, (0, 1))
    machine.put(x + max(0.0, (long - len(title)) / 2) * machine.pitch, y, title[:room])
    heads = [
        "".ljust(stub) + "".join(_heading(rng, tongue, wide) for _ in forms)
        for _ in range(whole(rng, 1, 3))
    ]
    y = machine.lines(x, y + 2 * step, heads) + step * 0.4
    body = y
    bottom = y + (sheet.height - y - 10) * span(rng, 0.15, 1.0)
    rows = _rows(rng, tongue, forms, stub, wide, max(3, int((bottom - y) / step)))
    y = machine.lines(x, y, rows)
    edges = [x + (stub + i * wide + 0.6) * machine.pitch for i in range(count + 1)]
    _rules(sheet, x - 1, edges, (top + step * 0.7, body - step * 0.9, y - step * 0.5))
    sheet.mark("table", x, top, edges[-1], y)
    return y


def _heading(rng: np.random.Generator, tongue: str, wide: int) -> str:
    return pick(rng, (phrase(rng, tongue, 1, 1), pick(rng, _UNITS), ""))[: wide - 1].rjust(wide)


def _rows(
    rng: np.random.Generator, tongue: str, forms: Sequence[int], stub: int, wide: int, count: int
) -> list[str]:
    """Rows of a table: a stub with leaders or without, figures flush right, gaps between groups."""
    dots, empty = pick(rng, ("", "", ".", " .")), span(rng, 0, 0.4)
    numbers, group, rows = chance(rng, 0.4), whole(rng, 2, 7), list[str]()
    while len(rows) < count:
        if group > 4 and len(rows) % (group + 1) == group:
            rows.append("")
            continue
        text = str(whole(rng, 1, 9999)) if numbers else phrase(rng, tongue, 1, 4).capitalize()
        text = text[: stub - 2] + " "
        text += (dots * stub)[: max(0, stub - len(text) - 1)]
        cells = ("" if chance(rng, empty) else figure(rng, form) for form in forms)
        rows.append(
            text[:stub].ljust(stub) + "".join(cell[: wide - 1].rjust(wide) for cell in cells)
        )
    return rows


def _rules(sheet: Sheet, x: float, edges: Sequence[float], levels: tuple[float, ...]) -> None:
    """Rules of a typed table: all, across only, or none; drawn with a pen or typed as hyphens."""
    rng, ink = sheet.rng, grey_of(sheet.rng)
    kind, pen = rng.random(), span(rng, 0.2, 0.5)
    if kind < 0.3:
        return
    dashes = pick(rng, (0.0, 0.0, 1.0))
    for y in levels:
        sheet.rule(x, y, edges[-1], y, pen, ink, dashes)
    if kind > 0.6:
        for edge in edges[:-1] if chance(rng, 0.5) else [x, *edges]:
            sheet.rule(edge, levels[0], edge, levels[-1], pen, ink)


def list_of_documents(sheet: Sheet, machine: Typewriter) -> None:
    """Underlined heads of three or four columns, wide-spaced entries hanging below them."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, left, y = language(rng), span(rng, 12, 30), span(rng, 18, 50)
    letters = machine.room(w - left - span(rng, 8, 25))
    title = pick(rng, ("BOOK", "INDEX", "LIST OF EXHIBITS", "SEZNAM", "VERZEICHNIS", "LISTE"))
    title = f"{title} {whole(rng, 1, 30)}"
    machine.put(w / 2 - len(title) * machine.pitch / 2, y - machine.leading * 1.6, title)
    stops = [0, whole(rng, 8, 14), whole(rng, 18, 26)]
    stops = [stop for stop in stops if stop < letters - 14]
    top, heads = y, ("Number", "Date", "Description", "Č.", "Datum", "Obsah", "Nr.", "Inhalt")
    for stop in stops:
        text = pick(rng, heads)
        machine.put(left + stop * machine.pitch, y, text)
        machine.underline(left + stop * machine.pitch, y, len(text))
    y += machine.leading * 2
    bottom, ditto = h - span(rng, 12, 90), span(rng, 0, 0.6)
    while y < bottom:
        mark = '"' if chance(rng, ditto) else pick(rng, (date(rng), number(rng)))[:9]
        lines = [phrase(rng, tongue, 2, 7) for _ in range(whole(rng, 1, 3))]
        for i, line in enumerate(lines):
            parts = ([str(whole(rng, 1, 300))[:7], mark] if i == 0 else ["", ""])[: len(stops) - 1]
            text = "".join(
                part.ljust(end - stop)
                for part, stop, end in zip(parts, stops, stops[1:], strict=False)
            )
            machine.put(left, y, (text.ljust(stops[-1]) + line)[:letters])
            y += machine.leading
        y += machine.leading * pick(rng, (0, 1, 1))
    sheet.mark("table", left, top, w - 10, min(y, h))


def questionnaire(sheet: Sheet, machine: Typewriter) -> None:
    """Numbered questions down the page with typed answers, one to a line or in ruled fields."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tongue, left, y = language(rng), span(rng, 14, 30), span(rng, 22, 45)
    letters = machine.room(w - left - 12)
    title = phrase(rng, tongue, 2, 5).upper()
    machine.put(w / 2 - len(title) * machine.pitch / 2, y - 10, title[:letters])
    top, dots, ruled = y, pick(rng, (" ", ".", "_", " ")), chance(rng, 0.3)
    stop, step = whole(rng, 18, 34), machine.leading * pick(rng, (1, 1.5, 2))
    for count in range(1, 60):
        if y > h - 14:
            break
        ask = f"{count}. {phrase(rng, tongue, 1, 4).capitalize()}"[: stop - 2] + " "
        answer = (
            phrase(rng, tongue, 1, 6) if chance(rng, 0.6) else pick(rng, (date(rng), number(rng)))
        )
        line = ask + (dots * stop)[: stop - len(ask)] + (answer if chance(rng, 0.85) else "")
        machine.put(left, y, line[:letters])
        if ruled:
            sheet.rule(left, y + 1.6, w - 12, y + 1.6, 0.2, (90, 90, 90))
        y += step
    sheet.mark("table", left, top, w - 12, min(y, h))


def line_printer(sheet: Sheet) -> None:
    """A line printer's paper: holes at both edges, green bars or none, capitals in columns."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tone: Colour = pick(rng, ((25, 25, 28), (60, 60, 66), (90, 90, 100), (70, 60, 120)))
    edge = pick(rng, (0.0, 9.0))
    pitch = (w - 2 * edge - 8) / whole(rng, 78, 132)
    machine = Typewriter(sheet, colour=tone, density=span(rng, 0.6, 1.0), pitch=pitch)
    machine.jitter, machine.smudge = span(rng, 0, 0.15), pick(rng, (0.0, 0.0, 1.4))
    step = machine.leading = pitch * 1.67
    letters, bar = machine.room(w - 2 * edge - 6), whole(rng, 1, 4)
    shade: Colour = pick(rng, ((255, 255, 255), (214, 236, 216), (226, 240, 226), (215, 226, 240)))
    y, x = span(rng, 8, 20), edge + 3
    for i, at in enumerate(np.arange(0, h, step * bar)):
        if i % 2:
            sheet.frame(0, at, w, at + step * bar, 0, fill=shade)
    if edge:
        feed_holes(sheet, (40, 40, 40))
    title = f"{phrase(rng, 'en', 2, 5).upper()}    {date(rng)}    PAGE {whole(rng, 1, 400)}"
    machine.put(x, y, title[:letters])
    stops = _printer_stops(rng, letters)
    lines = [_printer_row(rng, stops) for _ in range(int((h * span(rng, 0.4, 1) - y - 20) / step))]
    machine.lines(x, y + 3 * step, [line[:letters] for line in lines])
    sheet.mark("table", x, y, w - x, y + (3 + len(lines)) * step)


def feed_holes(sheet: Sheet, tone: Colour) -> None:
    """The holes at both edges by which a printer pulls its paper, half an inch apart."""
    for side in (4.5, sheet.width - 4.5):
        for at in np.arange(6, sheet.height, 12.7):
            box = tuple(c * sheet.scale for c in (side - 2, at - 2, side + 2, at + 2))
            sheet.draw.ellipse(box, fill=sheet.ink(tone))


def _printer_stops(rng: np.random.Generator, letters: int) -> list[tuple[int, int]]:
    """Columns of a print-out: where each starts and what it holds (see `_printer_row`)."""
    stops, at = list[tuple[int, int]](), 0
    while at < letters - 8:
        kind = whole(rng, 0, 9)
        stops.append((at, kind))
        at += whole(rng, 6, 12) if kind < 8 else whole(rng, 14, 26)
    return stops


def _printer_row(rng: np.random.Generator, stops: Sequence[tuple[int, int]]) -> str:
    line = ""
    if chance(rng, 0.08):
        return pick(rng, ("", "-" * 60, "*" * 40))
    for (stop, kind), (end, _) in zip(stops, [*stops[1:], (stops[-1][0] + 12, 0)], strict=True):
        text = phrase(rng, "en", 1, 3).upper() if kind > 7 else figure(rng, kind)
        line = line.ljust(stop) + (text[: end - stop - 1] if chance(rng, 0.9) else "")
    return line


def report_form(sheet: Sheet, machine: Typewriter) -> None:
    """A report's cover form: boxes with small printed captions, typed entries, an abstract."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    machine.leading = machine.pitch * 1.67
    ink, tongue = grey_of(rng), language(rng)
    face = Print(sheet, pick(rng, ("sans", "serif")), span(rng, 5, 7.5), ink)
    bold = Print(sheet, "sans_bold", span(rng, 10, 14), ink)
    x0, x1, y = span(rng, 8, 25), w - span(rng, 8, 25), span(rng, 14, 30)
    bold.put((x0 + x1) / 2, y - 4, phrase(rng, tongue, 2, 4).title(), "m")
    top, low, count = y, h - span(rng, 12, 50), 1
    while y < low - 8:
        tall = min(low - y, pick(rng, (9, 10, 12, 16, 24, 60)))
        parts = 1 if tall > 20 else whole(rng, 1, 4)
        for part in range(parts):
            a, b = (x0 + (x1 - x0) * (part + k) / parts for k in (0, 1))
            sheet.frame(a, y, b, y + tall, 0.3, ink)
            caption = f"{count}. {phrase(rng, tongue, 1, 3).capitalize()}"
            face.put(a + 1, y + face.size * 1.1, caption[: int((b - a) / face.size * 1.6)])
            _typed_entry(sheet, machine, (a + 2, y + face.size * 1.4, b - 2, y + tall), tongue)
            count += 1
        y += tall
    sheet.mark("table", x0, top, x1, y)
    if chance(rng, 0.2):
        Hand(sheet, size=2.4).signature(x0 + span(rng, 20, 90), y - 6, 30)


def _typed_entry(
    sheet: Sheet, machine: Typewriter, box: tuple[float, float, float, float], tongue: str
) -> None:
    """Typed lines that fill a form's field in part or not at all."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    rows = int((y1 - y0 - 1) / machine.leading)
    letters = machine.room(x1 - x0 - 2)
    if rows < 1 or letters < 3 or chance(rng, 0.12):
        return
    rows = max(1, min(rows, whole(rng, 1, 2) if chance(rng, 0.4) else rows))
    if rows == 1:
        text = pick(rng, (date(rng), number(rng), pick(rng, NAMES), pick(rng, PLACES)))
        machine.put(x0 + span(rng, 0, 4), y1 - 1.6, text[: letters - 1])
        return
    lines = [phrase(rng, tongue, 2, 12)[: letters - 1] for _ in range(rows)]
    machine.lines(x0 + 2, y0 + machine.leading * 0.8, lines)


def library_card(sheet: Sheet, machine: Typewriter) -> None:
    """A library's or an office's card file: a typed head word, fields, a hole at the foot."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    ruled, red = chance(rng, 0.45), pick(rng, ((200, 90, 100), (120, 140, 190), (150, 150, 150)))
    x, y = span(rng, 0.04, 0.14) * w, span(rng, 0.08, 0.16) * h
    step = machine.leading = pick(rng, (4.23, 6.35))
    if ruled:
        for line in np.arange(y + 1.4, h, step):
            sheet.rule(0, line, w, line, 0.2, (160, 180, 205))
        for at in (x - 2, x + span(rng, 15, 30)):
            sheet.rule(at, 0, at, h, 0.25, red)
    letters, tongue = machine.room(w - x - 8), language(rng)
    machine.put(x, y, f"{pick(rng, NAMES).upper()}, {pick(rng, NAMES)}"[:letters])
    machine.put(w - 28, y, number(rng)[:9])
    inset, low = whole(rng, 4, 14), h * span(rng, 0.4, 0.92)
    y += step * 1.5
    rows: list[str] = []
    while y + len(rows) * step < low:
        label = phrase(rng, tongue, 1, 1).capitalize() + ":" if chance(rng, 0.5) else ""
        rows.append((label[: inset - 1].ljust(inset) + phrase(rng, tongue, 1, 7))[:letters])
    machine.lines(x, y, rows)
    if chance(rng, 0.5):
        box = tuple(c * sheet.scale for c in (w / 2 - 3.5, h - 12, w / 2 + 3.5, h - 5))
        sheet.draw.ellipse(box, fill=sheet.ink((60, 60, 60)), outline=sheet.ink((120,) * 3))
    sheet.mark("table", x, 4, w - 6, min(h - 4, low + 4))
