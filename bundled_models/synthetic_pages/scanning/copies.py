"""What copying makes of a page: photocopies with black edges and dirt, photostats, microfilm."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.sheet import smooth_noise
from bundled_models.synthetic_pages.words import chance, pick, span, whole


def _black_edges(rng: np.random.Generator, image: Image.Image) -> None:
    """Uneven black wedges where the copier's lid lay open beside the page."""
    pen, (width, height) = ImageDraw.Draw(image), image.size
    for side in range(4):
        if not chance(rng, 0.5):
            continue
        along = width if side < 2 else height
        depth = span(rng, 0.005, 0.05) * (height if side < 2 else width)
        steps = np.linspace(0, along, 9)
        edge = depth * np.clip(
            np.linspace(rng.random(), rng.random(), 9) + rng.normal(0, 0.1, 9), 0, 2
        )
        if side % 2:
            edge = (height if side < 2 else width) - edge
        far = 0 if side % 2 == 0 else (height if side < 2 else width)
        points = [*zip(steps, edge, strict=True), (along, far), (0, far)]
        if side > 1:
            points = [(b, a) for a, b in points]
        pen.polygon([float(c) for point in points for c in point], fill=0)


def _dirt(rng: np.random.Generator, image: Image.Image) -> None:
    """Specks of toner, thick in some places, and streaks along the way of the paper."""
    pen, (width, height) = ImageDraw.Draw(image), image.size
    unit = max(width, height) / 1000
    for _ in range(whole(rng, 0, 3)):
        centre, spread = rng.random(2) * (width, height), span(rng, 0.05, 0.5) * width
        for x, y in rng.normal(0, spread, (whole(rng, 20, 250), 2)) + centre:
            r = unit * rng.exponential(0.45)
            pen.ellipse((x - r, y - r, x + r, y + r), fill=whole(rng, 0, 90))
    for _ in range(whole(rng, 0, 3) if chance(rng, 0.3) else 0):
        x, grey = rng.random() * width, whole(rng, 0, 200)
        pen.line((x, 0, x + rng.normal(0, 2), height), fill=grey, width=max(1, round(unit)))


def _stretched(grey: Image.Image) -> np.ndarray:
    """`grey` with its usual ink at 0 and its paper at 255, so that faint writing survives.

    Looks at the middle of the page alone, for there may be a dark ground round it.
    """
    field = np.asarray(grey, np.float32)
    height, width = field.shape
    middle = field[height // 8 : height - height // 8 : 2, width // 8 : width - width // 8 : 2]
    paper = float(np.percentile(middle, 60))
    inked = middle[middle < paper - 25]
    ink = float(np.median(inked)) if inked.size else paper - 60
    return np.clip((field - ink) * (255 / max(20.0, paper - ink)), 0, 255)


def _grain(rng: np.random.Generator, shape: tuple[int, ...], strength: float) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(strength)


def photocopied(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """A photocopy, L: dirty paper, black edges, specks, letters that break or clog."""
    grey = image.convert("L")
    if chance(rng, 0.5):
        size = pick(rng, (3, 3, 5)) if max(image.size) > 900 else 3
        clogging = ImageFilter.MinFilter(size) if chance(rng, 0.6) else ImageFilter.MaxFilter(3)
        grey = Image.blend(grey, grey.filter(clogging), span(rng, 0.2, 0.7))
    field = _stretched(grey)
    if chance(rng, 0.4):  # uneven toner
        clouds = np.asarray(smooth_noise(rng, grey.size, (3, 5)), np.float32) / 255
        field = field - clouds * span(rng, 10, 90)
    if chance(rng, 0.4):
        field = field + _grain(rng, field.shape, span(rng, 8, 40))
    steep, level = span(rng, 1.5, 6.0), span(rng, 110, 205)
    out = Image.fromarray(np.clip((field - level) * steep + 128, 0, 255).astype(np.uint8))
    _black_edges(rng, out)
    _dirt(rng, out)
    return out


def photostat(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """A photostat or a film's negative: the writing light on a dark, grainy ground."""
    field = 255 - _stretched(image.convert("L"))
    clouds = np.asarray(smooth_noise(rng, image.size, (4, 5)), np.float32) / 255
    deep, light = span(rng, 0, 75), span(rng, 170, 252)
    field = deep + field * ((light - deep) / 255) + clouds * span(rng, 0, 40)
    field += _grain(rng, field.shape, span(rng, 1, 14))
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))


def microfilmed(rng: np.random.Generator, image: Image.Image) -> Image.Image:
    """A frame of microfilm: grey on grey, soft, scratched along the film, dark at the corners."""
    width, height = image.size
    grey = image.convert("L").filter(ImageFilter.BoxBlur(span(rng, 0.2, 0.9) * height / 900))
    field: np.ndarray = np.asarray(grey, np.float32)
    low, high = span(rng, 20, 70), span(rng, 165, 235)
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
    fall = span(rng, 0, 0.3) * ((x - rng.normal(0, 0.3)) ** 2 + y**2)
    field = (low + field * ((high - low) / 255)) * (1 - np.clip(fall, 0, 0.7))
    field += _grain(rng, field.shape, span(rng, 2, 12))
    film = Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(film)
    for _ in range(whole(rng, 0, 9)):
        at, drift, tone = rng.random() * width, rng.normal(0, 3), pick(rng, (250, 235, 20))
        start = rng.random() * height * 0.6
        pen.line((at, start, at + drift, start + height * span(rng, 0.1, 1)), fill=tone)
    return film


def copied_again(rng: np.random.Generator, image: Image.Image, dark: float) -> Image.Image:
    """The scan, or one of a copy of the page; `dark` is the share of light writing on dark."""
    roll = rng.random()
    if roll < dark:
        return photostat(rng, image)
    if roll < dark + 0.12:
        return photocopied(rng, image)
    if roll < dark + 0.15:
        return microfilmed(rng, image)
    return image
