"""Marks that offices leave on typescripts: word stamps, release lines, bars over names, holes."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from bundled_models.synthetic_pages.layouts.forms import stamp
from bundled_models.synthetic_pages.sheet import REGIONS, Colour, Sheet, smooth_noise
from bundled_models.synthetic_pages.words import chance, date, number, phrase, pick, span, whole
from bundled_models.synthetic_pages.writing.fonts import open_font, pick_font
from bundled_models.synthetic_pages.writing.hand import Hand
from bundled_models.synthetic_pages.writing.ink import Print

_SECRECY = (
    "SECRET", "CONFIDENTIAL", "TOP SECRET", "RESTRICTED", "OFFICIAL USE ONLY", "TAJNÉ", "DŮVĚRNÉ",
    "UNCLASSIFIED", "GEHEIM", "CONFIDENTIEL", "SECRET",
)  # fmt: skip
_WORDS = (
    "COPY", "RECEIVED", "DECLASSIFIED", "ENCLOSURE", "NOT RECORDED", "FILED", "ABSCHRIFT", "OPIS",
    "DOŠLO", "VYŘÍZENO", "Duplikat", "ORIGINAL", "REÇU", "INDEXED", "DRAFT", "KOPIE",
)  # fmt: skip
_INKS: tuple[Colour, ...] = (
    (25, 25, 28), (25, 25, 28), (70, 70, 75), (160, 50, 60), (140, 70, 120), (60, 60, 150),
    (110, 90, 150),
)  # fmt: skip


def word_stamp(
    sheet: Sheet, x: float, y: float, text: str, points: float, *, turn: float | None = None
) -> None:
    """Words of a rubber stamp with unevenly taken ink, their upper left corner at (x, y) mm."""
    rng, s = sheet.rng, sheet.scale
    path = pick_font(pick(rng, ("sans", "sans_bold", "serif_bold", "serif")), rng) or ""
    font = open_font(path, round(points * 0.353 * s))
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    edge = round(1.2 * s)
    mask = Image.new("L", (right - left + 2 * edge, bottom - top + 2 * edge))
    pen = ImageDraw.Draw(mask)
    pen.text((edge - left, edge - top), text, font=font, fill=255)
    if chance(rng, 0.25):
        outline = (0, 0, mask.width - 1, mask.height - 1)
        pen.rectangle(outline, outline=255, width=max(1, round(0.5 * s)))
    elif chance(rng, 0.15):  # struck out when the secret was lifted
        middle = mask.height // 2
        pen.line((0, middle, mask.width, middle), fill=255, width=max(1, round(0.6 * s)))
    clouds = np.asarray(smooth_noise(rng, mask.size, (7, 3)), np.float32) / 255
    strength = np.clip(clouds * span(rng, 0.3, 1.2) + span(rng, 0.1, 0.8), 0.2, 1)
    inked = Image.fromarray((np.asarray(mask) * strength).astype(np.uint8))
    angle = rng.normal(0, 2.5) if turn is None else turn
    sheet.stamp_mask(inked.rotate(angle, expand=True), x, y, pick(rng, _INKS))
    sheet.mark("print", x, y, x + mask.width / s, y + mask.height / s)


def secrecy(sheet: Sheet) -> None:
    """The same class of secrecy stamped at the head and at the foot."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    text, points, x = pick(rng, _SECRECY), span(rng, 11, 24), w * span(rng, 0.25, 0.7)
    for y in (span(rng, 2, 10), h - span(rng, 10, 16)):
        if chance(rng, 0.85):
            word_stamp(sheet, x + span(rng, -15, 15), y, text, points)


