"""From a view to a photographic print: grey or faded colour, grain, screen, scratches."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from bundled_models.synthetic_pages.sheet import smooth_noise
from bundled_models.synthetic_pages.words import chance, pick, span, whole

# What films and dyes made of grey: warm, greenish, sepia, bluish, faded to magenta.
_TINTS = (
    (1.08, 0.98, 0.8),
    (0.95, 1.02, 0.92),
    (1.15, 0.95, 0.7),
    (1.0, 1.0, 1.08),
    (1.1, 0.97, 0.98),
)
# Shares of red, green and blue: the eye's, a film blind to red, one blind to blue.
_FILMS = ((0.3, 0.59, 0.11), (0.08, 0.47, 0.45), (0.55, 0.4, 0.05))


def _toned(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """`field` stretched to the darkest and lightest tone a print of its day reaches."""
    bottom, top = np.percentile(field[::3, ::3], (1, 99))
    field = np.clip((field - bottom) / max(12.0, float(top - bottom)), 0, 1)
    if chance(rng, 0.3):  # a hard paper
        field = field * field * (3 - 2 * field)
    low, high = span(rng, 0, 70), span(rng, 160, 252)
    if chance(rng, 0.15):  # faded, or a flat copy of a copy
        low, high = span(rng, 60, 120), span(rng, 165, 225)
    return low + (high - low) * field ** span(rng, 0.65, 1.6)


def _worn(rng: np.random.Generator, view: Image.Image) -> Image.Image:
    """Scratches, dust and a lens that draws less sharply than ours."""
    if chance(rng, 0.45):
        view = view.filter(ImageFilter.BoxBlur(span(rng, 0.3, 1.3) * max(1.0, view.width / 500)))
    if chance(rng, 0.12):
        pen, (width, height) = ImageDraw.Draw(view), view.size
        for _ in range(whole(rng, 1, 14)):
            x, y, tone = rng.random() * width, rng.random() * height, pick(rng, (235, 20))
            end = (x + rng.normal(0, width * 0.1), y + rng.normal(0, height * 0.2))
            pen.line((x, y, *end), fill=(tone,) * len(view.getbands()))
    return view


def screened(rng: np.random.Generator, field: np.ndarray) -> np.ndarray:
    """The dots of a printer's screen, or of a coarse copy, set at 45 degrees."""
    height, width = field.shape[:2]
    pitch = span(rng, 2.2, 4.5)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    dots = np.cos((x + y) * (np.pi / pitch)) * np.cos((x - y) * (np.pi / pitch))
    dots = dots.reshape(height, width, *([1] * (field.ndim - 2)))
    return np.clip((field - 127.5 + dots * 70) * span(rng, 1.0, 1.8) + 127.5, 0, 255)


def developed(rng: np.random.Generator, view: Image.Image, colour: bool) -> Image.Image:
    """A view as an archive's print of it: L, or RGB when `colour` (toned grey or faded dyes)."""
    view = _worn(rng, view)
    field = np.asarray(view, np.float32)
    dyes = colour and field.ndim == 3 and chance(rng, 0.5)
    if field.ndim == 3 and not dyes:
        field = field @ np.array(pick(rng, _FILMS), np.float32)
    field = _toned(rng, field)
    height, width = field.shape[:2]
    grain = rng.integers(-128, 128, (height, width), dtype=np.int8) * np.float32(
        span(rng, 0.01, 0.08)
    )
    if chance(rng, 0.3):
        cells = (max(2, int(width / 2.2)), max(2, int(height / 2.2)))
        coarse = np.asarray(smooth_noise(rng, (width, height), cells), np.float32)
        grain = grain + (coarse - 127.5) * span(rng, 0.02, 0.14)
    if chance(rng, 0.25):  # corners that the lens leaves dark
        x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)[:, None]
        grain = grain - (x * x + y * y).astype(np.float32) * span(rng, 5, 35)
    field = field + (grain[..., None] if dyes else grain)
    if min(width, height) > 80 and chance(rng, 0.09):
        field = screened(rng, field)
    if colour:
        tint = np.array(pick(rng, _TINTS), np.float32)
        field = (field if dyes else field[..., None]) * (tint + (1 - tint) * rng.random())
    return Image.fromarray(np.clip(field, 0, 255).astype(np.uint8))
