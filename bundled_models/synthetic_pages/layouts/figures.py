"""Dense printed tables: statistics, logarithms, timetables, directories, calendars of tides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bundled_models.synthetic_pages.layouts.forms import grey_of
from bundled_models.synthetic_pages.layouts.listings import figure
from bundled_models.synthetic_pages.sheet import Colour, Sheet
from bundled_models.synthetic_pages.words import (
    NAMES,
    PLACES,
    chance,
    language,
    phrase,
    pick,
    span,
    whole,
)
from bundled_models.synthetic_pages.writing.ink import Print

_MONTHS = ("Jan.", "Feb.", "Mar.", "Apr.", "May", "June", "July", "Aug.", "Sept.", "Oct.", "Nov.")


def _title(sheet: Sheet, y: float, size: float) -> float:
    """A centred title of one or two lines, a page number beside it; returns where it ends, mm."""
    rng, w, tongue = sheet.rng, sheet.width, language(sheet.rng)
    bold = Print(sheet, pick(rng, ("serif", "serif_bold", "sans_bold")), size * span(rng, 1.1, 1.7))
    text = phrase(rng, tongue, 2, 7)
    bold.put(w / 2, y, text.upper() if chance(rng, 0.5) else text.capitalize(), "m")
    if chance(rng, 0.5):
        bold.put(pick(rng, (12.0, w - 16)), y, str(whole(rng, 2, 500)))
    y += bold.size * 1.5
    if chance(rng, 0.5):
        italic = Print(sheet, "serif_italic", size)
        italic.put(w / 2, y, phrase(rng, tongue, 4, 11).capitalize() + ".", "m")
        y += italic.size * 1.6
    return y


def leaders(face: Print, x0: float, x1: float, y: float) -> None:
    """A row of dots from `x0` to `x1` (mm) on the baseline `y`."""
    step = face.size * 0.62
    face.sheet.rule(x0, y, x1, y, max(0.12, face.size * 0.07), face.colour, dashes=step / 2)


def _stub_row(face: Print, x: float, y: float, room: float, text: str, dotted: bool) -> None:
    """A row's name cut to `room` mm, with leaders to the first column."""
    width = face.put(x, y, text[: max(2, int(room / face.size / 0.52))])
    if dotted and width < room - 4:
        leaders(face, x + width + 1, x + room - 1, y)


def _head(sheet: Sheet, face: Print, edges: Sequence[float], y: float, deep: float) -> None:
    """Heads of the columns, some under a common one, between a double rule and a single one."""
    rng, tongue, ink = sheet.rng, language(sheet.rng), face.colour
    sheet.rule(edges[0], y, edges[-1], y, 0.45, ink)
    sheet.rule(edges[0], y + 0.7, edges[-1], y + 0.7, 0.15, ink)
    sheet.rule(edges[0], y + deep, edges[-1], y + deep, 0.2, ink)
    small = Print(sheet, "serif", face.size / 0.353 * 0.85, ink, path=face.path)
    at = 1
    while at < len(edges) - 1:
        group = min(pick(rng, (1, 1, 2, 3, 4)), len(edges) - 1 - at)
        a, b = edges[at], edges[at + group]
        top = y + 1
        if group > 1 and deep > 3 * face.size:
            text = phrase(rng, tongue, 1, 3).capitalize()[: int((b - a) / face.size * 1.7)]
            small.put((a + b) / 2, y + face.size * 1.4, text, "m")
            top = y + face.size * 1.9
            sheet.rule(a, top, b, top, 0.15, ink)
        for i in range(at, at + group):
            room = int((edges[i + 1] - edges[i]) / small.size * 1.75)
            for line in range(whole(rng, 1, 2)):
                level = top + small.size * (1.3 + 1.2 * line)
                if room > 1 and level < y + deep - 0.5:
                    small.put((edges[i] + edges[i + 1]) / 2, level,
                              phrase(rng, tongue, 1, 1)[:room], "m")  # fmt: skip
        at += group


