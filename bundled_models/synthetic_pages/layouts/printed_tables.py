"""Layouts of printed tabular pages: ruled tables, blank forms, print-outs, catalogues."""

from __future__ import annotations

from bundled_models.synthetic_pages.layouts.blanks import context_sheet, dot_matrix, evidence_card
from bundled_models.synthetic_pages.layouts.figures import printed_figures
from bundled_models.synthetic_pages.layouts.forms import columns_of, filling, table
from bundled_models.synthetic_pages.layouts.tables import filled_form
from bundled_models.synthetic_pages.layouts.texts import heading
from bundled_models.synthetic_pages.sheet import BLACK, Colour, Sheet
from bundled_models.synthetic_pages.words import (
    chance,
    language,
    measure,
    number,
    phrase,
    pick,
    sentence,
    span,
    whole,
)
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print


def line_print(sheet: Sheet) -> None:
    """Printed tables, computer print-outs, blank or filled forms, catalogues with prices."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    if chance(rng, 0.5):
        printed_figures(sheet)
        return
    kind, tongue = rng.random(), language(rng)
    face = Print(
        sheet,
        pick(rng, ("sans", "serif", "serif", "sans_bold")),
        pick(rng, (5.5, 6.5, 7, 8, 9, 10, 11)),
    )
    x0, x1, y = span(rng, 5, 30), w - span(rng, 5, 30), span(rng, 12, 35)
    if kind < 0.22:
        _ruled_print(sheet, face, x0, x1, y)
    elif kind < 0.3:
        filled_form(sheet, face, y, pick(rng, (0.0, 0.0, 0.1, 0.5, 0.9)))
        _stray_notes(sheet)
    elif kind < 0.42:
        form = pick(rng, (context_sheet, context_sheet, evidence_card))
        form(sheet, Print(sheet, pick(rng, ("serif", "sans")), span(rng, 7, 10)),
             pick(rng, (0.0, 0.2, 0.6)))  # fmt: skip
        _stray_notes(sheet)
    elif kind < 0.5:
        dot_matrix(sheet)
        _stray_notes(sheet)
    elif kind < 0.66:
        _labels_and_values(sheet, face, tongue)
    elif kind < 0.85:
        _price_list(sheet, face, x0, x1, y, tongue)
    else:
        table(
            sheet,
            face.put,
            face.size * 0.52,
            x0,
            y,
            x1,
            h - span(rng, 8, 60),
            row=face.size * span(rng, 1.3, 2),
            rules="none",
            full=1.2,
        )
    if chance(rng, 0.4):
        Print(sheet, "serif", 9).put(w / 2, h - 6, str(whole(rng, 2, 400)), "m")


def _stray_notes(sheet: Sheet) -> None:
    """Sometimes a number and a mark in pen on a form that stays a printed one."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    if chance(rng, 0.3):
        pen = Hand(sheet, size=span(rng, 1.8, 3.2))
        pen.put(span(rng, 0.1, 0.7) * w, span(rng, 0.05, 0.9) * h, number(rng)[:9])
        if chance(rng, 0.4):
            pen.signature(w * span(rng, 0.3, 0.6), h * span(rng, 0.7, 0.95), span(rng, 8, 20))


