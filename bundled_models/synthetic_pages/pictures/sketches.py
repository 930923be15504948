"""Drawings made from pictures and bodies: hatched, stippled, pencilled, washed, as line art."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from bundled_models.synthetic_pages.pictures.finds import lit_find, stamped_find
from bundled_models.synthetic_pages.pictures.found_pictures import pictures, some_crop, some_picture
from bundled_models.synthetic_pages.pictures.maps import INKS
from bundled_models.synthetic_pages.pictures.trenches import excavation
from bundled_models.synthetic_pages.sheet import Box, Colour, Sheet, smooth_noise
from bundled_models.synthetic_pages.words import chance, pick, span, whole

_PENCIL: Colour = (75, 75, 78)
_WASHES: tuple[Colour, ...] = (
    (60, 60, 64), (70, 95, 80), (150, 80, 50), (120, 90, 60), (60, 80, 120), (165, 130, 70),
)  # fmt: skip


def _size(sheet: Sheet, box: Box) -> tuple[int, int]:
    s = sheet.scale
    return max(12, round((box[2] - box[0]) * s)), max(12, round((box[3] - box[1]) * s))


def _edges(tone: np.ndarray, mask: Image.Image | None, thick: int, threshold: float) -> np.ndarray:
    """Ink, 0 to 1, along the outline of `mask` and wherever `tone` (0 to 255) changes at once."""
    odd = max(3, thick | 1)
    ink = np.zeros(tone.shape, np.float32)
    if threshold < 1:
        soft = Image.fromarray(tone.astype(np.uint8)).filter(ImageFilter.BoxBlur(1.2))
        change = np.asarray(soft.filter(ImageFilter.MaxFilter(odd)), np.float32)
        change = change - np.asarray(soft.filter(ImageFilter.MinFilter(odd)), np.float32)
        ink = np.clip((change / 255 - threshold) * 6, 0, 1)
    if mask is not None:
        inner = mask.filter(ImageFilter.MinFilter(odd))
        outline = np.asarray(mask, np.float32) - np.asarray(inner, np.float32)
        ink = np.maximum(ink, np.clip(outline / 160, 0, 1))
    return ink


def _lines(rng: np.random.Generator, dark: np.ndarray, pitch: float, angle: float) -> np.ndarray:
    """Parallel strokes, thicker where `dark` (0 to 1) is; `pitch` in pixels."""
    height, width = dark.shape
    bend = np.asarray(smooth_noise(rng, (width, height), (4, 4)), np.float32) / 255 * pitch * 1.5
    x = np.arange(width, dtype=np.float32) * np.cos(angle)
    y = np.arange(height, dtype=np.float32)[:, None] * np.sin(angle)
    wave = (np.cos((x + y + bend) * (2 * np.pi / pitch)) + 1) / 2
    return np.clip((dark * 0.8 - wave) * 5 + 0.2, 0, 1) * (dark > 0.12)


def _shaded(rng: np.random.Generator, dark: np.ndarray, scale: float) -> np.ndarray:
    """Ink, 0 to 1, that renders `dark` (0 to 1) in one of a draughtsman's ways."""
    kind, pitch = rng.random(), span(rng, 0.6, 1.6) * scale
    angle = pick(rng, (0.0, np.pi / 2, np.pi / 4, -np.pi / 4)) + rng.normal(0, 0.1)
    if kind < 0.35:
        return _lines(rng, dark, pitch, angle)
    if kind < 0.5:
        crossed = _lines(rng, np.clip(dark * 1.6 - 0.7, 0, 1), pitch, angle + span(rng, 0.6, 1.6))
        return np.maximum(_lines(rng, dark, pitch, angle), crossed)
    if kind < 0.7:  # stipple
        dots = (rng.random(dark.shape, dtype=np.float32) < dark**2 * span(rng, 0.1, 0.35)) * 255
        spread = Image.fromarray(dots.astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
        return np.asarray(spread, np.float32) / 255
    if kind < 0.9:  # pencil, with its strokes
        height, width = dark.shape
        cells = (max(2, width // 3), max(2, height // 40))
        grain = np.asarray(smooth_noise(rng, (width, height), cells), np.float32) / 255
        return np.clip(dark * (0.45 + 0.7 * grain), 0, 0.85)
    return np.zeros_like(dark)


def drawn_find(sheet: Sheet, box: Box) -> None:
    """A vessel, stone or real object, outlined and shaded by pen or pencil, at times washed."""
    rng = sheet.rng
    size = _size(sheet, box)
    view, mask = (stamped_find(rng, size) if chance(rng, 0.4) else None) or lit_find(rng, size)
    tone = np.asarray(ImageOps.autocontrast(view.convert("L")), np.float32)
    inside = np.asarray(mask, np.float32) / 255
    smooth = Image.fromarray(tone.astype(np.uint8)).filter(ImageFilter.BoxBlur(sheet.scale * 0.5))
    dark = (1 - np.asarray(smooth, np.float32) / 255) * inside * span(rng, 0.6, 1.1)
    threshold = span(rng, 0.25, 0.6) if chance(rng, 0.5) else 1.0
    ink = _edges(tone * inside + 255 * (1 - inside), mask, round(0.45 * sheet.scale), threshold)
    colour = pick(rng, (*INKS, _PENCIL, _PENCIL))
    if chance(rng, 0.15):  # painted
        wash = np.clip(dark * span(rng, 0.7, 1.2) + inside * 0.25, 0, 0.95)
        _stamp(sheet, wash, box, pick(rng, _WASHES))
    else:
        ink = np.maximum(ink, _shaded(rng, np.clip(dark, 0, 1), sheet.scale))
    _stamp(sheet, ink * span(rng, 0.55, 1.0), box, colour)
    if chance(rng, 0.2):  # the side view or the section beside it
        thin = Image.fromarray((ink * 255).astype(np.uint8))
        narrow = (max(4, int(thin.width * span(rng, 0.15, 0.35))), thin.height)
        if box[2] + narrow[0] / sheet.scale + 3 < sheet.width:
            sheet.stamp_mask(thin.resize(narrow), box[2] + 2, box[1], colour)
    sheet.mark("drawing", *box)


def _stamp(sheet: Sheet, ink: np.ndarray, box: Box, colour: Colour) -> None:
    mask = Image.fromarray((np.clip(ink, 0, 1) * 255).astype(np.uint8))
    sheet.stamp_mask(mask, box[0], box[1], colour)


def clip_art(sheet: Sheet, box: Box) -> None:
    """A picture from a collection of clip art, as line art, engraving or flat tints."""
    rng = sheet.rng
    art = some_picture(rng, "drawing")
    if art is None:
        drawn_find(sheet, box)
        return
    art = art.crop(art.getbbox() or (0, 0, *art.size))
    width, height = _size(sheet, box)
    share = min(width / art.width, height / art.height)
    art = art.resize((max(12, int(art.width * share)), max(12, int(art.height * share))))
    x0, y0 = box[0], box[1]
    box = (x0, y0, x0 + art.width / sheet.scale, y0 + art.height / sheet.scale)
    mask = art.getchannel("A")
    paper = Image.new("RGBA", art.size, (255, 255, 255, 255))
    paper.alpha_composite(art)
    tone = np.asarray(paper.convert("L"), np.float32)
    dark = np.clip(1 - tone / 255, 0, 1)
    colour, kind = pick(rng, (*INKS, _PENCIL)), rng.random()
    if kind < 0.3 and sheet.image.mode == "RGB":  # painted
        strength = mask.point(lambda v: v * 3 // 4)
        sheet.lay(paper.convert("RGB").filter(ImageFilter.ModeFilter(5)), x0, y0, strength)
    elif kind < 0.65:
        ink = _edges(tone, mask, round(0.4 * sheet.scale), span(rng, 0.1, 0.3))
        _stamp(sheet, np.maximum(ink, _shaded(rng, dark, sheet.scale)), box, colour)
    elif kind < 0.85:
        ink = _edges(tone, mask, round(0.4 * sheet.scale), span(rng, 0.08, 0.25))
        _stamp(sheet, ink, box, colour)
    else:
        _stamp(sheet, dark * span(rng, 0.4, 0.9), box, colour)
    sheet.mark("drawing", *box)


def sketched_view(sheet: Sheet, box: Box) -> None:
    """A landscape or a trench as somebody drew it on the spot with pencil or pen."""
    rng = sheet.rng
    size = _size(sheet, box)
    is_ground = bool(pictures("ground")) and chance(rng, 0.6)
    view = excavation(rng, size) if is_ground else some_crop(rng, "photo", size)
    if view is None:
        drawn_find(sheet, box)
        return
    grey = ImageOps.autocontrast(view.convert("L"), cutoff=2)
    grey = grey.filter(ImageFilter.BoxBlur(sheet.scale * span(rng, 0.15, 0.5)))
    tone = np.asarray(grey, np.float32)
    around = np.asarray(grey.filter(ImageFilter.BoxBlur(sheet.scale * span(rng, 0.8, 2.5))))
    fall = np.clip(around - tone, 0, None)  # the darker side of every change of tone
    strength = span(rng, 0.6, 1.6) / max(2.0, float(np.percentile(fall[::2, ::2], 95)))
    lines = np.clip(fall * strength - span(rng, 0.05, 0.3), 0, 1)
    if chance(rng, 0.4):
        calm = np.asarray(grey.filter(ImageFilter.BoxBlur(sheet.scale * 2)), np.float32)
        dark = np.clip(span(rng, 0.55, 0.8) - calm / 255, 0, 1)
        lines = np.maximum(lines, _shaded(rng, dark, sheet.scale) * span(rng, 0.5, 1))
    _stamp(sheet, lines * span(rng, 0.6, 1.0), box, pick(rng, (*INKS, _PENCIL, _PENCIL)))
    if chance(rng, 0.4):
        sheet.frame(*box, span(rng, 0.2, 0.6), pick(rng, INKS))
    sheet.mark("drawing", *box)


def pasted_paper(sheet: Sheet, box: Box) -> None:
    """Another paper glued to the sheet: grey card, tracing paper gone yellow, a cut-out."""
    rng, s = sheet.rng, sheet.scale
    x0, y0, x1, y1 = box
    grey = whole(rng, 175, 240)
    tint = pick(rng, ((grey, grey, grey), (grey, grey - 6, grey - 22), (232, 220, 180)))
    size = _size(sheet, box)
    clouds = np.asarray(smooth_noise(rng, size, (5, 5)), np.float32) / 255
    paper = np.array(tint, np.float32) * (1 - clouds[..., None] * span(rng, 0.0, 0.12))
    paper += rng.integers(-128, 128, size[::-1], dtype=np.int8)[..., None] * 0.03
    view = Image.fromarray(np.clip(paper, 0, 255).astype(np.uint8))
    turn = rng.normal(0, 1.0)
    mask = Image.new("L", size, 255).rotate(turn)
    shade = mask.point(lambda v: v // 3).filter(ImageFilter.BoxBlur(max(1, 0.4 * s)))
    sheet.stamp_mask(shade, x0 + 0.4, y0 + 0.5, (90, 90, 90))
    sheet.lay(view, x0, y0, mask)


def as_blueprint(sheet: Sheet) -> None:
    """Turn all that is drawn so far into a copy of light lines on dark, blue on colour sheets."""
    deep = whole(sheet.rng, 30, 80)
    turned = ImageOps.invert(sheet.image).point(lambda v: deep + v * (250 - deep) // 255)
    if turned.mode == "RGB":
        turned = ImageOps.colorize(turned.convert("L"), (25, 45, 110), (225, 235, 245))
    sheet.image.paste(turned)
