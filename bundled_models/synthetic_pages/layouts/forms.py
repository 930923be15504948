"""Form heads, index cards, tables, stamps: the printed and ruled parts of pages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from bundled_models.synthetic_pages.sheet import Colour, Sheet, smooth_noise
from bundled_models.synthetic_pages.words import (
    NAMES,
    PLACES,
    cell,
    chance,
    date,
    language,
    number,
    phrase,
    pick,
    span,
    whole,
)
from bundled_models.synthetic_pages.writing.fonts import open_font, pick_font
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter

Writer = Callable[[float, float, str], float]  # x, baseline, text -> width, mm

_CAPTIONS = (
    "OBEC",
    "OKRES",
    "Č. j.",
    "Č. poř.",
    "ČÍSLO PARCELY",
    "NÁZEV TRATI",
    "Přílohy",
    "Kultura",
    "ČÍSLO MAPY",
    "Druh nálezu",
    "Uložení",
    "Čís. inv.",
    "KRAJ",
    "AUTOR",
    "ULOŽENO",
    "Literatura",
)
_GERMAN = (
    "FO.",
    "Bez.",
    "Gegen-stand",
    "Zeit.",
    "Gemeinde",
    "Fund-karte",
    "Nr. u. Z. Archiv",
    "Inv. Nr.",
    "Platten A. Ö.",
    "Platten Nr.",
    "Maßstab",
    "AÖ.",
    "Zeitstellung",
    "Literatur",
)


def grey_of(rng: np.random.Generator) -> Colour:
    """Ink of printed forms: mostly black, now and then faint or coloured, never lost in a copy."""
    tone = pick(rng, (20, 20, 20, 30, 45, 60, 90, 120, 150))
    return pick(
        rng,
        ((tone, tone, tone), (tone, tone, tone), (tone, tone, tone), (40, 60, 120), (120, 50, 40)),
    )


def filling(rng: np.random.Generator) -> str:
    """What is filled into a field of a form."""
    return pick(
        rng,
        (
            pick(rng, PLACES),
            pick(rng, PLACES),
            pick(rng, NAMES),
            number(rng),
            date(rng),
            phrase(rng, "cs", 1, 2),
            "-",
            "?",
        ),
    )


def card_head(sheet: Sheet, fill: Writer | None, share: float = 0.85) -> float:
    """An index card's printed head, filled in by `fill`; returns where it ends, mm."""
    rng = sheet.rng
    if sheet.width > sheet.height * 1.1:
        return _flat_head(sheet, fill, share)
    if chance(rng, 0.15):
        return _small_head(sheet, fill, share)
    return _czech_head(sheet, fill, share)


def _field(
    sheet: Sheet,
    face: Print,
    fill: Writer | None,
    share: float,
    x: float,
    y: float,
    low: float,
    caption: str,
    room: float,
) -> None:
    face.put(x + 1.8, y + face.size * 1.05, caption)
    if fill is not None and sheet.rng.random() < share:
        text = filling(sheet.rng)[: max(3, int(room / 2.6))]
        fill(x + span(sheet.rng, 2, 6), low - span(sheet.rng, 1.5, 3.5), text)


def _czech_head(sheet: Sheet, fill: Writer | None, share: float) -> float:
    rng, w = sheet.rng, sheet.width
    x0, x1 = span(rng, 0, 8), w - span(rng, 0, 12)
    y0 = span(rng, 0, 6)
    width, ink = x1 - x0, grey_of(rng)
    bottom = y0 + min(sheet.height * span(rng, 0.26, 0.36), width * 0.48)
    thin, thick = span(rng, 0.2, 0.45), span(rng, 0.5, 1.2)
    cut = [0.0, span(rng, 0.28, 0.36), span(rng, 0.58, 0.68), 1.0]
    a, b, c = (x0 + width * f for f in cut[1:])
    face = Print(sheet, pick(rng, ("sans", "sans", "serif")), span(rng, 6.5, 9), ink)
    rows = whole(rng, 2, 4)
    left_low = bottom if chance(rng, 0.2) else y0 + (bottom - y0) * 0.66
    step = (left_low - y0) / rows
    captions = (
        [pick(rng, _CAPTIONS) for _ in range(24)] if chance(rng, 0.3) else list(_CAPTIONS) * 2
    )
    for row in range(rows):
        top = y0 + row * step
        _field(sheet, face, fill, share, x0, top, top + step, captions[row * 2], a - x0)
        _field(sheet, face, fill, share, a, top, top + step, captions[row * 2 + 1], b - a)
        sheet.rule(x0, top + step, b, top + step, thick if row == rows - 1 else thin, ink)
    sheet.rule(a, y0, a, left_low, thin, ink)
    sheet.rule(b, y0, b, bottom, thick if chance(rng, 0.6) else thin, ink)
    if left_low < bottom:
        _field(
            sheet,
            face,
            fill,
            share * 0.5,
            x0,
            left_low,
            left_low + (bottom - left_low) * 0.6,
            "Literatura",
            b - x0,
        )
    right_rows = whole(rng, 4, 6)
    for row in range(right_rows):
        top, low = (y0 + (bottom - y0) * (row + k) / right_rows for k in (0, 1))
        _field(sheet, face, fill, share, b, top, low, captions[8 + row], c - b)
        sheet.rule(b, low, c, low, thin, ink)
    if chance(rng, 0.7):
        middle = b + (c - b) * span(rng, 0.5, 0.7)
        sheet.rule(middle, y0, middle, y0 + (bottom - y0) / right_rows, thin, ink)
    sheet.rule(x0, bottom, c, bottom, thin, ink)
    if chance(rng, 0.3):
        sheet.frame(x0, y0, c, bottom, thin, ink)
    sheet.mark("table", x0, y0, x1, bottom)
    return bottom


