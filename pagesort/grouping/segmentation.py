"""Where a pile is cut into items, from how probable it is at each page that a new one begins."""

from __future__ import annotations

import numpy as np


def choose_cuts(log_odds: np.ndarray, *, items: int | None = None) -> np.ndarray:
    """Choose the pages that a new item begins at: bool (N,), the first page always.

    Args:
        log_odds: of a new item at each page, (N,).
        items: how many there are; None where nobody knows.
    """
    cuts = log_odds > 0
    if items is not None:
        best = np.argsort(-log_odds[1:], kind="stable")[: items - 1] + 1
        cuts = np.zeros(len(log_odds), bool)
        cuts[best] = True
    cuts[:1] = True
    return cuts
