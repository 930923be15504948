"""Drawings as archives of excavations hold them: pots, tools, graves, sections, charts."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from bundled_models.synthetic_pages.pictures.maps import (
    INKS,
    blob,
    building,
    grid_paper,
    map_plan,
    scale_and_north,
)
from bundled_models.synthetic_pages.pictures.sketches import clip_art, drawn_find, sketched_view
from bundled_models.synthetic_pages.sheet import BLACK, Box, Colour, Sheet, smooth_noise
from bundled_models.synthetic_pages.words import chance, pick, span, whole
from bundled_models.synthetic_pages.writing.hand import spline
from bundled_models.synthetic_pages.writing.ink import Print


def hatch(
    sheet: Sheet,
    outline: np.ndarray,
    step: float,
    angle: float,
    width: float,
    colour: Colour,
    share: float = 1.0,
) -> None:
    """Parallel strokes within a roughly convex outline; `share` leaves part of it white."""
    centre = outline.mean(axis=0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    local = (outline - centre) @ turn
    low, high = local[:, 1].min(), local[:, 1].max()
    for level in np.arange(low + step / 2, high, step):
        near = local[np.abs(local[:, 1] - level) < max(step, (high - low) / 10)]
        if len(near) < 2:
            continue
        a, b = near[:, 0].min(), near[:, 0].max()
        start = b - (b - a) * share * span(sheet.rng, 0.7, 1.0)
        ends = (
            np.array([[start, level], [b, level + sheet.rng.normal(0, step * 0.15)]]) @ turn.T
            + centre
        )
        sheet.line([tuple(ends[0]), tuple(ends[1])], width, colour)


def pot(sheet: Sheet, box: Box, *, profile: bool | None = None) -> None:
    """A vessel: half section in black with half view, or a shaded view."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    cx, half, top, bottom = (x0 + x1) / 2, (x1 - x0) / 2, y0, y1
    knots = np.array(
        [
            [span(rng, 0.45, 1.0), 0],
            [span(rng, 0.4, 0.95), span(rng, 0.12, 0.3)],
            [1.0, span(rng, 0.4, 0.65)],
            [span(rng, 0.4, 0.8), 0.85],
            [span(rng, 0.2, 0.5), 1.0],
        ]
    )
    curve = spline(knots)
    side = np.stack([cx + curve[:, 0] * half, top + curve[:, 1] * (bottom - top)], axis=1)
    other = side * (-1, 1) + (2 * cx, 0)
    ink, pen = pick(rng, INKS), span(rng, 0.2, 0.5)
    sheet.line([tuple(p) for p in side], pen, ink)
    sheet.line([tuple(p) for p in other], pen, ink)
    sheet.line([tuple(side[-1]), tuple(other[-1])], pen, ink)
    if profile if profile is not None else chance(rng, 0.6):
        inner = np.stack([other[:, 0] + (bottom - top) * 0.06 + 0.8, other[:, 1] * 1.0], axis=1)
        inner[-1, 1] -= (bottom - top) * 0.06
        sheet.shape(np.concatenate([other, inner[::-1]]), ink)
        sheet.line([tuple(side[0]), tuple(other[0])], pen, ink)
        sheet.line([(cx, top), (cx, bottom)], pen, ink)
        if chance(rng, 0.5):
            for level in np.arange(0.2, 0.6, 0.08)[: whole(rng, 1, 5)]:
                y = top + level * (bottom - top)
                sheet.line([(cx, y), (cx + half * 0.85, y)], pen * 0.7, ink)
    else:
        rim = (side[0, 0] - other[0, 0]) / 2
        angles = np.linspace(0, 2 * np.pi, 25)
        sheet.line([(cx + np.cos(a) * rim, top + np.sin(a) * rim * 0.14) for a in angles], pen, ink)
        _shade_pot(sheet, side, cx, pen, ink)
    sheet.mark("drawing", x0 - 1, y0 - 1, x1 + 1, y1 + 1)


def _shade_pot(sheet: Sheet, side: np.ndarray, cx: float, pen: float, ink: Colour) -> None:
    """Strokes from the right edge inwards, shorter and longer, that make a vessel round."""
    rng, top, bottom = sheet.rng, float(side[0, 1]), float(side[-1, 1])
    deep, step = span(rng, 0.2, 0.75), span(rng, 0.35, 1.2)
    order = np.argsort(side[:, 1])
    for y in np.arange(top + step, bottom, step):
        edge = float(np.interp(y, side[order, 1], side[order, 0]))
        reach = (edge - cx) * 2 * deep * span(rng, 0.25, 1.0)
        sag = (edge - cx) * 0.05
        sheet.line(
            [(edge, y), (edge - reach / 2, y + sag), (edge - reach, y + sag)], pen * 0.6, ink
        )
        if chance(rng, 0.25):
            left = 2 * cx - edge
            sheet.line([(left, y), (left + reach * 0.3, y + sag)], pen * 0.6, ink)


