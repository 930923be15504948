"""Printed forms to fill in: sheets of contexts, of files, of observations, cards; print-outs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from bundled_models.synthetic_pages.layouts.forms import (
    Writer,
    columns_of,
    filling,
    grey_of,
    writer_of,
)
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
    words,
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import POINT, Print, Typewriter

Tool = Typewriter | Hand | Print

_HEADS = (
    "Naleziště", "Rok", "Sonda", "Druh kontextu", "Číslo kontextu", "Lokalita", "Objekt", "Plocha",
    "Fundort", "Datum", "Strana",
)  # fmt: skip
_FIELDS = (
    "Druh", "Síla", "Barva", "Složení", "Hranice", "Další popis", "Poznámka", "Stratigraficky pod",
    "Stratigraficky přes", "Číslo plánu", "Fotografie", "Nálezy", "Datace", "Vykopal", "Zapsal",
    "Uložení", "Literatura", "Výzkumná metoda", "Kontrola", "Interpretace", "Rozměry", "Befund",
    "Katastrální území", "Okres", "Kultura", "Areál", "Aktivita", "Podnět", "Instituce", "Autor",
)  # fmt: skip
_TITLES = (
    "Evidenční karta k nálezové zprávě", "Hlášení", "Terénní záznam", "Formulář objektu",
    "Fundbericht", "Protokol o předání", "Karta objektu", "Karteikarte", "Záznam o nálezu",
    "Record sheet", "Dotazník",
)  # fmt: skip
_OFFICES = (
    "STÁTNÍ ARCHAEOLOGICKÝ ÚSTAV V PRAZE", "MUSEUM KRÁLOVSTVÍ ČESKÉHO", "ZEMSKÝ ÚŘAD V PRAZE",
    "ARCHEOLOGICKÁ KOMMISSE", "MĚSTSKÁ RADA",
)  # fmt: skip


def _answer(sheet: Sheet, fill: Writer, letter: float, x: float, y: float, room: float) -> None:
    """One entry, cut to the `room` mm that it has."""
    rng = sheet.rng
    text = phrase(rng, language(rng), 1, 5) if chance(rng, 0.4) else filling(rng)
    fill(x, y, text[: max(2, int(room / letter))])


def context_sheet(sheet: Sheet, tool: Tool | None, share: float) -> None:
    """A boldly framed sheet in tall bands with captions, `share` (0 to 1) of them answered."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    ink, size = grey_of(rng), span(rng, 7, 10.5)
    bold = Print(sheet, pick(rng, ("serif_bold", "sans_bold", "serif")), size, ink)
    x0, x1, y0 = span(rng, 6, 35), w - span(rng, 5, 22), span(rng, 6, 25)
    bottom, thick = h - span(rng, 8, 45), span(rng, 0.3, 1.3)
    fill, letter = writer_of(tool or bold)
    row, y = max(9.0, bold.size * 3), y0
    edges = columns_of(rng, x0, x1, whole(rng, 3, 5))
    for a, b in zip(edges, edges[1:], strict=False):
        sheet.rule(b, y, b, y + row, thick * 0.6, ink)
        bold.put(a + 1.5, y + row * 0.4, pick(rng, _HEADS)[: max(3, int((b - a) / bold.size * 2))])
        if tool is not None and chance(rng, 0.4 + share):
            _answer(sheet, fill, letter, a + 2, y + row * 0.85, b - a - 3)
    y += row
    cuts = np.sort(rng.random(whole(rng, 2, 6))) * (bottom - y) + y
    step = max(bold.size * 1.5, 5.5)
    for top, low in zip([y, *cuts.tolist()], [*cuts.tolist(), bottom], strict=True):
        sheet.rule(x0, top, x1, top, thick, ink)
        line = top + step * 0.85
        while line < low - 1:
            for part in range(whole(rng, 1, 3)):
                at = x0 + 3 + part * (x1 - x0) / 3
                width = bold.put(at, line, pick(rng, _FIELDS) + ":")
                if tool is not None and chance(rng, share):
                    _answer(sheet, fill, letter, at + width + 4, line, (x1 - x0) / 3 - width - 8)
            line += step * pick(rng, (1, 1, 2, 4, 7))
    sheet.frame(x0, y0, x1, bottom, thick, ink)
    sheet.mark("table", x0, y0, x1, bottom)