def _flat_head(sheet: Sheet, fill: Writer | None, share: float) -> float:
    """Three narrow rows right across a landscape card."""
    rng = sheet.rng
    x0, x1, y = span(rng, 0, 6), sheet.width - span(rng, 0, 8), span(rng, 1, 6)
    ink, step = grey_of(rng), span(rng, 9, 14)
    face = Print(sheet, "sans", span(rng, 5, 7.5), ink)
    stock = pick(rng, (_GERMAN, _CAPTIONS))
    top = y
    for _ in range(whole(rng, 2, 4)):
        cells = np.sort(rng.random(whole(rng, 2, 4)))
        edges = [x0, *(x0 + (x1 - x0) * f for f in cells), x1]
        for a, b in zip(edges, edges[1:], strict=False):
            if b - a > 9:
                _field(sheet, face, fill, share, a, y, y + step, pick(rng, stock), b - a)
            sheet.rule(a, y, a, y + step, 0.25, ink)
        y += step
        sheet.rule(x0, y, x1, y, span(rng, 0.2, 0.6), ink)
    sheet.mark("table", x0, top, x1, y)
    return y


def _small_head(sheet: Sheet, fill: Writer | None, share: float) -> float:
    """A narrow strip of cells under the top margin, as computer-made plans have."""
    rng = sheet.rng
    width = sheet.width * span(rng, 0.4, 0.9)
    x0, y0 = (sheet.width - width) / 2, span(rng, 8, 30)
    ink, face = grey_of(rng), None
    face = Print(sheet, "sans", span(rng, 4.5, 7), ink)
    rows, columns, step = whole(rng, 1, 3), whole(rng, 3, 7), span(rng, 6, 10)
    for row in range(rows):
        for column in range(columns):
            a, y = x0 + width * column / columns, y0 + row * step
            sheet.frame(a, y, a + width / columns, y + step, 0.25, ink)
            _field(
                sheet,
                face,
                fill if step > 8 else None,
                share,
                a,
                y,
                y + step,
                pick(rng, _CAPTIONS),
                width / columns,
            )
    sheet.mark("table", x0, y0, x0 + width, y0 + rows * step)
    return y0 + rows * step


def columns_of(rng: np.random.Generator, x0: float, x1: float, count: int) -> list[float]:
    """Edges of `count` columns of uneven width, mm."""
    weights = np.cumsum(rng.random(count) + 0.35)
    return [x0, *(x0 + (x1 - x0) * w / weights[-1] for w in weights)]


def table(
    sheet: Sheet,
    fill: Writer,
    letter: float,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    *,
    row: float,
    head: Writer | None = None,
    rules: str | None = None,
    full: float = 0.85,
    lines: int = 1,
    ink: Colour | None = None,
) -> None:
    """A table filled by `fill`, whose letters are `letter` mm wide, in rows of `row` mm.

    `rules`: "all", "columns", "rows", "frame" or "none"; `full` is the share of filled cells,
    `lines` the most lines of text in a cell.
    """
    rng = sheet.rng
    rules = rules or pick(rng, ("all", "all", "columns", "rows", "none"))
    ink = ink or grey_of(rng)
    edges = columns_of(rng, x0, x1, whole(rng, 3, 8))
    tongue, thin = language(rng), span(rng, 0.15, 0.45)
    y, first, shade = y0, True, rng.random() < 0.2
    until = y1 if chance(rng, 0.7) else y0 + (y1 - y0) * span(rng, 0.2, 0.9)
    dense = max(0.35, span(rng, 0.4, 1.0) * full)
    while y + row <= y1:
        tall = row * (whole(rng, 1, lines) if not first else 1)
        for a, b in zip(edges, edges[1:], strict=False):
            room = int((b - a - 2) / letter)
            for line in range(max(1, round(tall / row))):
                if room > 0 and (first or (y < until and rng.random() < dense)):
                    (head or fill if first else fill)(
                        a + 1.2, y + row * (line + 0.75), cell(rng, tongue)[:room]
                    )
        if rules in ("all", "rows") or (first and rules != "none"):
            sheet.rule(x0, y + tall, x1, y + tall, thin * (1.6 if first else 1), ink)
        y, first = y + tall, False
    if rules in ("all", "columns"):
        for edge in edges if chance(rng, 0.7) else edges[1:-1]:
            sheet.rule(edge, y0, edge, y, thin, ink)
    if rules in ("all", "frame") or shade:
        sheet.frame(x0, y0, x1, y, thin, ink)
    sheet.mark("table", x0, y0, x1, y)