def _ruled_print(sheet: Sheet, face: Print, x0: float, x1: float, y: float) -> None:
    """A table with a bold or coloured row of heads, perhaps striped."""
    rng, h = sheet.rng, sheet.height
    tongue = language(rng)
    if chance(rng, 0.6):
        Print(
            sheet, "sans_bold", span(rng, 8, 13), pick(rng, (BLACK, (170, 40, 40), (40, 60, 140)))
        ).put(x0, y - 3, heading(rng, tongue))
    bold = Print(sheet, "sans_bold", face.size / 0.3528)
    edges, row = columns_of(rng, x0, x1, whole(rng, 3, 9)), face.size * span(rng, 1.35, 2.4)
    shade: Colour = pick(
        rng, ((255, 255, 255), (225, 225, 225), (250, 205, 195), (200, 215, 240), (180, 180, 180))
    )
    stripe: Colour = pick(rng, ((255, 255, 255), (255, 255, 255), (240, 240, 240), (252, 238, 234)))
    rules, ink = (
        pick(rng, ("all", "all", "rows", "none")),
        pick(rng, (BLACK, (120, 120, 120), (190, 90, 80))),
    )
    sheet.frame(x0, y, x1, y + row, 0, ink, shade)
    top, bottom, index = y, min(h - 8, y + (h - y) * span(rng, 0.2, 1.0)), 0
    fixed = [rng.random() < 0.5 for _ in edges]
    while y + row < bottom:
        if index and index % 2 == 0:
            sheet.frame(x0, y, x1, y + row, 0, ink, stripe)
        for i, (a, b) in enumerate(zip(edges, edges[1:], strict=False)):
            text = measure(rng) if fixed[i] else phrase(rng, tongue, 1, 6)
            tool = bold if index == 0 else face
            text = (phrase(rng, tongue, 1, 1).capitalize() if index == 0 else text)[
                : max(1, int((b - a - 1.5) / face.size / 0.56))
            ]
            tool.put(a + 1, y + row * 0.72, text)
        y, index = y + row, index + 1
        if rules in ("all", "rows"):
            sheet.rule(x0, y, x1, y, 0.2, ink)
    if rules == "all":
        for edge in edges:
            sheet.rule(edge, top, edge, y, 0.2, ink)
        sheet.frame(x0, top, x1, y, 0.3, ink)
    sheet.mark("table", x0, top, x1, y)


def _labels_and_values(sheet: Sheet, face: Print, tongue: str) -> None:
    """A database's print-out: a label and its value on each line, values perhaps boxed."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    bold = Print(sheet, pick(rng, ("sans_bold", "serif_bold", "serif_italic")), face.size / 0.3528)
    x, y, gap = span(rng, 12, 45), span(rng, 15, 55), span(rng, 20, 50)
    boxed, row = chance(rng, 0.4), face.size * span(rng, 1.5, 2.6)
    bottom, top, columns = h * span(rng, 0.4, 0.95), y, whole(rng, 1, 2)
    if chance(rng, 0.5):
        Print(sheet, "sans", span(rng, 12, 20)).put(x, y - 6, heading(rng, tongue))
    while y < bottom:
        for i in range(columns):
            at = x + i * (w - x) / columns
            room = (w - x) / columns - gap - 8
            label = phrase(rng, tongue, 1, 2)
            bold.put(
                at,
                y,
                (label.upper() if boxed else label.capitalize() + ":")[
                    : int(gap / face.size / 0.7)
                ],
            )
            if boxed:
                sheet.frame(
                    at + gap,
                    y - face.size * 1.1,
                    at + gap + room * pick(rng, (0.3, 0.6, 1, 1)),
                    y + face.size * 0.45,
                    0.2,
                    (140, 140, 140),
                )
            if chance(rng, 0.6):
                face.put(at + gap + 1, y, filling(rng)[: max(3, int(room / face.size / 0.55))])
        y += row
        if chance(rng, 0.08):
            sheet.rule(x - 5, y - row * 0.4, w - x + 5, y - row * 0.4, 0.3)
            y += row
    sheet.mark("table", x, top, w - 10, y)


def _price_list(sheet: Sheet, face: Print, x0: float, x1: float, y: float, tongue: str) -> None:
    """A catalogue's page: numbers left, names, figures right, names of makers as heads."""
    rng, h = sheet.rng, sheet.height
    face = Print(sheet, pick(rng, ("serif", "serif", "sans")), span(rng, 8, 11.5))
    bold = Print(sheet, pick(rng, ("serif_bold", "serif_italic")), face.size / 0.3528)
    step, top, dots, count = (
        face.size * span(rng, 1.25, 1.9),
        y,
        chance(rng, 0.3),
        whole(rng, 1, 400),
    )
    while y < h - 14:
        if chance(rng, 0.25):
            bold.put((x0 + x1) / 2, y, heading(rng, tongue), "m")
        else:
            face.put(x0, y, str(count))
            long = face.put(
                x0 + 10, y, sentence(rng, tongue, 2, 6)[: int((x1 - x0 - 25) / face.size / 0.5)]
            )
            if dots:
                sheet.rule(x0 + 12 + long, y, x1 - 12, y, 0.3, dashes=0.5)
            if chance(rng, 0.8):
                face.put(x1, y, str(whole(rng, 1, 90) * 50), "r")
            count += 1
        y += step
    sheet.mark("table", x0, top, x1, y)
