"""Workshop drawings: views of a part with measures, and the sheet's border with its zones."""

from __future__ import annotations

import numpy as np

from bundled_models.synthetic_pages.pictures.charts import Letterer, letterer
from bundled_models.synthetic_pages.sheet import BLACK, Box, Sheet
from bundled_models.synthetic_pages.words import chance, pick, span, whole
from bundled_models.synthetic_pages.writing.ink import Print


def _ring(sheet: Sheet, x: float, y: float, r: float, pen: float) -> None:
    box = tuple(c * sheet.scale for c in (x - r, y - r, x + r, y + r))
    sheet.draw.ellipse(box, outline=sheet.ink(BLACK), width=max(1, round(pen * sheet.scale)))


def _measure(sheet: Sheet, tool: Letterer, a: float, b: float, at: float, flat: bool) -> None:
    """A dimension line with its figure from `a` to `b`, `flat` at height `at` or upright there."""
    rng, ends = sheet.rng, ((a, at), (b, at))
    for along, across in ends:
        tick = [(along, across - 4), (along, across + 1)]
        mark = [(along - 0.8, across + 0.8), (along + 0.8, across - 0.8)]
        for line in (tick, mark):
            sheet.line(line if flat else [(y, x) for x, y in line], 0.18)
    sheet.line(list(ends) if flat else [(y, x) for x, y in ends], 0.18)
    text = pick(rng, (f"{whole(rng, 3, 480)}", f"{span(rng, 1, 90):.2f}", f"ø{whole(rng, 4, 90)}"))
    middle = (a + b) / 2 - 2
    tool.put(*((middle, at - 0.8) if flat else (at + 0.8, middle + 2)), text)


def _view(sheet: Sheet, tool: Letterer, box: Box) -> None:
    """One view: an outline with steps, bores with their axes, perhaps a hatched cut, measures."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    w, h, pen = x1 - x0, y1 - y0, span(rng, 0.3, 0.6)
    sheet.frame(x0, y0, x1, y1, pen)
    for _ in range(whole(rng, 1, 4)):
        a, b = (x0 + w * span(rng, 0, 0.6), y0 + h * span(rng, 0, 0.6))
        sheet.frame(a, b, a + w * span(rng, 0.1, 0.4), b + h * span(rng, 0.1, 0.4), pen * 0.8)
    for _ in range(whole(rng, 0, 5)):
        x, y = x0 + w * span(rng, 0.15, 0.85), y0 + h * span(rng, 0.15, 0.85)
        r = min(w, h) * span(rng, 0.04, 0.2)
        _ring(sheet, x, y, r, pen * 0.8)
        for line in ([(x - r - 2, y), (x + r + 2, y)], [(x, y - r - 2), (x, y + r + 2)]):
            sheet.line(line, 0.15)
    if chance(rng, 0.4):
        a, b = x0 + w * span(rng, 0.1, 0.5), x0 + w * span(rng, 0.6, 0.95)
        for x in np.arange(a, b, 1.4):
            sheet.line([(float(x), y1), (min(float(x) + h * 0.3, b), y1 - h * 0.3)], 0.15)
    for i in range(whole(rng, 1, 3)):
        start = x0 + w * span(rng, 0, 0.4)
        _measure(sheet, tool, start, x1 - w * span(rng, 0, 0.3), y0 - 4 - 5 * i, True)
    if chance(rng, 0.8):
        _measure(sheet, tool, y0, y1, x1 + 6, False)


def part_views(sheet: Sheet, box: Box) -> None:
    """Two to six views of a part or of a building's members, spread over `box` (mm)."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    tool = letterer(sheet)
    across, down = pick(rng, ((1, 2), (2, 1), (2, 2), (2, 3), (3, 2)))
    wide, tall = (x1 - x0) / across, (y1 - y0) / down
    for i in range(across * down):
        if i and chance(rng, 0.15):
            continue
        a, b = x0 + i % across * wide, y0 + i // across * tall
        size = (wide * span(rng, 0.45, 0.78), tall * span(rng, 0.35, 0.62))
        place = (
            a + wide * 0.1,
            b + tall * 0.25,
            a + wide * 0.1 + size[0],
            b + tall * 0.25 + size[1],
        )
        _view(sheet, tool, place)
        if chance(rng, 0.5):
            tool.put(place[0], min(y1, place[3] + 7), pick(rng, ("SECTION A-A", "A - A", "1:10")))
    sheet.mark("drawing", *box)


def zones(sheet: Sheet, edge: float) -> None:
    """A drawing sheet's double border with letters and figures for its zones."""
    w, h = sheet.width, sheet.height
    face = Print(sheet, "sans", 7)
    sheet.frame(edge, edge, w - edge, h - edge, 0.6)
    sheet.frame(edge - 5, edge - 5, w - edge + 5, h - edge + 5, 0.25)
    across, down = max(2, round(w / 55)), max(2, round(h / 55))
    for i in range(across):
        x = edge + (w - 2 * edge) * (i + 0.5) / across
        for y in (edge - 1.2, h - edge + 3.8):
            face.put(x, y, str(across - i), "m")
    for i in range(down):
        y = edge + (h - 2 * edge) * (i + 0.5) / down
        for x in (edge - 2.5, w - edge + 2.5):
            face.put(x, y, "FEDCBA"[i % 6], "m")
