"""In which order the lines of a page are read, where nobody has said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pagesort.reading.text_line import TextLine


def in_reading_order(lines: Sequence[TextLine]) -> list[TextLine]:
    """Sort lines: from top to bottom, and columns beside each other from left to right.

    After T. M. Breuel, High Performance Document Layout Analysis, 2003: a line comes before another
    one that it overlaps from above, and before one to its right, unless a line between the two in
    height overlaps both. What is left open is decided by height.
    """
    if len(lines) < 2:
        return list(lines)
    left, top, right, bottom = np.array([_box(line) for line in lines]).T
    middle = (top + bottom) / 2
    overlap = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    overlaps = overlap > 0.1 * np.minimum.outer(right - left, right - left)
    is_higher = middle[:, None] < middle[None, :]
    before = overlaps & is_higher
    beside = ~overlaps & (left[:, None] < left[None, :])
    for first, second in zip(*np.nonzero(beside), strict=True):
        low, high = sorted((middle[first], middle[second]))
        between = (middle > low) & (middle < high) & overlaps[first] & overlaps[second]
        before[first, second] = not between.any()
    return [lines[index] for index in _sorted(before, middle)]


def _box(line: TextLine) -> tuple[float, float, float, float]:
    across, down = zip(*line.polygon, strict=True)
    return min(across), min(down), max(across), max(down)


def _sorted(before: np.ndarray, middle: np.ndarray) -> list[int]:
    """Take again and again the highest of the lines that nothing comes before, going on below."""
    waiting = before.sum(axis=0)
    left = set(range(len(middle)))
    order: list[int] = []
    while left:
        free = [index for index in left if waiting[index] == 0]
        # In a circle, which skew can make, the highest one goes first.
        following = [index for index in free if order and before[order[-1], index]]
        index = min(following or free or left, key=lambda each: middle[each])
        order.append(index)
        left.remove(index)
        waiting = waiting - before[index]
    return order
