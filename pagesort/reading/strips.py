"""From a map of the middle parts of lines to one outline and baseline a line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# Chosen on the 55 pages of ../shared/lines/pages, as GROWN and the limits below were.
LIKELY = 0.3  # probability from which a pixel is of a line
SURE = 0.8  # mean probability of a line's pixels, below which it is none
FEWEST = 20  # pixels of a line
GROWN = 1.4  # distance from the middle part to the outline, of its area by half its perimeter
UPRIGHT, LEAST_UPRIGHT = 1.5, 30  # height by width, and pixels, of a line that runs up the page
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


def strips_of(likely: npt.NDArray[np.float32]) -> list[Strip]:
    """Follow each line of a page.

    Lines that run up the page are taken to be read from below.

    Args:
        likely: probabilities of middle parts, float32 (h, w), 0 to 1.
    """
    from scipy import ndimage

    labels, _ = ndimage.label(likely > LIKELY, np.ones((3, 3)))
    strips = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[rows, columns] == number
        if part.sum() < FEWEST or likely[rows, columns][part].mean() < SURE:
            continue
        strips.append(_strip(part, np.array([columns.start, rows.start], dtype=np.float64)))
    return strips


def _strip(part: Mask, corner: Floats) -> Strip:
    high, wide = part.shape
    if high <= UPRIGHT * wide or high <= LEAST_UPRIGHT:
        baseline, outline = _followed(part)
        return Strip(baseline + corner, outline + corner)
    # Turned clockwise, what runs up the page runs to the right.
    turned = [
        np.stack([points[:, 1], high - points[:, 0]], axis=1)
        for points in _followed(np.rot90(part, -1))
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
