"""Coloured maps and town plans: streets and blocks of houses, rivers, areas in flat tints."""

from __future__ import annotations

import numpy as np

from bundled_models.synthetic_pages.pictures.maps import blob
from bundled_models.synthetic_pages.sheet import BLACK, Box, Colour, Sheet
from bundled_models.synthetic_pages.words import NAMES, PLACES, chance, pick, span, whole
from bundled_models.synthetic_pages.writing.hand import spline
from bundled_models.synthetic_pages.writing.ink import Print

_HOUSES: tuple[Colour, ...] = ((240, 215, 110), (240, 215, 110), (230, 170, 170), (190, 205, 225))
_TINTS: tuple[Colour, ...] = (
    (230, 160, 150), (240, 215, 130), (170, 200, 150), (165, 190, 215), (200, 170, 200),
    (225, 195, 160), (190, 205, 190), (215, 120, 110),
)  # fmt: skip


def town_plan(sheet: Sheet, box: Box) -> None:
    """Blocks between streets, cut into lots with houses, some tinted; a river, street names."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    face = Print(sheet, pick(rng, ("sans", "serif")), span(rng, 5, 8))
    across, down, street = whole(rng, 2, 6), whole(rng, 2, 7), span(rng, 3, 8)
    wide, tall = (x1 - x0) / across, (y1 - y0) / down
    for row in range(down):
        for column in range(across):
            if chance(rng, 0.1):
                continue
            a, b = x0 + column * wide + street / 2, y0 + row * tall + street / 2
            _block(sheet, (a, b, a + wide - street, b + tall - street), face)
        if chance(rng, 0.7):
            face.put((x0 + x1) / 2, y0 + row * tall + 1, pick(rng, PLACES).upper() + " ST.", "m")
    if chance(rng, 0.45):
        _river(sheet, box)
    if chance(rng, 0.5):
        sheet.frame(*box, span(rng, 0.4, 1.2))
    if chance(rng, 0.5):
        _cartouche(sheet, box)
    sheet.mark("drawing", *box)


def _block(sheet: Sheet, box: Box, face: Print) -> None:
    """One block: its bounds, lots on both sides, houses with numbers."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    if min(x1 - x0, y1 - y0) < 4:
        return
    sheet.frame(*box, 0.3)
    lots, middle = whole(rng, 2, 8), (y0 + y1) / 2
    sheet.rule(x0, middle, x1, middle, 0.15)
    for i in range(lots):
        a, b = (x0 + (x1 - x0) * (i + k) / lots for k in (0, 1))
        sheet.rule(b, y0, b, y1, 0.15)
        for top, low in ((y0, middle), (middle, y1)):
            if chance(rng, 0.65):
                left, up = (
                    a + (b - a) * span(rng, 0.05, 0.3),
                    top + (low - top) * span(rng, 0.05, 0.3),
                )
                right, down = (
                    a + (b - a) * span(rng, 0.6, 0.95),
                    top + (low - top) * span(rng, 0.5, 0.95),
                )
                fill = pick(rng, _HOUSES) if chance(rng, 0.6) else None
                sheet.frame(left, up, right, down, 0.2, BLACK, fill)
                if chance(rng, 0.4):
                    face.put(
                        left + 0.5, down - 0.5, pick(rng, ("D", "S", "2", str(whole(rng, 1, 99))))
                    )


def _river(sheet: Sheet, box: Box) -> None:
    """A broad river right through, with lines along its banks."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    at = np.clip(0.5 + np.cumsum(rng.normal(0, 0.1, 7)), 0.1, 0.9) * (x1 - x0) + x0
    line = spline(np.stack([at, np.linspace(y0, y1, 7)], axis=1))
    half = span(rng, 3, 18)
    banks = np.concatenate([line - (half, 0), (line + (half, 0))[::-1]])
    banks = np.clip(banks, (x0, y0), (x1, y1))
    sheet.shape(banks, pick(rng, ((185, 210, 225), (255, 255, 255), (150, 175, 190))), BLACK, 0.4)
    for inset in (0.8, 2.0, 3.6):
        for side in (-1, 1):
            bank = np.clip(line + (side * (half - inset), 0), (x0, y0), (x1, y1))
            sheet.line([tuple(p) for p in bank.tolist()], 0.15, (80, 100, 120))


def _cartouche(sheet: Sheet, box: Box) -> None:
    """The map's name, its author and scale in a frame of its own."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    wide, tall = min(60.0, (x1 - x0) * 0.4), span(rng, 18, 30)
    x, y = pick(rng, (x0 + 4, x1 - wide - 4)), pick(rng, (y0 + 4, y1 - tall - 4))
    sheet.frame(x, y, x + wide, y + tall, 0.4, BLACK, (255, 255, 255))
    for i, (points, text) in enumerate(
        (
            (13.0, pick(rng, PLACES).upper()),
            (7.0, pick(rng, NAMES)),
            (7.0, f"1 : {whole(rng, 1, 75)}000"),
        )
    ):
        face = Print(sheet, pick(rng, ("serif_bold", "serif")), points)
        face.put(x + wide / 2, y + tall * (0.3 + 0.27 * i), text[:16], "m")


def tinted_map(sheet: Sheet, box: Box) -> None:
    """Areas in flat tints with dark bounds, rivers, a net of degrees and names of places."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    sheet.toned = True
    face = Print(sheet, pick(rng, ("serif_italic", "serif")), span(rng, 5, 8))
    for _ in range(whole(rng, 6, 26)):
        cx, cy = span(rng, x0, x1), span(rng, y0, y1)
        rx, ry = (span(rng, 0.06, 0.28) * (x1 - x0) for _ in range(2))
        area = np.clip(blob(rng, cx, cy, rx, ry, 0.22, whole(rng, 8, 16)), (x0, y0), (x1, y1))
        sheet.shape(area, pick(rng, _TINTS), (90, 80, 75), pick(rng, (0.2, 0.4)))
    for _ in range(whole(rng, 2, 9)):
        path = np.stack(
            [np.linspace(0, 1, 6), span(rng, 0, 1) + np.cumsum(rng.normal(0, 0.12, 6))], 1
        )
        path = path[:, ::-1] if chance(rng, 0.5) else path
        curve = spline(np.clip(path, 0, 1) * (x1 - x0, y1 - y0) + (x0, y0))
        sheet.line([tuple(p) for p in curve.tolist()], pick(rng, (0.2, 0.35)), (60, 80, 110))
    for _ in range(whole(rng, 6, 50)):
        face.put(span(rng, x0, x1 - 15), span(rng, y0 + 3, y1), pick(rng, PLACES))
    if chance(rng, 0.5):
        for i in range(1, 5):
            sheet.rule(x0 + (x1 - x0) * i / 5, y0, x0 + (x1 - x0) * i / 5, y1, 0.15)
            sheet.rule(x0, y0 + (y1 - y0) * i / 5, x1, y0 + (y1 - y0) * i / 5, 0.15)
    sheet.frame(*box, span(rng, 0.3, 1.0))
    if chance(rng, 0.5):
        _cartouche(sheet, box)
    sheet.mark("drawing", *box)


def map_page(sheet: Sheet) -> None:
    """A map that fills its page, without a legend."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    edge = span(rng, 2, 18)
    pick(rng, (town_plan, tinted_map))(sheet, (edge, edge, w - edge, h - edge - pick(rng, (0, 10))))
