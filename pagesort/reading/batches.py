"""Pictures of lines as the network takes them: all of a batch are stretched to the same width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from pagesort.reading.network import HEIGHT

LARGEST_BATCH = 32
MOST_COLUMNS = 24_000
"""Of a batch; one of the longest lines has few of them."""
MULTIPLE = 16
NARROWEST, WIDEST = 48, 2400


def width_for(width: int, height: int) -> int:
    """How many columns a picture of this size has for the network: a multiple of 16, 48 to 2,400.

    Widths are rounded up, so that many lines share one, and nothing is filled up: a filling would
    be seen, and the neighbours of a line would decide how it is read.
    """
    columns = -(-width * HEIGHT // height)
    return min(max(-(-columns // MULTIPLE) * MULTIPLE, NARROWEST), WIDEST)


def by_width(widths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the numbers of pictures in batches of those that have the same width."""
    groups: dict[int, list[int]] = {}
    for number, width in enumerate(widths):
        groups.setdefault(width, []).append(number)
    for width, numbers in sorted(groups.items()):
        size = max(1, min(LARGEST_BATCH, MOST_COLUMNS // width))
        yield from (numbers[start : start + size] for start in range(0, len(numbers), size))


def stretched(picture: np.ndarray, width: int) -> np.ndarray:
    """A grey picture of a line, uint8 (H, W), in the network's size: uint8 (48, width)."""
    if picture.shape == (HEIGHT, width):
        return picture
    image = Image.fromarray(picture)
    return np.asarray(image.resize((width, HEIGHT), Image.Resampling.BICUBIC, reducing_gap=2.0))


def greys(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size, uint8 (H, W), as float32 (N, 1, H, W), -1 for black and 1 for white."""
    return np.stack(pictures)[:, None].astype(np.float32) / 127.5 - 1.0
