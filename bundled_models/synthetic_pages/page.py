"""Artificial archive pages of all categories, drawn from a seed.

    python3 -m bundled_models.synthetic_pages --out DIR --pages N --seed S --height H [--greys G]

writes N pages a label as `DIR/<LABEL>/synth<S>_<label>_<n>-1.png`, each a document of its own. The
same seed and the same installed fonts (see `fonts.py`) give the same pages.
`category_samples/` came from an earlier state of the renderer, by this command:

    python3 -m bundled_models.synthetic_pages --out category_samples --pages 3 --seed 3 \
        --height 1755 --greys 16
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from bundled_models.synthetic_pages.layouts import (
    mixtures,
    plates,
    printed_tables,
    tables,
    texts,
    typed,
)
from bundled_models.synthetic_pages.layouts.forms import library_marks
from bundled_models.synthetic_pages.scanning.paper import scan
from bundled_models.synthetic_pages.sheet import OVERSAMPLING, REGIONS, Sheet, side_by_side
from bundled_models.synthetic_pages.words import chance, span

__all__ = ["LABELS", "REGIONS", "SynthPage", "draw_page", "page_rng", "write_pages"]

_LAYOUTS: dict[str, Callable[[Sheet], None]] = {
    "DRAW": plates.draw_page,
    "DRAW_L": plates.draw_card,
    "LINE_HW": tables.line_hand,
    "LINE_P": printed_tables.line_print,
    "LINE_T": tables.line_typed,
    "PHOTO": plates.photo_page,
    "PHOTO_L": plates.photo_card,
    "TEXT": mixtures.text_mixed,
    "TEXT_HW": texts.text_hand,
    "TEXT_P": texts.text_print,
    "TEXT_T": typed.text_typed,
}
LABELS: tuple[str, ...] = tuple(sorted(_LAYOUTS))

# Paper sizes in mm with the weight of each.
_SIZES = (
    ((210, 297), 0.66),
    ((297, 210), 0.1),
    ((205, 340), 0.05),
    ((148, 210), 0.04),
    ((210, 148), 0.05),
    ((165, 240), 0.06),
    ((180, 220), 0.04),
)
_COLOUR_SHARE = 0.4
_BOUND = ("LINE_HW", "LINE_P", "TEXT_HW", "TEXT_P")  # what volumes are full of
_OPENED_SHARE = 0.06


@dataclass(frozen=True)
class SynthPage:
    """A drawn page.

    `image` has mode L or RGB; `regions` is uint8 (len(REGIONS), about height/16, about width/16),
    0 to 255: how much of the spot holds print, typing and so on.
    """

    image: Image.Image
    label: str
    regions: np.ndarray


def page_rng(seed: int, index: int) -> Generator:
    """The generator of page `index` (0 on) of `seed`."""
    return np.random.default_rng([seed, index])


def _paper_size(label: str, rng: Generator) -> tuple[float, float]:
    bounds = np.cumsum([weight for _, weight in _SIZES])
    size = _SIZES[int(np.searchsorted(bounds, rng.random() * bounds[-1]))][0]
    if label.endswith("_L") and chance(rng, 0.15):
        size = (297, 210)
    return size[0] * span(rng, 0.96, 1.03), size[1] * span(rng, 0.96, 1.03)


def draw_page(label: str, rng: Generator, height: int = 640) -> SynthPage:
    """One page of `label` whose longer side has `height` pixels; KeyError for an unknown label."""
    layout = _LAYOUTS[label]
    width_mm, height_mm = _paper_size(label, rng)
    opened = label in _BOUND and height_mm > width_mm and chance(rng, _OPENED_SHARE)
    scale = OVERSAMPLING * height / max(width_mm * (2 if opened else 1), height_mm)
    colour = chance(rng, _COLOUR_SHARE)
    sheets = [Sheet(rng, width_mm, height_mm, scale, colour) for _ in range(2 if opened else 1)]
    for sheet in sheets:
        layout(sheet)
    sheet = side_by_side(*sheets) if opened else sheets[0]
    library_marks(sheet)
    image, regions = scan(sheet, height)
    return SynthPage(image, label, regions)


def with_greys(image: Image.Image, greys: int) -> Image.Image:
    """The page in mode P with so many evenly spaced greys (2 to 256): small as a PNG file."""
    step = 255 / (greys - 1)
    indexed = image.convert("L").point([round(value / step) for value in range(256)])
    page = Image.frombytes("P", indexed.size, indexed.tobytes())
    page.putpalette([round(step * level) for level in range(greys) for _ in range(3)])
    return page


def write_pages(folder: Path, pages: int, seed: int, height: int, greys: int | None = None) -> int:
    """Write `pages` pages a label below `folder`; returns how many files were written."""
    written = 0
    for row, label in enumerate(LABELS):
        (folder / label).mkdir(parents=True, exist_ok=True)
        for number in range(1, pages + 1):
            page = draw_page(label, page_rng(seed, (number - 1) * len(LABELS) + row), height)
            image = with_greys(page.image, greys) if greys else page.image
            name = f"synth{seed:02d}_{label.lower()}_{number}-1.png"
            image.save(folder / label / name, optimize=True)
            written += 1
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """The small command of this module's docstring; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python3 -m bundled_models.synthetic_pages",
        description="Draw artificial archive pages.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--pages", type=int, default=3, help="pages a label (3)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the pages (1)")
    parser.add_argument("--height", type=int, default=640, help="pixels of the longer side (640)")
    parser.add_argument("--greys", type=int, help="save with so many greys, for small files")
    options = parser.parse_args(arguments)
    written = write_pages(options.out, options.pages, options.seed, options.height, options.greys)
    sys.stdout.write(f"{written} pages in {options.out}\n")
    return 0
