"""Measured drawings: maps, ground plans, squared paper, scale bars and north arrows."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from bundled_models.synthetic_pages.sheet import BLACK, Box, Colour, Sheet
from bundled_models.synthetic_pages.words import chance, number, phrase, pick, span, whole
from bundled_models.synthetic_pages.writing.hand import Hand, spline
from bundled_models.synthetic_pages.writing.ink import Print

INKS: tuple[Colour, ...] = (BLACK, BLACK, BLACK, (60, 60, 64), (90, 88, 86), (30, 40, 80))


def blob(
    rng: np.random.Generator,
    cx: float,
    cy: float,
    rx: float,
    ry: float,
    rough: float = 0.15,
    points: int = 12,
) -> np.ndarray:
    """A closed uneven outline round (cx, cy), as (n, 2) in mm."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radius = 1 + rng.normal(0, rough, points)
    outline = np.stack(
        [cx + np.cos(angles) * rx * radius, cy + np.sin(angles) * ry * radius], axis=1
    )
    return spline(np.concatenate([outline, outline[:2]]))


def map_plan(sheet: Sheet, box: Box) -> None:
    """A cadastral or ordnance map: roads, parcels, contour lines, streams, names."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    w, h, ink = x1 - x0, y1 - y0, pick(rng, INKS)
    fine = span(rng, 0.12, 0.3)
    if chance(rng, 0.8):
        _parcels(sheet, box, fine, ink)
    for _ in range(whole(rng, 3, 12)):  # roads and streams
        count = whole(rng, 4, 7)
        path = np.stack(
            [np.linspace(0, 1, count), span(rng, 0, 1) + np.cumsum(rng.normal(0, 0.13, count))],
            axis=1,
        )
        if chance(rng, 0.5):
            path = path[:, ::-1]
        curve = spline(np.clip(path, 0, 1) * (w, h) + (x0, y0))
        sheet.line([tuple(p) for p in curve], pick(rng, (fine, fine * 1.5, 0.6, 1.0)), ink)
        if chance(rng, 0.4):
            sheet.line([(p[0] + 0.9, p[1] + 0.9) for p in curve], fine, ink)
    if chance(rng, 0.6):
        for _ in range(whole(rng, 1, 3)):  # hills
            cx, cy, shape = span(rng, x0, x1), span(rng, y0, y1), rng.normal(0, 0.12, 12)
            for ring in range(whole(rng, 3, 8)):
                angles = np.linspace(0, 2 * np.pi, 13)
                radius = (ring + 1) * span(rng, 3, 6) * (1 + np.append(shape, shape[0]))
                contour = np.stack(
                    [cx + np.cos(angles) * radius, cy + np.sin(angles) * radius * 0.8], axis=1
                )
                sheet.line(
                    [tuple(p) for p in np.clip(spline(contour), (x0, y0), (x1, y1))],
                    fine * 0.8,
                    ink,
                )
    for _ in range(whole(rng, 0, 40)):  # houses
        a, b = span(rng, x0, x1 - 3), span(rng, y0, y1 - 3)
        sheet.frame(
            a,
            b,
            a + span(rng, 0.8, 3),
            b + span(rng, 0.8, 3),
            0.2,
            ink,
            ink if chance(rng, 0.7) else None,
        )
    _names(sheet, box, whole(rng, 2, 14))
    if chance(rng, 0.35):
        _cut_to_shape(sheet, box, fine, ink)
    elif chance(rng, 0.6):
        sheet.frame(x0, y0, x1, y1, pick(rng, (0.25, 0.5, 1.0)), ink)
    sheet.mark("drawing", *box)


def _parcels(sheet: Sheet, box: Box, fine: float, ink: Colour) -> None:
    """A bent net of field bounds, many fields cut into strips."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    columns, rows = whole(rng, 2, 8), whole(rng, 2, 8)
    net = np.stack(
        np.meshgrid(np.linspace(x0, x1, columns + 1), np.linspace(y0, y1, rows + 1)), axis=-1
    )
    bend = rng.normal(0, 0.25, net.shape) * ((x1 - x0) / columns, (y1 - y0) / rows)
    net = np.clip(net + bend, (x0, y0), (x1, y1))
    empty, strips = span(rng, 0.05, 0.5), span(rng, 0.1, 0.7)
    for row in range(rows):
        for column in range(columns):
            a, b, c, d = (
                net[row, column],
                net[row, column + 1],
                net[row + 1, column + 1],
                net[row + 1, column],
            )
            if chance(rng, empty):
                continue
            sheet.line([tuple(a), tuple(b), tuple(c), tuple(d), tuple(a)], fine, ink)
            if not chance(rng, strips):
                continue
            if chance(rng, 0.5):
                a, b, c, d = b, c, d, a
            for part in np.sort(rng.random(whole(rng, 2, 14))):
                sheet.line([tuple(a + (b - a) * part), tuple(d + (c - d) * part)], fine, ink)