def evidence_card(sheet: Sheet, tool: Tool | None, share: float) -> None:
    """A titled frame of boxes in two columns, a small caption in each box's corner."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    ink = grey_of(rng)
    face = Print(sheet, "sans", span(rng, 4.5, 7), ink)
    x0, x1, y = span(rng, 6, 32), w - span(rng, 6, 32), span(rng, 10, 28)
    Print(sheet, pick(rng, ("sans_bold", "serif_bold")), span(rng, 11, 16), ink).put(
        (x0 + x1) / 2, y, pick(rng, _TITLES), "m"
    )
    fill, letter = writer_of(tool or face)
    y0, bottom, thick = y + 5, h - span(rng, 10, 70), span(rng, 0.3, 1.2)
    middle = x0 + (x1 - x0) * span(rng, 0.4, 0.62)
    for left, right in ((x0, middle), (middle, x1)):
        y = y0
        while y < bottom - 4:
            low = min(bottom, y + pick(rng, (9, 9, 12, 12, 18, 34)))
            edges = columns_of(rng, left, right, pick(rng, (1, 1, 1, 2, 3)))
            for a, b in zip(edges, edges[1:], strict=False):
                sheet.rule(b, y, b, low, 0.3, ink)
                caption = pick(rng, _FIELDS)[: max(3, int((b - a) / face.size * 1.8))]
                face.put(a + 1, y + face.size * 1.1, caption)
                if tool is not None and chance(rng, share):
                    at = a + span(rng, 2, max(2.5, (b - a) * 0.35))
                    _answer(sheet, fill, letter, at, low - 2.2, b - at - 1)
            sheet.rule(left, low, right, low, 0.3, ink)
            y = low
    sheet.rule(middle, y0, middle, bottom, thick, ink)
    sheet.frame(x0, y0, x1, bottom, thick, ink)
    sheet.mark("table", x0, y0, x1, bottom)
    if isinstance(tool, Hand) or chance(rng, 0.25):
        Hand(sheet, size=2.0).put(x0 + span(rng, 5, 60), bottom - span(rng, 4, 30), date(rng))


def dot_matrix(sheet: Sheet) -> None:
    """A form that a needle printer wrote: rows of hyphens, bullets, wide heads, pale answers."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tone: Colour = pick(rng, ((20, 20, 20), (60, 60, 65), (70, 60, 110)))
    dark, pale = (
        Typewriter(sheet, colour=tone, density=density, pitch=pitch)
        for density, pitch in ((1.0, 2.3), (span(rng, 0.35, 0.8), 2.3))
    )
    wide = Typewriter(sheet, colour=tone, density=1.0, pitch=4.0)
    for machine in (dark, pale, wide):
        # A printer, not a machine with types: every letter alike and exactly on its line.
        machine.region, machine.jitter, machine.unevenness, machine.smudge = "print", 0.0, 0.0, 0.0
    left, y, step = span(rng, 12, 34), span(rng, 14, 45), pick(rng, (4.23, 4.23, 6.35))
    letters, top = dark.room(w - 2 * left), y
    wide.put(left, y, pick(rng, _TITLES).upper()[: wide.room(w - 2 * left - 45)])
    if chance(rng, 0.6):
        Hand(sheet, size=span(rng, 2, 3.4), colour=(110, 110, 115)).put(w * 0.62, y, number(rng))
    bottom, rule = h * span(rng, 0.55, 0.96), pick(rng, ("-", "=", "- ", "_"))
    y += 2 * step
    while y < bottom:
        dark.put(left, y, (rule * letters)[:letters])
        y += 2 * step
        for _ in range(whole(rng, 1, 4)):
            count = whole(rng, 1, 3)
            for part in range(count):
                at = left + part * (w - 2 * left) / count
                room = dark.room((w - 2 * left) / count) - 3
                dark.put(at, y, f"{pick(rng, '*o-')} {pick(rng, _FIELDS)}"[: max(4, room)])
                if chance(rng, 0.7):
                    pale.put(at + 5, y + step * 1.5, filling(rng)[: max(3, room)])
            y += 3 * step
    sheet.mark("table", left, top, w - left, min(y, h))


