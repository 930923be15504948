"""What tells that a page is the cover of the item that follows: how it looks, and how alone it is.

As with boundaries, nothing depends on what the single numbers of an embedding mean.
"""

from __future__ import annotations

import numpy as np

from pagesort.grouping.boundary_features import DISTANCES, compared, distances, usual
from pagesort.grouping.page_features import PLACES, SIZES
from pagesort.grouping.pile import Pile

VERSION = "covers1"

LOOKS = (
    "paper", "ink", "contrast", "density", "lines", "strokes", "margin", "edge", "edge_spread",
    "light",
)  # fmt: skip
SINGLES = (*(f"{name} {number}" for name in LOOKS for number in range(SIZES[name])), "shape")
NAMES = (
    *(f"{name} of this page" for name in SINGLES),
    *(f"{name} of this page, less what is usual" for name in SINGLES),
    *(f"{name} to the pile's mean" for name in DISTANCES),
    *(f"{name} to the nearer neighbour" for name in DISTANCES),
)


def cover_features(pile: Pile) -> np.ndarray:
    """Describe every page: float32 (N, len(NAMES)).

    Distances are told in units of what is usual in this pile, as logarithms.
    """
    pages = compared(pile)
    here = np.arange(len(pile))
    before, after = np.maximum(here - 1, 0), np.minimum(here + 1, len(pile) - 1)
    near = distances(pages, before, here)
    inner = near[1:] if len(pile) > 1 else near
    near[:1] = inner[:1]  # the first page has one neighbour, and so has the last
    to_next = near[after]
    nearer = np.minimum(near, to_next)
    middles = []
    for is_direction, values in pages:
        middle = values.mean(axis=0) if is_direction else np.median(values, axis=0)
        middles.append((is_direction, np.concatenate([values, middle[None]])))
    odd = distances(middles, here, np.full(len(pile), len(pile)))
    single = _singles(pile)
    columns = [single, single - np.median(single, axis=0)]
    columns += [np.log(odd / usual(odd) + 0.1), np.log(nearer / usual(inner) + 0.1)]
    return np.concatenate(columns, axis=1).astype(np.float32)


def _singles(pile: Pile) -> np.ndarray:
    """How a page looks by itself: (N, len(SINGLES))."""
    looks = {name: pile.looks[:, PLACES[name]] for name in LOOKS}
    looks["density"] = np.log(looks["density"] + 0.01)
    width, height = np.log(np.maximum(pile.sizes, 1.0)).T
    return np.column_stack([*looks.values(), width - height])