def _cut_to_shape(sheet: Sheet, box: Box, fine: float, ink: Colour) -> None:
    """Leave of a map only what lies within a parish's uneven bounds."""
    rng, s = sheet.rng, sheet.scale
    x0, y0, x1, y1 = box
    area = tuple(round(c * s) for c in box)
    outline = blob(
        rng,
        (x0 + x1) / 2,
        (y0 + y1) / 2,
        (x1 - x0) * 0.47,
        (y1 - y0) * 0.47,
        0.16,
        whole(rng, 9, 22),
    )
    outline = np.clip(outline, (x0, y0), (x1, y1))
    mask = Image.new("L", (area[2] - area[0], area[3] - area[1]), 255)
    ImageDraw.Draw(mask).polygon(((outline - (x0, y0)) * s).ravel().tolist(), fill=0)
    sheet.stamp_mask(mask, x0, y0, (255, 255, 255))
    sheet.shape(outline, None, ink, pick(rng, (fine, 0.5, 0.9)))


def _names(sheet: Sheet, box: Box, count: int) -> None:
    rng = sheet.rng
    face = Print(sheet, pick(rng, ("serif_italic", "sans", "serif")), span(rng, 6, 10))
    hand = Hand(sheet, size=span(rng, 1.2, 2.2))
    by_hand = chance(rng, 0.5)
    for _ in range(count):
        x, y = span(rng, box[0], box[2] - 18), span(rng, box[1] + 4, box[3])
        text = pick(rng, (phrase(rng, "cs", 1, 1).title(), number(rng)[:5]))
        (hand if by_hand else face).put(x, y, text)


def building(sheet: Sheet, box: Box) -> None:
    """A ground plan with thick walls, openings and dimension lines."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    ink, wall = pick(rng, INKS), span(rng, 1.0, 3.5)
    solid = chance(rng, 0.5)
    rooms = [box]
    for _ in range(whole(rng, 1, 9)):
        a, b, c, d = rooms.pop(whole(rng, 0, len(rooms) - 1))
        at = span(rng, 0.3, 0.7)
        if c - a > d - b:
            rooms += [(a, b, a + (c - a) * at, d), (a + (c - a) * at, b, c, d)]
        else:
            rooms += [(a, b, c, b + (d - b) * at), (a, b + (d - b) * at, c, d)]
    for a, b, c, d in rooms if chance(rng, 0.6) else rooms[1:] or rooms:
        if solid:
            sheet.frame(a, b, c, d, wall, ink)
        else:
            sheet.frame(a, b, c, d, 0.3, ink)
            sheet.frame(
                a + wall, b + wall, max(a + wall, c - wall), max(b + wall, d - wall), 0.3, ink
            )
        sheet.frame((a + c) / 2, b - 0.2, (a + c) / 2 + 5, b + wall + 0.2, 0, ink, (255, 255, 255))
    for y in (y0 - 4, y1 + 4)[: whole(rng, 0, 2)]:
        sheet.line([(x0, y), (x1, y)], 0.2, ink)
        for x in np.linspace(x0, x1, whole(rng, 3, 7)):
            sheet.line([(x - 1, y + 1), (x + 1, y - 1)], 0.3, ink)
    _names(sheet, box, whole(rng, 1, 6))
    sheet.mark("drawing", *box)


def grid_paper(sheet: Sheet, box: Box, step: float, colour: Colour, width: float = 0.12) -> None:
    """Squared or millimetre paper, with stronger lines every fifth."""
    x0, y0, x1, y1 = box
    for i, x in enumerate(np.arange(x0, x1 + 0.01, step)):
        sheet.line([(x, y0), (x, y1)], width * (2.5 if i % 5 == 0 else 1), colour)
    for i, y in enumerate(np.arange(y0, y1 + 0.01, step)):
        sheet.line([(x0, y), (x1, y)], width * (2.5 if i % 5 == 0 else 1), colour)


def scale_and_north(sheet: Sheet, box: Box) -> None:
    """A scale bar, a north arrow, both or neither, at the edges of `box`."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    face = Print(sheet, "sans", span(rng, 7, 10))
    if chance(rng, 0.6):
        x, length = x0 + span(rng, 0, 0.4) * (x1 - x0), span(rng, 25, 60)
        for i in range(5):
            a = x + length * i / 5
            sheet.frame(
                a, y1, a + length / 5, y1 + 1.5, 0.2, BLACK, BLACK if i % 2 else (255, 255, 255)
            )
            face.put(a, y1 + 5, str(i * 2))
        sheet.mark("drawing", x, y1 - 1, x + length, y1 + 2)
    if chance(rng, 0.5):
        x, y, r = x1 - span(rng, 3, 15), y0 + span(rng, 5, 15), span(rng, 6, 14)
        sheet.line([(x, y + r), (x, y - r)], 0.35)
        sheet.shape(np.array([(x, y - r), (x - 1.5, y - r + 5), (x + 1.5, y - r + 5)]), BLACK)
        face.put(x, y - r - 1, pick(rng, ("N", "S", "↑")) if chance(rng, 0.8) else "N", "m")