def register_sheet(sheet: Sheet, hand: Hand) -> None:
    """An office's printed file cover: bold head, cross rules, a report written into one quarter."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    ink = pick(rng, ((25, 25, 28), (60, 60, 60), (110, 110, 110)))
    face = Print(sheet, pick(rng, ("serif", "serif_bold")), span(rng, 9, 13), ink)
    x0, y = span(rng, 6, 16), span(rng, 14, 28)
    head = Print(sheet, pick(rng, ("serif", "sans_bold", "serif_bold")), span(rng, 17, 26), ink)
    face.put(x0, y - 6, f"Rok 19{whole(rng, 10, 48)}")
    head.put(x0, y + head.size * 0.7, pick(rng, _OFFICES))
    y += head.size * 1.8
    middle, cross = w * span(rng, 0.42, 0.62), h * span(rng, 0.28, 0.42)
    for caption in ("Č.", "Datum", "Došlo", "zaslal")[: whole(rng, 2, 4)]:
        width = face.put(x0, y, caption)
        hand.put(x0 + width + 4, y, pick(rng, (date(rng), number(rng), pick(rng, NAMES))))
        y += span(rng, 9, 13)
    y = max(y, cross - 12)
    face.put(x0, y, "Předmět:")
    for line in range(whole(rng, 1, 3)):
        hand.put(x0 + 24, y + line * 9, phrase(rng, "cs", 2, 5))
    beside = ((0.14, "Dřívější spis:"), (0.24, "Pozdější spis:"), (0.46, "K nahlédnutí:"))
    for at, caption in beside:
        face.put(middle + 3, h * at, caption)
        if chance(rng, 0.3):
            hand.put(middle + 8, h * at + 8, pick(rng, PLACES))
    top, low = h * 0.08, h * span(rng, 0.7, 0.98)
    cross = max(cross, y + 22)
    sheet.rule(middle, top, middle, low, span(rng, 0.3, 0.6), ink)
    for at in (cross, cross - span(rng, 20, 32)):
        sheet.rule(0, at, w, at, 0.35, ink)
    y, room = cross + 10, middle - x0 - 2 if chance(rng, 0.7) else w - x0 - 12
    for _ in range(whole(rng, 1, 3)):
        y = hand.paragraph(x0, y, room, words(rng, "cs", whole(rng, 10, 50)), bottom=h - 15)
    hand.signature(w * 0.5, min(h - 10, y + 8), 40)
    sheet.mark("table", 0, top, w, low)


def observation_sheet(sheet: Sheet) -> None:
    """A printed sheet of many narrow columns, its rows named in print, figures put in by hand."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    ink, tongue, step = grey_of(rng), language(rng), span(rng, 4.2, 8)
    face = Print(sheet, pick(rng, ("serif", "serif", "sans")), min(9.0, step / POINT * 0.55), ink)
    hand = Hand(sheet, size=step * span(rng, 0.27, 0.4))
    x0, x1, y = span(rng, 4, 18), w - span(rng, 4, 18), span(rng, 12, 26)
    title = Print(sheet, pick(rng, ("serif", "serif_bold", "sans_bold")), span(rng, 11, 20), ink)
    title.put(w / 2, y, phrase(rng, tongue, 1, 2).upper(), "m")
    hand.put(pick(rng, (x0 + 2, w * 0.72)), y - span(rng, 0, 3), date(rng))
    top, stub = y + 5, x0 + span(rng, 18, 45)
    edges = columns_of(rng, stub, x1, whole(rng, 5, 14))
    low = top + span(rng, 9, 20)
    for a, b in pairwise(edges):
        tokens = phrase(rng, tongue, 1, 2).capitalize().split()
        face.paragraph(a + 0.5, top + 3.5, b - a - 1, tokens, justify=False, bottom=low - 1)
    rows = min(int((h - low - span(rng, 6, 40)) / step), whole(rng, 12, 50))
    filled = [span(rng, 0.3, 1.3) for _ in edges[1:]]
    forms = [whole(rng, 0, 5) for _ in edges[1:]]
    for row in range(1, rows + 1):
        base = low + row * step - step * 0.25
        face.put(x0, base, phrase(rng, tongue, 1, 2).capitalize()[:16])
        for a, b, share, form in zip(edges[:-1], edges[1:], filled, forms, strict=True):
            if chance(rng, share):
                hand.put(a + 0.8, base, _observed(rng, form)[: max(1, int((b - a) / hand.letter))])
    bottom = low + rows * step
    for y in (top, low, bottom):
        sheet.rule(x0, y, x1, y, 0.35, ink)
    for edge in edges:
        sheet.rule(edge, top, edge, bottom, 0.25, ink)
    if chance(rng, 0.4):
        for row in range(1, rows):
            sheet.rule(x0, low + row * step, x1, low + row * step, 0.15, (150, 150, 150))
    sheet.mark("table", x0, top, x1, bottom)


def _observed(rng: np.random.Generator, form: int) -> str:
    """What stands in a column whose `form` (0 to 5) all its entries share."""
    value = whole(rng, 0, 99)
    return (
        f"{value}",
        f"{29 + value % 2}.{value:02d}",
        pick(rng, ("NW", "SW", "W", "ENE", "S", "—")),
        pick(rng, ("+", "-")) + str(value % 10),
        pick(rng, ("b", "c", "o", '"', "—", "r")),
        f"{value * 37 % 1000}",
    )[form]
