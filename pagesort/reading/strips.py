"""From a map of the middle parts of lines to one outline and baseline a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Chosen on 55 pages with known lines, as were GROWN, WIDEST_GAP, MOST_BROADER and BASELINE.
LIKELY = 0.3  # probability from which a pixel is of a line
SURE = 0.8  # mean probability of a line's pixels, below which it is none
FEWEST = 20  # pixels of a line
GROWN = 1.4  # distance from the middle part to the outline, of its area by half its perimeter
UPRIGHT, LEAST_UPRIGHT = 1.5, 30  # height by width, and pixels, of a line that runs up the page
WIDEST_GAP, MOST_BROADER = 4.0, 2.0  # between two pieces of such a line, of the broader one's width
SMOOTHED = 31  # columns over which the edges of a middle part are smoothed
CORNER = 20  # columns between two corners of an outline
BASELINE = (
    0.65  # where the baseline runs between the upper edge of the outline, 0, and the lower, 1
)


@dataclass(frozen=True)
class Strip:
    """A line: corners (x, y) of its baseline and of its outline, in pixels of the map."""

    baseline: Floats
    outline: Floats


@dataclass(frozen=True, eq=False)
class _Part:
    """The middle part of a line, or a piece of it: a mask and where on the map its corner is."""

    mask: Mask
    left: int
    top: int

    @property
    def right(self) -> int:
        return self.left + self.mask.shape[1]

    @property
    def bottom(self) -> int:
        return self.top + self.mask.shape[0]

    @property
    def is_upright(self) -> bool:
        high, wide = self.mask.shape
        return high > UPRIGHT * wide and high > LEAST_UPRIGHT


def strips_of(likely: npt.NDArray[np.float32]) -> list[Strip]:
    """Follow each line of a page.

    Lines that run up the page are taken to be read from below.

    Args:
        likely: probabilities of middle parts, float32 (h, w), 0 to 1.
    """
    from scipy import ndimage

    labels, _ = ndimage.label(likely > LIKELY, np.ones((3, 3)))
    parts = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        mask = labels[rows, columns] == number
        if mask.sum() >= FEWEST and likely[rows, columns][mask].mean() >= SURE:
            parts.append(_Part(mask, columns.start, rows.start))
    return [_strip(part) for part in _joined(parts)]


def _joined(parts: Sequence[_Part]) -> Iterator[_Part]:
    """Join upright parts that follow each other: the network parts notes in margins at words.

    Where most lines are upright, the page lies on its side, and gaps are those between columns.
    """
    waiting = sorted((part for part in parts if part.is_upright), key=lambda part: part.top)
    if 2 * len(waiting) > len(parts):
        yield from parts
        return
    while waiting:
        part = waiting.pop(0)
        while (below := next((each for each in waiting if _goes_on(part, each)), None)) is not None:
            waiting.remove(below)
            part = _together(part, below)
        yield part
    yield from (part for part in parts if not part.is_upright)


def _goes_on(upper: _Part, lower: _Part) -> bool:
    """Whether two upright parts are of one line."""
    narrow, broad = sorted((upper.mask.shape[1], lower.mask.shape[1]))
    shared = min(upper.right, lower.right) - max(upper.left, lower.left)
    gap = lower.top - upper.bottom
    return (
        shared > narrow / 2 and broad < MOST_BROADER * narrow and -broad < gap < WIDEST_GAP * broad
    )


def _together(upper: _Part, lower: _Part) -> _Part:
    """Two parts as one, with the gap between them filled."""
    left, right = min(upper.left, lower.left), max(upper.right, lower.right)
    bottom = max(upper.bottom, lower.bottom)
    mask = np.zeros((bottom - upper.top, right - left), dtype=bool)
    for part in (upper, lower):
        rows = slice(part.top - upper.top, part.bottom - upper.top)
        mask[rows, part.left - left : part.right - left] |= part.mask
    inner = slice(max(upper.left, lower.left) - left, min(upper.right, lower.right) - left)
    mask[upper.bottom - upper.top : max(upper.bottom, lower.top) - upper.top, inner] = True
    return _Part(mask, left, upper.top)


def _strip(part: _Part) -> Strip:
    corner = np.array([part.left, part.top], dtype=np.float64)
    if not part.is_upright:
        baseline, outline = _followed(part.mask)
        return Strip(baseline + corner, outline + corner)
    # Turned clockwise, what runs up the page runs to the right.
    turned = [
        np.stack([points[:, 1], len(part.mask) - points[:, 0]], axis=1)
        for points in _followed(np.rot90(part.mask, -1))
    ]
    return Strip(turned[0] + corner, turned[1] + corner)


def _followed(part: Mask) -> tuple[Floats, Floats]:
    """Baseline and outline of a middle part, from column to column."""
    high, wide = part.shape
    top = _smooth(part.argmax(0).astype(np.float64))
    bottom = _smooth(high - part[::-1].argmax(0).astype(np.float64))
    around = GROWN * part.sum() / (2 * (wide + np.median(bottom - top)))
    places = np.unique(np.linspace(0, wide - 1, max(2, wide // CORNER + 2)).round().astype(int))
    columns = places + 0.5
    columns[0] -= around
    columns[-1] += around
    upper, lower = top[places] - around, bottom[places] + around
    baseline = upper + BASELINE * (lower - upper)
    outline = np.concatenate([np.stack([columns, upper], 1), np.stack([columns, lower], 1)[::-1]])
    return np.stack([columns, baseline], 1), outline


def _smooth(edge: Floats) -> Floats:
    """An edge without notches; that of a short line is straight."""
    from scipy import ndimage

    if len(edge) < SMOOTHED:
        return np.full(len(edge), np.median(edge))
    smoothed: Floats = ndimage.median_filter(edge, SMOOTHED, mode="nearest")
    return smoothed