def release_line(sheet: Sheet) -> None:
    """A line in small print at the head or foot that a later copy bears."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    page = whole(rng, 1, 40)
    text = pick(
        rng,
        (
            f"Approved For Release {date(rng)} : {number(rng)}-{whole(rng, 10000, 99999)}",
            f"NW {whole(rng, 10000, 99999)}  DocId:{whole(rng, 10**6, 10**7)}  Page {page}",
            f"DECLASSIFIED {number(rng)}  {whole(rng, 10000, 999999)}",
            f"Reproduced from the holdings of the archive, {number(rng)}",
        ),
    )  # fmt: skip
    face = Print(sheet, pick(rng, ("sans_bold", "sans", "serif")), span(rng, 6.5, 9.5))
    x = pick(rng, (w / 2, w / 2, 6 + face.width(text) / 2))
    for y in ((4.5,), (h - 3,), (4.5, h - 3))[whole(rng, 0, 2)]:
        face.put(x, y, text, "m")


def bars(sheet: Sheet) -> None:
    """Black bars or white gaps with a rim over parts of the typed lines."""
    rng, s = sheet.rng, sheet.scale
    lines = [box for region, box in sheet.marks if REGIONS[region] == "type"]
    black, share = chance(rng, 0.7), span(rng, 0.05, 0.3)
    for x0, y0, x1, y1 in lines:
        if not chance(rng, share):
            continue
        start = span(rng, x0, x1)
        end = min(x1, start + span(rng, 8, 70) * s)
        if black:
            sheet.frame(start / s, y0 / s - 0.4, end / s, y1 / s + 0.2, 0.2, fill=(8, 8, 8))
        else:
            sheet.frame(start / s, y0 / s - 0.6, end / s, y1 / s + 0.4, 0.3, fill=(255,) * 3)


def holes_and_staple(sheet: Sheet) -> None:
    """Punched holes at the head or the left edge and the shadow of a staple or a clip."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    tone: Colour = pick(rng, ((10, 10, 10), (10, 10, 10), (60, 60, 60), (225, 225, 225)))
    places = pick(
        rng,
        (
            [(w / 2 - 35, 9.0), (w / 2 + 35, 9.0)],
            [(w / 2 - 40, 8.0), (w / 2 + 40, 8.0)],
            [(9.0, h * 0.12), (9.0, h / 2), (9.0, h * 0.88)],
            [(10.0, h / 2 - 40), (10.0, h / 2 + 40)],
        ),
    )
    for x, y in places:
        box = tuple(c * sheet.scale for c in (x - 3, y - 3, x + 3, y + 3))
        sheet.draw.ellipse(box, fill=sheet.ink(tone), outline=sheet.ink((120, 120, 120)))
    if chance(rng, 0.5):
        x, y, tilt = span(rng, 6, 18), span(rng, 5, 14), span(rng, -4, 4)
        sheet.line([(x, y), (x + 9, y + tilt)], span(rng, 0.5, 0.9), (40, 40, 40))
        sheet.line([(x + 0.6, y + 1), (x + 9.6, y + tilt + 1)], 0.8, (180, 180, 180))


def pencil_marks(sheet: Sheet) -> None:
    """Ticks, lines beside a passage, a ringed number, initials: what a reader leaves."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    colour: Colour = pick(rng, ((60, 60, 65), (110, 110, 112), (30, 40, 110), (150, 50, 50)))
    hand = Hand(sheet, size=span(rng, 2, 4), colour=colour)
    for _ in range(whole(rng, 1, 4)):
        kind, x, y = rng.random(), pick(rng, (span(rng, 3, 14), w - span(rng, 12, 22))), 0.0
        y = span(rng, 0.06, 0.95) * h
        if kind < 0.25:
            sheet.line([(x, y), (x + 1.5, y + 2.5), (x + 5, y - 4)], 0.5, colour)
        elif kind < 0.45:
            sheet.line(
                [(x, y), (x + span(rng, -1, 1), min(h - 3, y + span(rng, 8, 30)))], 0.5, colour
            )
        elif kind < 0.65:
            hand.put(x, y, pick(rng, (number(rng)[:5], phrase(rng, "en", 1, 1)[:8])))
        elif kind < 0.85:
            hand.signature(x, y, span(rng, 6, 14))
        else:
            box = tuple(c * sheet.scale for c in (x, y - 5, x + 14, y + 3))
            sheet.draw.ellipse(
                box, outline=sheet.ink(colour), width=max(1, round(0.4 * sheet.scale))
            )
            hand.put(x + 3, y, str(whole(rng, 1, 99)))


def office_marks(sheet: Sheet, busy: float = 1.0) -> None:
    """What passing through offices left on a typescript; `busy` scales how much of it."""
    rng, w, h = sheet.rng, sheet.width, sheet.height
    for share, mark in (
        (0.3, secrecy), (0.2, release_line), (0.2, bars), (0.3, holes_and_staple),
        (0.35, pencil_marks),
    ):  # fmt: skip
        if chance(rng, share * busy):
            mark(sheet)
    if chance(rng, 0.35 * busy):
        text = pick(rng, _WORDS)
        text = f"{text} {date(rng)}" if chance(rng, 0.4) else text
        turn = pick(rng, (None, None, 8.0, 25.0, 90.0))
        word_stamp(sheet, span(rng, 0.05, 0.7) * w, span(rng, 0.03, 0.9) * h, text,
                   span(rng, 9, 22), turn=turn)  # fmt: skip
    if chance(rng, 0.2 * busy):
        stamp(sheet, span(rng, 4, w * 0.6), pick(rng, (span(rng, 2, 14), h - span(rng, 30, 40))))
