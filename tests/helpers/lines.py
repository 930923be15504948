"""Lines with known text on drawn pages, and the pages of public ground truth, where they are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pagesort.reading.text_line import Points, TextLine
from tests.helpers.paths import ROOT

SHARED = next(
    (folder / "shared" / "lines" for folder in ROOT.parents if (folder / "shared/lines").is_dir()),
    ROOT.parent / "shared" / "lines",
)
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the ground truth of lines lies beside the repository only"
)


def text_page(
    texts: list[str], size: tuple[int, int] = (900, 700), letters: int = 28, slope: float = 0.0
) -> tuple[np.ndarray, tuple[TextLine, ...]]:
    """Draw lines of text below one another on grey paper, falling by `slope`, with what they are.

    Returns the page as uint8 (H, W), and its lines.
    """
    width, height = size
    page = Image.new("L", size, 215)
    font = ImageFont.load_default(letters)
    lines = []
    for index, text in enumerate(texts):
        top = 60 + index * round(2.2 * letters)
        long = int(font.getlength(text))
        strip = Image.new("L", (long + 20, 2 * letters), 0)
        ImageDraw.Draw(strip).text((10, letters // 3), text, fill=255, font=font)
        for column in range(strip.width):
            part = strip.crop((column, 0, column + 1, strip.height))
            page.paste(40, (70 + column, top + round(slope * column)), part)
        base = top + letters // 3 + letters
        lines.append(_line(f"l{index}", 75, 85 + long, base, letters, slope, text))
    return np.asarray(page), tuple(lines)


def _line(
    name: str, left: int, right: int, base: int, letters: int, slope: float, text: str
) -> TextLine:
    fall = slope * (right - left)
    baseline: Points = ((left, base), (right, base + fall))
    above, below = letters * 1.15, letters * 0.35
    polygon = (
        *((left, base - above), (right, base + fall - above)),
        *((right, base + fall + below), (left, base + below)),
    )
    return TextLine(name, baseline, polygon, text)
