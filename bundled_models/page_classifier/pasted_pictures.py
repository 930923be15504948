"""Real pictures put where an artificial page has a drawing or a photograph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image

from bundled_models.page_classifier.sampling import Choice

_CELL = 16  # pixels of a page that one cell of its region masks stands for
_FILLED = 100  # of 255: from where on a cell belongs to a picture
_SMALLEST_AREA = 6400
_MOST_PICTURES = 6
_INK_SHARE = 0.5

Box = tuple[int, int, int, int]


def with_real_pictures(
    page: np.ndarray,
    regions: np.ndarray,
    choices: Mapping[int, Choice],
    pixels: np.ndarray,
    inked: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the page with real pictures in place of its own.

    Args:
        page: uint8 (H, W, 3).
        regions: its masks, uint8 (6, h, w).
        choices: region number -> pictures that may fill it.
        pixels: where the rows of `choices` are found, uint8 (N, H, W, 3).
        inked: the region whose pictures sometimes lie as ink on the page's own paper.
    """
    result = page
    for region, choice in choices.items():
        if not len(choice.rows):
            continue
        for top, bottom, left, right in _boxes(regions[region]):
            if result is page:
                result = page.copy()
            place = result[top:bottom, left:right]
            picture = _part_of(pixels[choice.pick(rng)], place.shape[:2], rng)
            if region == inked and rng.random() < _INK_SHARE:
                picture = np.minimum(picture, place.max(axis=(0, 1)))
            result[top:bottom, left:right] = picture
    return result


def _boxes(mask: np.ndarray) -> Iterator[Box]:
    """Top, bottom, left and right, in pixels, of what lies together in a mask (h, w)."""
    from scipy import ndimage

    parts, _ = ndimage.label(mask > _FILLED)
    for rows, columns in ndimage.find_objects(parts)[:_MOST_PICTURES]:
        top, bottom = rows.start * _CELL, rows.stop * _CELL
        left, right = columns.start * _CELL, columns.stop * _CELL
        if (bottom - top) * (right - left) >= _SMALLEST_AREA:
            yield top, bottom, left, right


def _part_of(picture: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Squash most of a picture to `size` (height, width)."""
    height, width = picture.shape[:2]
    share_y, share_x = rng.uniform(0.7, 1.0, 2)
    top, left = rng.uniform(0, 1 - share_y), rng.uniform(0, 1 - share_x)
    box = (left * width, top * height, (left + share_x) * width, (top + share_y) * height)
    resized = Image.fromarray(picture).resize(
        (size[1], size[0]), Image.Resampling.BICUBIC, box=box, reducing_gap=2.0
    )
    return np.asarray(resized)
