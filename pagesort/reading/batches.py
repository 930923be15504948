"""Pictures as networks take them: all of a batch have the same size, and nothing is filled up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from pagesort.reading.network import HEIGHT

Shape = tuple[int, int]
"""Rows and columns."""

LARGEST_BATCH = 32
MOST_PIXELS = 24_000 * HEIGHT
"""Of a batch; one of the longest lines has few of them."""
MULTIPLE = 16
NARROWEST, WIDEST = 48, 2400
FORM_WIDEST, FORM_TALLEST = 640, 1600


def shape_for(width: int, height: int, *, is_form: bool = False) -> Shape:
    """Return the size that a picture of this size has for a network, in multiples of 16 pixels.

    A line has 48 rows and 48 to 2,400 columns; a form keeps its own, up to 640 columns and 1,600
    rows. Sizes are rounded up, so that many pictures share one, and nothing is filled up: a filling
    would be seen, and the neighbours of a line would decide how it is read.
    """
    if is_form:
        columns = min(_rounded(width), FORM_WIDEST)
        rows = _rounded(-(-height * columns // width))
        return min(max(rows, HEIGHT), FORM_TALLEST), max(columns, NARROWEST)
    columns = _rounded(-(-width * HEIGHT // height))
    return HEIGHT, min(max(columns, NARROWEST), WIDEST)


def by_shape(shapes: Sequence[Shape], most_pixels: int = MOST_PIXELS) -> Iterator[list[int]]:
    """Yield the numbers of pictures in batches of those that have the same size."""
    groups: dict[Shape, list[int]] = {}
    for number, shape in enumerate(shapes):
        groups.setdefault(shape, []).append(number)
    for (rows, columns), numbers in sorted(groups.items()):
        size = max(1, min(LARGEST_BATCH, most_pixels // (rows * columns)))
        yield from (numbers[start : start + size] for start in range(0, len(numbers), size))


def shaped(picture: np.ndarray, shape: Shape) -> np.ndarray:
    """A grey picture, uint8 (H, W), stretched to a size."""
    if picture.shape == shape:
        return picture
    rows, columns = shape
    image = Image.fromarray(picture)
    return np.asarray(image.resize((columns, rows), Image.Resampling.BICUBIC, reducing_gap=2.0))


def greys(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size, uint8 (H, W), as float32 (N, 1, H, W), -1 for black and 1 for white."""
    return np.stack(pictures)[:, None].astype(np.float32) / 127.5 - 1.0


def _rounded(pixels: int) -> int:
    return -(-pixels // MULTIPLE) * MULTIPLE