def statistics(sheet: Sheet) -> None:
    """One to three tables of small figures with heads over heads, thin rules, dotted stubs."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    points = span(rng, 4.8, 7.8)
    face = Print(sheet, pick(rng, ("serif", "serif", "sans")), points, grey_of(rng))
    y, x0, x1 = span(rng, 10, 24), span(rng, 7, 20), w - span(rng, 7, 20)
    tables = pick(rng, (1, 1, 1, 2, 3))
    for i in range(tables):
        y = _title(sheet, y, points * 1.2)
        low = y + (h - y - 8) / (tables - i) * span(rng, 0.6, 1.0)
        y = _figures(sheet, face, (x0, y, x1, low)) + face.size * 5
        if y > h * 0.8:
            break


def _figures(sheet: Sheet, face: Print, box: tuple[float, float, float, float]) -> float:
    """A ruled or open table of figures in `box` (mm); returns where it ends."""
    rng, (x0, y, x1, low) = sheet.rng, box
    tongue, step = language(rng), face.size * span(rng, 1.15, 1.9)
    stub = (x1 - x0) * pick(rng, (0.08, 0.15, 0.25, 0.35))
    count = max(2, int((x1 - x0 - stub) / face.size / span(rng, 2.4, 5.5)))
    edges = [x0, *np.linspace(x0 + stub, x1, count + 1).tolist()]
    deep = face.size * span(rng, 3.5, 7)
    _head(sheet, face, edges, y, deep)
    forms, dotted, numbers = [whole(rng, 0, 6) for _ in edges], chance(rng, 0.6), chance(rng, 0.4)
    group, empty, top, row = pick(rng, (0, 4, 5, 10)), span(rng, 0, 0.25), y, 0
    bold = Print(sheet, "serif_bold", face.size / 0.353, face.colour)
    y += deep + step
    while y < low:
        total = chance(rng, 0.06)
        text = str(row + 1) if numbers else phrase(rng, tongue, 1, 4).capitalize()
        _stub_row(bold if total else face, x0 + 0.5, y, stub - 1, text, dotted)
        for form, edge, wide in zip(forms, edges[2:], np.diff(edges[1:]), strict=False):
            mark = pick(rng, ("—", "...", "")) if chance(rng, empty) else figure(rng, form)
            mark = mark[: max(2, int(wide / face.size * 1.75))]
            (bold if total else face).put(edge - 0.8, y, mark, "r")
        row += 1
        y += step * (1.6 if group and row % group == 0 else 1.0)
    _rule_columns(sheet, edges, (top, y - step * 0.5), face.colour)
    return y


def _rule_columns(
    sheet: Sheet, edges: Sequence[float], span_y: tuple[float, float], ink: Colour
) -> None:
    """Thin rules between columns or none, a rule at the foot; marks the table."""
    rng, (top, low) = sheet.rng, span_y
    if chance(rng, 0.7):
        outer = chance(rng, 0.4)
        for i, edge in enumerate(edges):
            if outer or 0 < i < len(edges) - 1:
                sheet.rule(edge, top, edge, low, 0.15, ink)
    sheet.rule(edges[0], low, edges[-1], low, pick(rng, (0.15, 0.4)), ink)
    sheet.mark("table", edges[0], top, edges[-1], low)


def logarithms(sheet: Sheet) -> None:
    """A table of a function: arguments at the left, ten columns of digits, differences."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    face = Print(sheet, "serif", span(rng, 5.5, 8.5), grey_of(rng))
    y, x0, x1 = _title(sheet, span(rng, 10, 20), 10), span(rng, 10, 22), w - span(rng, 10, 22)
    top, step, digits = y, face.size * span(rng, 1.1, 1.4), whole(rng, 3, 6)
    columns = pick(rng, (6, 10, 10, 11, 15))
    edges = np.linspace(x0, x1, columns + 2).tolist()
    for i, edge in enumerate(edges[1:]):
        face.put(edge - 1.5, y + step, str(i), "r")
    y, row = y + step * 2.5, whole(rng, 100, 800)
    while y < h - 12:
        for i, edge in enumerate(edges[1:]):
            text = str(row) if i == 0 else str(whole(rng, 10 ** (digits - 1), 10**digits - 1))
            face.put(edge - 1.5, y, text, "r")
        row += 1
        y += step * (1.7 if row % 5 == 0 else 1)
    sheet.rule(x0, top + step * 1.5, x1, top + step * 1.5, 0.2, face.colour)
    _rule_columns(sheet, edges, (top, y), face.colour)