def _wash(sheet: Sheet, outline: np.ndarray) -> None:
    """A tint of pencil or water colour within an outline."""
    rng, s = sheet.rng, sheet.scale
    low, high = outline.min(axis=0), outline.max(axis=0)
    size = (max(4, int((high[0] - low[0]) * s)), max(4, int((high[1] - low[1]) * s)))
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon(((outline - low) * s).ravel().tolist(), fill=255)
    strength = np.asarray(smooth_noise(rng, size, (5, 6)), np.float32) / 255 * span(rng, 0.2, 0.7)
    strength = strength + np.linspace(0, span(rng, 0.0, 0.4), size[0], dtype=np.float32)
    if chance(rng, 0.6):  # the strokes of the pencil
        strength = strength * (0.6 + 0.4 * rng.random(size[1], dtype=np.float32)[:, None])
    tinted = (np.asarray(mask) * np.clip(strength, 0, 0.85)).astype(np.uint8)
    sheet.stamp_mask(
        Image.fromarray(tinted),
        float(low[0]),
        float(low[1]),
        pick(
            rng,
            ((60, 60, 62), (60, 60, 62), (40, 40, 42), (120, 90, 60), (70, 95, 80), (150, 70, 50)),
        ),
    )


def tool(sheet: Sheet, box: Box) -> None:
    """A stone or bronze implement with facets and hatching."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    ink, pen = pick(rng, INKS), span(rng, 0.2, 0.45)
    outline = blob(
        rng, (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2, span(rng, 0.04, 0.16)
    )
    fill = pick(rng, (None, None, None, (70, 72, 74), (120, 118, 112), (210, 205, 190)))
    sheet.shape(outline, fill, ink, pen)
    if fill is None and chance(rng, 0.4):
        _wash(sheet, outline)
    centre = outline.mean(axis=0)
    for _ in range(whole(rng, 1, 4)):
        a, b = (
            outline[whole(rng, 0, len(outline) - 1)],
            centre + rng.normal(0, 0.15, 2) * (x1 - x0, y1 - y0),
        )
        sheet.line(
            [tuple(a), tuple(b), tuple(outline[whole(rng, 0, len(outline) - 1)])], pen * 0.8, ink
        )
    if chance(rng, 0.7):
        hatch(
            sheet,
            outline,
            span(rng, 0.6, 1.6),
            span(rng, 0, np.pi),
            pen * 0.5,
            ink,
            span(rng, 0.2, 0.7),
        )
    if chance(rng, 0.25):
        r = min(x1 - x0, y1 - y0) * 0.14
        sheet.shape(blob(rng, centre[0], centre[1], r, r, 0.03), (255, 255, 255), ink, pen)
    sheet.mark("drawing", x0, y0, x1, y1)


def grave(sheet: Sheet, box: Box) -> None:
    """A grave's plan: pit outline, bones of a skeleton, stones."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    cx, cy, w, h = (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
    ink, pen = pick(rng, INKS), span(rng, 0.25, 0.5)
    sheet.shape(blob(rng, cx, cy, w * 0.46, h * 0.44, 0.05), None, ink, pen)
    along = np.array([1.0, rng.normal(0, 0.2)]) if w > h else np.array([rng.normal(0, 0.2), 1.0])
    across, unit = np.array([-along[1], along[0]]), min(max(w, h) * 0.1, min(w, h) * 0.2)
    centre = np.array([cx, cy])
    head = centre - along * unit * 3.4
    sheet.shape(blob(rng, head[0], head[1], unit * 0.55, unit * 0.5, 0.06), None, ink, pen)
    for i in range(8):
        spot = head + along * unit * (0.8 + 0.32 * i)
        for side in (-1, 1):
            rib = np.array(
                [
                    spot,
                    spot + across * unit * 0.45 * side + along * unit * 0.1,
                    spot + across * unit * 0.5 * side + along * unit * 0.35,
                ]
            )
            sheet.line([tuple(p) for p in spline(rib)], pen * 0.8, ink)
        bone = blob(rng, spot[0], spot[1], unit * 0.1, unit * 0.1, 0.1, 6)
        sheet.shape(bone, None, ink, pen * 0.7)
    hip = head + along * unit * 3.4
    sheet.shape(blob(rng, hip[0], hip[1], unit * 0.5, unit * 0.5, 0.2), None, ink, pen)
    for side in (-1, 1):
        knee = hip + along * unit * span(rng, 0.6, 2.0) + across * unit * side * span(rng, 0.3, 1.4)
        foot = knee + along * unit * span(rng, -0.4, 1.9) - across * unit * side * span(rng, 0, 1.2)
        elbow = head + along * unit * 2 + across * unit * side * span(rng, 0.6, 1.0)
        hand_at = elbow + rng.normal(0, 0.8, 2) * unit
        for a, b in (
            (hip, knee),
            (knee, foot),
            (head + along * unit * 0.8, elbow),
            (elbow, hand_at),
        ):
            edge = (
                np.array([b[1] - a[1], a[0] - b[0]]) / (np.linalg.norm(b - a) + 1e-6) * unit * 0.09
            )
            sheet.shape(
                np.array(
                    [
                        a + edge,
                        (a + b) / 2 + edge * 0.6,
                        b + edge,
                        b - edge,
                        (a + b) / 2 - edge * 0.6,
                        a - edge,
                    ]
                ),
                None,
                ink,
                pen,
            )
    for _ in range(whole(rng, 0, 8)):
        _stone(sheet, centre + rng.normal(0, 0.18, 2) * (w, h), ink, pen)
    sheet.mark("drawing", *box)


