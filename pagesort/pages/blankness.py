"""Whether a page holds anything: blank, nearly blank, or neither."""

from __future__ import annotations

import numpy as np
from PIL import Image

BLANK, NEARLY_BLANK = "blank", "nearly blank"

# Measured on pages as they are shrunk for a model, some 300 x 400 pixels. Ink is a contrast within
# a small square. Shrunk so, paper's texture and uneven light stay below 15, ordinary writing that
# shines through below 24. Of 383 pages from archives the sparsest has 5 % of its squares above 24,
# the faintest pencil 8 %. A single line of text has 2 to 3 %.
SQUARE = 8
INK_CONTRAST = 24
MARGIN = 32  # a share of 1 / 32 at each side, where scanners show what lies below the page
LEAST_INK = 0.001
LITTLE_INK = 0.04


def note_of(page: Image.Image) -> str:
    """Return BLANK, NEARLY_BLANK, or nothing for a shrunk page of mode L or RGB."""
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