def timetable(sheet: Sheet) -> None:
    """Trains or boats: stations with leaders, a column of times for each, rules and wavy gaps."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    face = Print(sheet, pick(rng, ("serif", "sans")), span(rng, 5, 8), grey_of(rng))
    y, x0, x1 = span(rng, 10, 22), span(rng, 7, 16), w - span(rng, 7, 16)
    for _ in range(whole(rng, 1, 3)):
        y = _title(sheet, y, 9)
        stub, step, top = (x1 - x0) * span(rng, 0.2, 0.35), face.size * span(rng, 1.15, 1.5), y
        count = max(3, int((x1 - x0 - stub) / face.size / span(rng, 2.6, 3.6)))
        edges = [x0, *np.linspace(x0 + stub, x1, count + 1).tolist()]
        for edge, _ in zip(edges[2:], edges[1:], strict=False):
            face.put(edge - 0.8, y + step, pick(rng, ("a.m.", "p.m.", str(whole(rng, 1, 99)))), "r")
        hours = [whole(rng, 4, 22) * 60 + whole(rng, 0, 59) for _ in edges[2:]]
        y += step * 2.4
        for _ in range(whole(rng, 8, 45)):
            _stub_row(face, x0 + 0.5, y, stub - 1, pick(rng, PLACES), dotted=True)
            for i, edge in enumerate(edges[2:]):
                hours[i] += whole(rng, 2, 14)
                time = f"{hours[i] // 60 % 24} {hours[i] % 60:02d}"
                face.put(edge - 0.8, y, time if chance(rng, 0.8) else pick(rng, ("...", "|")), "r")
            y += step
            if y > h - 10:
                break
        _rule_columns(sheet, edges, (top, y - step * 0.5), face.colour)
        y += step * 4
        if y > h * 0.7:
            break


def directory(sheet: Sheet) -> None:
    """Names in two to four columns, each with leaders to a number, an address or a price."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    face = Print(sheet, pick(rng, ("serif", "serif", "sans")), span(rng, 5.5, 9), grey_of(rng))
    top, x0, x1 = _title(sheet, span(rng, 10, 22), 10), span(rng, 8, 18), w - span(rng, 8, 18)
    columns, step, tongue = whole(rng, 2, 4), face.size * span(rng, 1.15, 1.6), language(rng)
    edges, figures = np.linspace(x0, x1, columns + 1).tolist(), whole(rng, 1, 3)
    ink: Colour = pick(rng, (face.colour, face.colour, (190, 90, 90)))
    for a, b in zip(edges, edges[1:], strict=False):
        y, right = top + step, b - 2
        while y < h - 10:
            at = right
            for _ in range(figures):
                text = figure(rng, pick(rng, (0, 1)))
                at -= face.put(at, y, text, "r") + 2.5
            name = f"{pick(rng, NAMES)} {pick(rng, 'ABFJKMV')}., {phrase(rng, tongue, 1, 2)}"
            _stub_row(face, a + 2, y, at - a - 3, name, dotted=True)
            y += step * (2 if chance(rng, 0.03) else 1)
    if chance(rng, 0.6):
        for edge in edges[1:-1]:
            sheet.rule(edge, top, edge, h - 8, 0.25, ink)
    sheet.mark("table", x0, top, x1, h - 8)


def almanac(sheet: Sheet) -> None:
    """Days down, months across, a pair of small figures in every cell: tides, weather, sun."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    face = Print(sheet, pick(rng, ("serif", "sans")), span(rng, 4.6, 6.5), grey_of(rng))
    top, x0, x1 = _title(sheet, span(rng, 9, 20), 9), span(rng, 6, 15), w - span(rng, 6, 15)
    months, pair = whole(rng, 4, 12), whole(rng, 1, 3)
    edges = [x0, *np.linspace(x0 + 8, x1, months + 1).tolist()]
    _head(sheet, face, edges, top, face.size * 4)
    first = top + face.size * 5.2
    step = min((h - first - 10) / 31, face.size * span(rng, 1.3, 2.6))
    forms = [whole(rng, 0, 4) for _ in range(pair)]
    for day in range(31):
        y = first + day * step
        face.put(x0 + 6, y, str(day + 1), "r")
        for a, b in zip(edges[1:], edges[2:], strict=False):
            for i, form in enumerate(forms):
                face.put(a + (b - a) * (i + 1) / pair - 0.7, y, figure(rng, form)[:5], "r")
    for a, b in zip(edges[1:], edges[2:], strict=False):
        face.put((a + b) / 2, top - 1, pick(rng, _MONTHS), "m")
    _rule_columns(sheet, edges, (top, first + 31 * step), face.colour)


def blank_register(sheet: Sheet) -> None:
    """A printed form of many empty ruled lines with heads over its columns."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    face = Print(sheet, pick(rng, ("sans", "sans_bold", "serif")), span(rng, 5.5, 8), grey_of(rng))
    top, x0, x1 = _title(sheet, span(rng, 14, 34), 12), span(rng, 8, 22), w - span(rng, 8, 22)
    cuts = np.sort(rng.random(whole(rng, 2, 6))) * (x1 - x0) + x0
    edges, deep = [x0, *cuts.tolist(), x1], face.size * 4.5
    _head(sheet, face, edges, top, deep)
    y, step, low = top + deep, span(rng, 5, 10), h - span(rng, 10, 40)
    while y + step < low:
        y += step
        sheet.rule(x0, y, x1, y, 0.2, face.colour)
    sheet.frame(x0, top, x1, y, 0.4, face.colour)
    for edge in cuts.tolist():
        sheet.rule(edge, top, edge, y, 0.25, face.colour)
    sheet.mark("table", x0, top, x1, y)


def printed_figures(sheet: Sheet) -> None:
    """One of this module's pages."""
    roll = sheet.rng.random()
    if roll < 0.45:
        statistics(sheet)
    elif roll < 0.55:
        logarithms(sheet)
    elif roll < 0.67:
        timetable(sheet)
    elif roll < 0.8:
        directory(sheet)
    elif roll < 0.9:
        almanac(sheet)
    else:
        blank_register(sheet)