def _stone(sheet: Sheet, spot: np.ndarray, ink: Colour, pen: float) -> None:
    """A stone's outline at (x, y), mm."""
    rng = sheet.rng
    outline = blob(rng, spot[0], spot[1], span(rng, 1, 4), span(rng, 1, 3), 0.12, 8)
    sheet.shape(outline, None, ink, pen)


def stones(sheet: Sheet, box: Box) -> None:
    """A plan of many stones: outlines, or light shapes on grey, or stipple."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    ink, dark = pick(rng, INKS), chance(rng, 0.35)
    if dark:
        grey = whole(rng, 120, 215)
        sheet.frame(x0, y0, x1, y1, 0.2, ink, (grey, grey, grey))
    for _ in range(whole(rng, 20, 160)):
        cx, cy, r = (
            span(rng, x0 + 3, x1 - 3),
            span(rng, y0 + 3, y1 - 3),
            0.5 + abs(rng.normal(0, 2.0)),
        )
        r = min(r, 3 if len(sheet.marks) else 6)
        sheet.shape(
            blob(rng, cx, cy, r, r * span(rng, 0.5, 1), 0.15, 7),
            (255, 255, 255) if dark else None,
            None if dark else ink,
            0.25,
        )
    if chance(rng, 0.5):
        stipple(sheet, box, whole(rng, 200, 1200), ink)
    sheet.mark("drawing", *box)


def stipple(sheet: Sheet, box: Box, count: int, ink: Colour) -> None:
    """Dots, denser towards one side."""
    rng, s = sheet.rng, sheet.scale
    xs = (box[0] + (box[2] - box[0]) * rng.random(count) ** span(rng, 0.5, 2)) * s
    ys = (box[1] + (box[3] - box[1]) * rng.random(count)) * s
    sheet.draw.point(np.stack([xs, ys], axis=1).ravel().tolist(), fill=sheet.ink(ink))
    sheet.draw.point(np.stack([xs + 1, ys], axis=1).ravel().tolist(), fill=sheet.ink(ink))


def section(sheet: Sheet, box: Box) -> None:
    """A stratigraphic section: wavy layers, each with its own pattern or tint."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    ink, count, pen = pick(rng, INKS), whole(rng, 3, 7), span(rng, 0.25, 0.6)
    xs, last = np.linspace(x0, x1, 9), np.full(9, y0)
    tinted = chance(rng, 0.3)
    for i in range(count):
        level = np.minimum(
            y0 + (y1 - y0) * (i + 1) / count + rng.normal(0, (y1 - y0) * 0.035, 9), y1
        )
        level = np.maximum(level, last)
        if tinted:
            tint = pick(
                rng,
                (
                    (205, 170, 120),
                    (170, 140, 110),
                    (225, 205, 150),
                    (150, 150, 150),
                    (235, 225, 200),
                ),
            )
            sheet.shape(
                np.concatenate([np.stack([xs, last], 1), np.stack([xs, level], 1)[::-1]]), tint
            )
        kind = whole(rng, 0, 3)
        if kind == 0:
            for x in np.arange(x0, x1 - 2, span(rng, 1.5, 4)):
                top, low = float(np.interp(x, xs, last)), float(np.interp(x, xs, level))
                sheet.line([(x, low), (min(x + (low - top) * 0.5, x1), top)], pen * 0.6, ink)
        elif kind == 1:
            stipple(
                sheet,
                (x0, float(last.max()), x1, max(float(last.max()) + 1, float(level.min()))),
                whole(rng, 100, 500),
                ink,
            )
        elif kind == 2:
            for _ in range(whole(rng, 5, 25)):
                x = span(rng, x0 + 3, x1 - 3)
                y = span(rng, float(np.interp(x, xs, last)), float(np.interp(x, xs, level)))
                sheet.shape(
                    blob(rng, x, y, span(rng, 0.7, 3), span(rng, 0.6, 2), 0.15, 7),
                    None,
                    ink,
                    pen * 0.7,
                )
        sheet.line([tuple(p) for p in spline(np.stack([xs, level], axis=1))], pen, ink)
        last = level
    sheet.frame(x0, y0, x1, y1, pen, ink)
    sheet.mark("drawing", *box)


