"""Intervals of shares."""

from __future__ import annotations

NORMAL_QUANTILE = 1.96
"""Of 95 %."""


def wilson(right: float, pages: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (1927), which stays sensible for few pages and for 0 and 1.

    It takes the pages for drawn one by one, not in documents.
    """
    if pages <= 0:
        return 0.0, 1.0
    share, square = right / pages, NORMAL_QUANTILE**2
    middle = (share + square / (2 * pages)) / (1 + square / pages)
    spread = share * (1 - share) / pages + square / (4 * pages**2)
    half = NORMAL_QUANTILE * spread**0.5 / (1 + square / pages)
    return max(0.0, middle - half), min(1.0, middle + half)