def stamp(sheet: Sheet, x: float, y: float) -> None:
    """An office's rubber stamp near (x, y) mm: a box with lines or a ring with a rim of letters."""
    rng, s = sheet.rng, sheet.scale
    colour = pick(rng, ((70, 70, 75), (60, 50, 130), (130, 50, 60), (50, 90, 80), (110, 60, 130)))
    path = pick_font(pick(rng, ("sans", "sans_bold", "serif")), rng) or ""
    ring = chance(rng, 0.3)
    width, height = (span(rng, 26, 38),) * 2 if ring else (span(rng, 40, 72), span(rng, 14, 26))
    mask = Image.new("L", (round(width * s), round(height * s)))
    pen, w, h = ImageDraw.Draw(mask), round(width * s), round(height * s)
    font = open_font(path, round(span(rng, 2.6, 3.6) * s))
    if ring:
        pen.ellipse((1, 1, w - 2, h - 2), outline=255, width=max(1, round(0.5 * s)))
        pen.ellipse(
            (w * 0.22, h * 0.22, w * 0.78, h * 0.78), outline=255, width=max(1, round(0.3 * s))
        )
        for angle in np.linspace(0, 2 * np.pi, 26)[:-2]:
            pen.text(
                (w / 2 + np.cos(angle) * w * 0.39, h / 2 + np.sin(angle) * h * 0.39),
                pick(rng, "STÁNIÚAVPRMEOK"),
                font=font,
                fill=255,
                anchor="mm",
            )
        pen.text((w / 2, h / 2), pick(rng, ("ČSR", "9", "KNV")), font=font, fill=255, anchor="mm")
    else:
        pen.rectangle(
            (1, 1, w - 2, h - 2), outline=255, width=max(1, round(span(rng, 0.4, 0.9) * s))
        )
        pen.text(
            (w / 2, h * 0.22),
            pick(
                rng, ("STÁTNÍ ARCHEOLOGICKÝ ÚSTAV", "ARCHEOLOGICKÝ ÚSTAV ČSAV", "DOŠLO", "MUZEUM")
            ),
            font=font,
            fill=255,
            anchor="mm",
        )
        pen.text((w / 2, h * 0.55), date(rng), font=font, fill=255, anchor="mm")
        pen.line((w * 0.05, h * 0.68, w * 0.95, h * 0.68), fill=255)
        pen.text((w * 0.3, h * 0.84), number(rng), font=font, fill=255, anchor="mm")
    clouds = np.asarray(smooth_noise(rng, mask.size, (6, 4)), np.float32) / 255
    strength = np.clip(clouds * 1.2 + span(rng, -0.1, 0.5), 0.1, 1)
    faded = Image.fromarray((np.asarray(mask) * strength).astype(np.uint8)).rotate(
        rng.normal(0, 4), expand=True
    )
    sheet.stamp_mask(faded, x, y, colour)
    sheet.mark("print", x, y, x + width, y + height)


def library_marks(sheet: Sheet) -> None:
    """Marks that the archive itself left: a pencilled number in a corner, a bold K."""
    rng, w = sheet.rng, sheet.width
    if chance(rng, 0.3):
        Hand(
            sheet,
            size=span(rng, 1.8, 3.2),
            colour=pick(rng, ((120, 120, 125), (60, 60, 60), (40, 40, 110))),
        ).put(w - span(rng, 25, 55), span(rng, 6, 14), number(rng))
    if chance(rng, 0.15):
        tone = whole(rng, 20, 130)
        Print(sheet, "serif_bold", span(rng, 18, 30), (tone, tone, tone)).put(
            w - span(rng, 10, 30), span(rng, 14, 35), pick(rng, ("K", "K."))
        )
    if chance(rng, 0.06):
        stamp(sheet, w - span(rng, 75, 90), span(rng, 2, 10))


def writer_of(tool: Hand | Typewriter | Print) -> tuple[Writer, float]:
    """How to write with the tool, and the width of its letters in mm."""
    if isinstance(tool, Hand):
        return tool.put, tool.letter
    if isinstance(tool, Typewriter):
        return tool.put, tool.pitch
    return tool.put, tool.size * 0.5
