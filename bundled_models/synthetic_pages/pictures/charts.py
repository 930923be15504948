"""Charts and diagrams of reports: curves, bars, logarithmic paper, contours, blocks, figures."""

from __future__ import annotations

import numpy as np

from bundled_models.synthetic_pages.pictures.maps import INKS, blob
from bundled_models.synthetic_pages.sheet import BLACK, Box, Colour, Sheet
from bundled_models.synthetic_pages.words import (
    chance,
    language,
    phrase,
    pick,
    sentence,
    span,
    whole,
)
from bundled_models.synthetic_pages.writing.hand import Hand, spline
from bundled_models.synthetic_pages.writing.ink import Print, Typewriter, fill_lines

Letterer = Print | Typewriter | Hand


def letterer(sheet: Sheet) -> Letterer:
    """What a draughtsman letters with: a stencil, a machine, a pen."""
    rng = sheet.rng
    roll = rng.random()
    if roll < 0.5:
        return Print(sheet, pick(rng, ("sans", "serif", "sans")), span(rng, 6.5, 10))
    if roll < 0.75:
        return Typewriter(sheet, colour=BLACK, pitch=span(rng, 1.5, 2.3))
    return Hand(sheet, size=span(rng, 1.3, 2), colour=BLACK)


def _axes(sheet: Sheet, box: Box, tool: Letterer) -> None:
    """Axes with ticks, figures and a name each."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    pen = span(rng, 0.25, 0.6)
    if chance(rng, 0.5):
        sheet.frame(x0, y0, x1, y1, pen)
    else:
        sheet.line([(x0, y0), (x0, y1), (x1, y1)], pen)
    across, down = whole(rng, 3, 9), whole(rng, 3, 7)
    step, tick = pick(rng, (0.1, 0.5, 1, 2, 10, 20, 50)), pick(rng, (-1.3, 1.3))
    for i in range(across + 1):
        x = x0 + (x1 - x0) * i / across
        sheet.rule(x, y1, x, y1 - tick, 0.25)
        tool.put(x - 1.5, y1 + 4.5, f"{i * step:g}")
    for i in range(down + 1):
        y = y1 - (y1 - y0) * i / down
        sheet.rule(x0, y, x0 + tick, y, 0.25)
        tool.put(max(0.5, x0 - 8), y + 1, f"{i * step:g}")
    tool.put(x0 + (x1 - x0) * span(rng, 0.2, 0.5), y1 + 9.5, phrase(rng, language(rng), 1, 3))
    if chance(rng, 0.5):
        tool.put(max(1.0, x0 - 8), y0 - 3, phrase(rng, language(rng), 1, 2))


def _curve(rng: np.random.Generator, kind: int) -> np.ndarray:
    """A curve over 0 to 1, as (n, 2): smooth, rising like an S, swinging, or noisy."""
    x = np.linspace(0, 1, 60)
    if kind == 0:
        knots = np.stack(
            [np.linspace(0, 1, 6), np.clip(0.5 + np.cumsum(rng.normal(0, 0.18, 6)), 0, 1)]
        )
        return spline(knots.T)
    if kind == 1:
        y = 1 / (1 + np.exp(-(x - span(rng, 0.2, 0.8)) * span(rng, 5, 18)))
    elif kind == 2:
        y = 0.5 + 0.45 * np.sin(x * span(rng, 4, 40)) * np.exp(-x * span(rng, 0, 3))
    else:
        x = np.linspace(0, 1, 160)
        walk = np.cumsum(rng.normal(0, 1, 160))
        y = (walk - walk.min()) / max(1e-6, float(np.ptp(walk)))
    return np.stack([x, y], axis=1)


def line_chart(sheet: Sheet, box: Box) -> None:
    """Curves over axes, plain, dashed or through marked points, with letters beside them."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    tool, size = letterer(sheet), np.array([x1 - x0, y0 - y1])
    if chance(rng, 0.35):
        _squared(sheet, box)
    _axes(sheet, box, tool)
    kind, ink = whole(rng, 0, 3), pick(rng, INKS)
    for _ in range(whole(rng, 1, 6)):
        curve = _curve(rng, kind) * (1, span(rng, 0.4, 1)) * size + (x0, y1)
        points = [tuple(p) for p in curve.tolist()]
        style = rng.random()
        if style < 0.25:
            for a, b in zip(points[::2], points[1::2], strict=False):
                sheet.line([a, b], 0.35, ink)
        else:
            sheet.line(points, pick(rng, (0.25, 0.4, 0.7)), ink)
        if style > 0.7 or kind == 0:
            for x, y in points[:: max(2, len(points) // whole(rng, 6, 20))]:
                sheet.frame(x - 0.8, y - 0.8, x + 0.8, y + 0.8, 0.25, ink, (255, 255, 255))
        if chance(rng, 0.5):
            x, y = points[whole(rng, len(points) // 3, len(points) - 1)]
            tool.put(min(x + 1, x1 - 14), y - 1.5, phrase(rng, "en", 1, 2)[:14])
    sheet.mark("drawing", *box)


def _squared(sheet: Sheet, box: Box, logarithmic: bool = False) -> None:
    """Lines of squared paper, or of logarithmic paper of one to four decades each way."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    tone = whole(rng, 60, 190)
    ink: Colour = pick(
        rng, ((tone, tone, tone), (tone, tone, tone), (210, 140, 110), (140, 180, 150))
    )
    if logarithmic:
        ticks = [
            np.concatenate(
                [(d + np.log10(np.arange(1, 10, pick(rng, (1, 0.5))))) / n for d in range(n)]
            )
            for n in (whole(rng, 1, 4), whole(rng, 1, 3))
        ]
    else:
        ticks = [np.linspace(0, 1, whole(rng, 6, 50)) for _ in range(2)]
    for at in ticks[0].tolist():
        sheet.rule(x0 + at * (x1 - x0), y0, x0 + at * (x1 - x0), y1, span(rng, 0.12, 0.25), ink)
    for at in ticks[1].tolist():
        sheet.rule(x0, y1 - at * (y1 - y0), x1, y1 - at * (y1 - y0), span(rng, 0.12, 0.25), ink)


def log_chart(sheet: Sheet, box: Box) -> None:
    """Curves or scattered points on logarithmic paper."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    _squared(sheet, box, logarithmic=True)
    _axes(sheet, box, letterer(sheet))
    size = np.array([x1 - x0, y0 - y1])
    for _ in range(whole(rng, 1, 7)):
        curve = _curve(rng, whole(rng, 0, 1)) * size + (x0, y1)
        sheet.line([tuple(p) for p in curve.tolist()], pick(rng, (0.3, 0.6, 0.9)))
    for x, y in (rng.random((whole(rng, 0, 60), 2)) * size + (x0, y1)).tolist():
        sheet.frame(x - 0.7, y - 0.7, x + 0.7, y + 0.7, 0.25, BLACK, BLACK)
    sheet.mark("drawing", *box)


def bar_chart(sheet: Sheet, box: Box) -> None:
    """Bars, upright or lying, black, grey or hatched."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    _axes(sheet, box, letterer(sheet))
    count, upright = whole(rng, 4, 24), chance(rng, 0.7)
    fills = [pick(rng, (20, 110, 180, 255)) for _ in range(whole(rng, 1, 3))]
    long = x1 - x0 if upright else y1 - y0
    step = long / count
    for i in range(count):
        grey, share = fills[i % len(fills)], span(rng, 0.08, 0.95)
        a, b = i * step + step * 0.15, (i + 1) * step - step * 0.1
        bar = (
            (x0 + a, y1 - share * (y1 - y0), x0 + b, y1)
            if upright
            else (x0, y0 + a, x0 + share * (x1 - x0), y0 + b)
        )
        sheet.frame(*bar, 0.25, BLACK, (grey,) * 3)
        for line in np.arange(bar[1] + 1, bar[3], 1.6) if grey == 255 and chance(rng, 0.7) else ():
            sheet.rule(bar[0], float(line), bar[2], float(line) - 1, 0.2)
    sheet.mark("drawing", *box)


def contours(sheet: Sheet, box: Box) -> None:
    """Closed lines one within another round some centres, with figures on them."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    sheet.frame(*box, span(rng, 0.25, 0.6))
    tool = letterer(sheet)
    for _ in range(whole(rng, 1, 5)):
        cx, cy = span(rng, x0, x1), span(rng, y0, y1)
        shape = blob(rng, 0, 0, 1, span(rng, 0.5, 1.2), 0.16, whole(rng, 8, 14))
        reach, rings = span(rng, 0.2, 0.6) * (x1 - x0), whole(rng, 5, 22)
        for ring in range(1, rings):
            line = shape * (reach * ring / rings) + (cx, cy)
            line = np.clip(line, (x0, y0), (x1, y1))
            sheet.line([tuple(p) for p in line.tolist()], 0.45 if ring % 5 == 0 else 0.2)
            if ring % 5 == 0:
                tool.put(float(line[0, 0]) - 2, float(line[0, 1]), str(ring * 10))
    sheet.mark("drawing", *box)


def blocks(sheet: Sheet, box: Box) -> None:
    """Boxes, rings and arrows of a flow diagram or a circuit, each lettered."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    across, down, tool = whole(rng, 2, 4), whole(rng, 2, 6), letterer(sheet)
    wide, tall = (x1 - x0) / across, (y1 - y0) / down
    pen, right = span(rng, 0.25, 0.5), 2.2 if isinstance(tool, Typewriter) else 1.6
    for row in range(down):
        for column in range(across):
            x, y = x0 + (column + 0.5) * wide, y0 + (row + 0.5) * tall
            rx, ry = wide * span(rng, 0.2, 0.36), min(tall * span(rng, 0.15, 0.34), 12)
            if column < across - 1:
                _arrow(sheet, x + rx, y, x + wide * 0.7, y, pen)
            if row < down - 1 and chance(rng, 0.7):
                _arrow(sheet, x, y + ry, x, y + tall - ry, pen)
            if chance(rng, 0.15):
                area = tuple(c * sheet.scale for c in (x - ry, y - ry, x + ry, y + ry))
                sheet.draw.ellipse(
                    area, outline=sheet.ink(BLACK), width=max(1, round(pen * sheet.scale))
                )
                continue
            sheet.frame(x - rx, y - ry, x + rx, y + ry, pen, BLACK, (255, 255, 255))
            tool.put(x - rx + 1, y + 1, phrase(rng, "en", 1, 3)[: int(2 * rx / right)])
    sheet.mark("drawing", *box)


def _arrow(sheet: Sheet, x0: float, y0: float, x1: float, y1: float, pen: float) -> None:
    sheet.line([(x0, y0), (x1, y1)], pen)
    along = np.array([x1 - x0, y1 - y0])
    along = along / max(1e-6, float(np.hypot(*along)))
    side, tip = np.array([-along[1], along[0]]), np.array([x1, y1])
    sheet.shape(np.array([tip, tip - along * 2 + side * 0.7, tip - along * 2 - side * 0.7]), BLACK)


def machine_figure(sheet: Sheet, box: Box) -> None:
    """A patent's figure: parts in outline and hatched section, numbers at the ends of leaders."""
    rng, (x0, y0, x1, y1) = sheet.rng, box
    tool, w, h = letterer(sheet), x1 - x0, y1 - y0
    cx, parts = (x0 + x1) / 2, whole(rng, 6, 18)
    if chance(rng, 0.6):
        for a in np.arange(y0, y1, 7):
            sheet.line([(cx, float(a)), (cx, float(a) + 4.5)], 0.2)
    for i in range(parts):
        x = cx + rng.normal(0, 0.12) * w * (i % 3 != 0)
        y, rx, ry = (
            span(rng, y0 + h * 0.06, y1 - h * 0.06),
            span(rng, 0.04, 0.3) * w,
            span(rng, 2, 0.12 * h),
        )
        shape = rng.random()
        area = (x - rx, y - ry, x + rx, y + ry)
        if shape < 0.3:
            r = min(rx, ry * 2)
            for share in (1.0, 0.8, 0.3)[: whole(rng, 1, 3)]:
                ring = tuple(
                    c * sheet.scale
                    for c in (x - r * share, y - r * share, x + r * share, y + r * share)
                )
                sheet.draw.ellipse(
                    ring, outline=sheet.ink(BLACK), width=max(1, round(0.3 * sheet.scale))
                )
        else:
            sheet.frame(
                *area, span(rng, 0.25, 0.5), BLACK, (255, 255, 255) if chance(rng, 0.6) else None
            )
            for line in np.arange(area[0], area[2], span(rng, 0.9, 2)) if shape > 0.65 else ():
                sheet.line(
                    [(float(line), area[3]), (min(float(line) + 2 * ry, area[2]), area[1])], 0.18
                )
        if chance(rng, 0.75):
            end = (x + pick(rng, (-1, 1)) * span(rng, 0.25, 0.45) * w, y + rng.normal(0, 5))
            sheet.line([(x, y), end], 0.2)
            tool.put(end[0] - 1, end[1] - 0.8, str(whole(rng, 1, 120)))
    sheet.mark("drawing", *box)


CHARTS = (
    line_chart,
    line_chart,
    line_chart,
    log_chart,
    bar_chart,
    contours,
    blocks,
    machine_figure,
)


def figure_page(sheet: Sheet) -> None:
    """A report's page of one to four figures, each with a caption in print or typing below it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    count = pick(rng, (1, 1, 2, 2, 3, 4))
    kind = pick(rng, CHARTS) if chance(rng, 0.7) else None
    x0, x1, y = span(rng, 20, 40), w - span(rng, 14, 40), span(rng, 14, 40)
    tall, typed = (h - y - 16) / count, chance(rng, 0.5)
    machine = Typewriter(sheet) if typed else None
    face = Print(sheet, pick(rng, ("serif", "sans", "serif_italic")), span(rng, 8, 10.5))
    room = x1 - x0
    for _ in range(count):
        low = y + max(18.0, tall * span(rng, 0.5, 0.9) - 26)
        (kind or pick(rng, CHARTS))(sheet, (x0, y, x1, min(low, h - 30)))
        text = f"Figure {whole(rng, 1, 60)}.- {sentence(rng, language(rng), 3, 14)}"
        at = low + 17
        if machine is not None:
            machine.leading = 4.23
            machine.lines(x0, at, fill_lines(text.split(), machine.room(room))[:3])
        else:
            face.paragraph(x0, at, room, text.split(), justify=False, bottom=h - 6)
        y += tall
    if chance(rng, 0.6):
        face.put(w / 2, h - 6, str(whole(rng, 1, 300)), "m")
