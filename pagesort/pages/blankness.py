"""What is to be said of a page that nobody reads: blank, nearly blank, or a colour target."""

from __future__ import annotations

import numpy as np
from PIL import Image

BLANK, NEARLY_BLANK, COLOUR_TARGET = "blank", "nearly blank", "colour target"

# Measured on pages as they are shrunk for a model, some 300 x 400 pixels. Ink is a contrast within
# a small square. Shrunk so, paper's texture and uneven light stay below 15, ordinary writing that
# shines through below 24. Of 383 pages from archives the sparsest has 5 % of its squares above 24,
# the faintest pencil 8 %. A single line of text has 2 to 3 %.
SQUARE = 8
INK_CONTRAST = 24
MARGIN = 32  # a share of 1 / 32 at each side, where scanners show what lies below the page
LEAST_INK = 0.001
LITTLE_INK = 0.04
# A colour target has evenly coloured patches of nearly all hues. Of 2,601 pages from archives,
# coloured maps among them, two have squares like that of two of six hues, none of three. The share
# keeps out a page that was scanned with a strip of colours beside it.
HUES = 6
LEAST_HUES = 4
LEAST_SQUARES = 2  # of a hue that counts
LEAST_COLOURED = 0.1
SATURATION = 0.45  # (greatest - least) / greatest channel
LEAST_LIGHT = 60


def note_of(page: Image.Image) -> str:
    """Return COLOUR_TARGET, BLANK, NEARLY_BLANK or nothing for a shrunk page of mode L or RGB."""
    if page.mode == "RGB" and _is_colour_target(page):
        return COLOUR_TARGET
    share = _share_of_ink(np.asarray(page if page.mode == "L" else page.getchannel("G")))
    if share > LITTLE_INK:
        return ""
    return BLANK if share < LEAST_INK else NEARLY_BLANK


def _share_of_ink(grey: np.ndarray) -> float:
    """Share of a page's squares, uint8 (H, W), that ink shows in."""
    top, left = grey.shape[0] // MARGIN, grey.shape[1] // MARGIN
    inner = grey[top : grey.shape[0] - top, left : grey.shape[1] - left]
    rows, columns = inner.shape[0] // SQUARE, inner.shape[1] // SQUARE
    if not rows or not columns:
        return 1.0  # too small to tell
    bands = inner[: rows * SQUARE, : columns * SQUARE].reshape(rows, SQUARE, columns * SQUARE)
    darkest = bands.min(axis=1).reshape(rows, columns, SQUARE).min(axis=2)
    lightest = bands.max(axis=1).reshape(rows, columns, SQUARE).max(axis=2)
    return float((lightest - darkest > INK_CONTRAST).mean())


def _is_colour_target(page: Image.Image) -> bool:
    """Whether a good part of a page is evenly coloured squares of nearly all hues."""
    columns, rows = page.width // SQUARE, page.height // SQUARE
    if not rows or not columns:
        return False
    page = page.crop((0, 0, columns * SQUARE, rows * SQUARE))
    means = np.asarray(page.reduce(SQUARE)).astype(np.float64)
    most, least = means.max(axis=2), means.min(axis=2)
    coloured = (most - least > SATURATION * most) & (most > LEAST_LIGHT)
    if coloured.mean() < LEAST_COLOURED:  # nearly every page; the rest takes longer
        return False
    squares = np.asarray(page).reshape(rows, SQUARE, columns, SQUARE, 3)
    spread = squares.max(axis=(1, 3)) - squares.min(axis=(1, 3))  # of each channel
    coloured &= spread.max(axis=2) < INK_CONTRAST
    if coloured.mean() < LEAST_COLOURED:
        return False
    hues = _hues(means[coloured])
    return bool((np.bincount(hues, minlength=HUES) >= LEAST_SQUARES).sum() >= LEAST_HUES)


def _hues(colours: np.ndarray) -> np.ndarray:
    """Which sixth of the circle of hues each colour, float (N, 3), lies in: 0 to 5, red first."""
    red, green, blue = colours.T
    most, spread = colours.max(axis=1), np.ptp(colours, axis=1)
    turns = np.select(
        [most == red, most == green],
        [(green - blue) / spread % HUES, (blue - red) / spread + 2],
        (red - green) / spread + 4,
    )
    return turns.astype(int) % HUES