def chart(sheet: Sheet, box: Box) -> None:
    """Bars, stacked or plain, or a curve, over labelled axes."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    face, ink = Print(sheet, "sans", span(rng, 6, 9)), pick(rng, INKS)
    sheet.line([(x0, y0), (x0, y1), (x1, y1)], 0.4, ink)
    count = whole(rng, 5, 14)
    step = (x1 - x0) / count
    for i in range(8):
        y = y1 - (y1 - y0) * i / 8
        sheet.line([(x0, y), (x1 if i % 2 else x0 - 1, y)], 0.15, ink)
        face.put(x0 - 2, y + 1, str(i * 10), "r")
    for i in range(count):
        top, low = y1 - (y1 - y0) * span(rng, 0.1, 0.95), y1
        a, b = x0 + step * (i + 0.2), x0 + step * (i + 0.8)
        for _ in range(whole(rng, 1, 3)):
            middle = (top + low) / 2
            grey = pick(rng, (255, 0, 90, 150, 200))
            sheet.frame(a, middle, b, low, 0.25, ink, (grey, grey, grey))
            low = middle
        face.put((a + b) / 2, y1 + 4, pick(rng, ("M-", "Z-", "")) + str(i + 1), "m")
    sheet.mark("drawing", *box)


def ornaments(sheet: Sheet, box: Box) -> None:
    """Small finds in rows: rings, beads, needles, pendants, sherds, whatever was worn or used."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    cell = span(rng, 14, 30)
    for y in np.arange(y0, max(y0 + 1, y1 - cell * 0.6), cell):
        for x in np.arange(x0, max(x0 + 1, x1 - cell * 0.6), cell):
            if chance(rng, 0.12):
                continue
            r, kind = cell * span(rng, 0.18, 0.4), whole(rng, 0, 5)
            cx, cy = x + cell / 2, y + cell / 2
            if kind == 0:
                for radius in (r, r * span(rng, 0.5, 0.85)):
                    sheet.shape(blob(rng, cx, cy, radius, radius * 0.9, 0.03), None, BLACK, 0.3)
            elif kind == 1:
                pot(sheet, (cx - r, cy - r * 0.8, cx + r, cy + r * 0.8))
            elif kind < 4:
                tool(sheet, (cx - r * span(rng, 0.3, 1), cy - r, cx + r * 0.7, cy + r))
            else:
                pick(rng, (drawn_find, drawn_find, clip_art))(
                    sheet, (cx - r, cy - r, cx + r, cy + r)
                )
    sheet.mark("drawing", *box)


def drawing(sheet: Sheet, box: Box) -> None:
    """A drawing of any kind within `box` (mm)."""
    rng = sheet.rng
    x0, y0, x1, y1 = box
    w, h = x1 - x0, y1 - y0
    if min(w, h) < 28:
        kinds = [pot, tool, tool, drawn_find, drawn_find, clip_art]
    else:
        kinds = [
            map_plan,
            map_plan,
            map_plan,
            map_plan,
            grave,
            stones,
            section,
            chart,
            building,
            ornaments,
            tool,
            pot,
            drawn_find,
            clip_art,
            sketched_view,
            sketched_view,
        ]
    kind = pick(rng, kinds)
    if kind in (pot, tool, drawn_find):
        side = min(w, h * 1.2, 90)
        box = (x0, y0, x0 + side, min(y1, y0 + side * span(rng, 0.6, 1.1)))
    if kind in (grave, map_plan, section) and chance(rng, 0.2):
        grid_paper(
            sheet,
            (x0, y0, x1, y1),
            pick(rng, (2.0, 5.0)),
            pick(rng, ((225, 190, 160), (200, 205, 215), (215, 215, 215))),
        )
    kind(sheet, box)
    if kind in (map_plan, grave, stones, building) and min(w, h) > 50:
        scale_and_north(sheet, box)
