"""What tells that a new item begins: how a page differs from those before it, and how it begins.

Nothing here depends on what the single numbers of an embedding mean, only on how alike embeddings
are within one pile, so that a boundary model serves the embeddings of other models, too.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from pagesort.grouping.page_features import PLACES
from pagesort.grouping.pile import Pile

VERSION = "boundaries2"

PROFILES = ("rows", "columns", "head", "foot")
# Numbers of a page that are compared as they are, by the mean of absolute differences.
COMPARED = MappingProxyType(
    {
        "paper_light": ("paper", (0, 1, 4)),
        "paper_tint": ("paper", (2, 3)),
        "ink_light": ("ink", (0, 3, 4)),
        "ink_tint": ("ink", (1, 2)),
        "contrast": ("contrast", (0,)),
        "edge": ("edge", (0, 1, 2, 3)),
        "edge_spread": ("edge_spread", (0, 1, 2, 3)),
        "light": ("light", (0, 1, 2)),
        "lines": ("lines", (0, 1)),
        "strokes": ("strokes", (0, 1)),
        "top": ("margin", (0,)),
        "sides": ("margin", (2, 3)),
    }
)
DISTANCES = ("embedding", "centred", "kind", *PROFILES, "shape", "area", "density", *COMPARED)
SINGLES = (
    "margin top", "margin bottom", "margin left", "margin right", "ink", "head over middle",
    "foot over middle", "first rows", "upper rows", "shape",
)  # fmt: skip
OF_MODELS = 3  # of the distances depend on the model of embeddings, and only count in usual units
NAMES = (
    *(f"{name} to the page before, as it is" for name in DISTANCES[OF_MODELS:]),
    *(f"{name} to the page before" for name in DISTANCES),
    *(f"{name} across, at least" for name in DISTANCES),
    *(f"{name} across" for name in DISTANCES),
    *(f"{name} over that of the nearer neighbours" for name in DISTANCES),
    *(f"{name} over that of the farther neighbours" for name in DISTANCES),
    *(f"{name} of this page, less what is usual" for name in SINGLES),
    *(f"{name} of the page before, less what is usual" for name in SINGLES),
    *(f"{name} of this page" for name in SINGLES),
    *(f"{name} of the page before" for name in SINGLES),
    *(f"{name} less that of the page before" for name in SINGLES),
)
_LITTLE = 0.003  # share of ink that counts as none


def boundary_features(pile: Pile) -> np.ndarray:
    """Describe the gap before every page: float32 (N, len(NAMES)); that of the first means nothing.

    Distances are told in units of what is usual between neighbours of this pile, as logarithms.
    """
    pages = compared(pile)
    here = np.arange(len(pile))
    before, earlier, after = (np.clip(here + by, 0, len(pile) - 1) for by in (-1, -2, 1))
    near = distances(pages, before, here)
    others = [distances(pages, *pair) for pair in ((earlier, here), (before, after))]
    far = distances(pages, earlier, after)
    inner = near[1:] if len(pile) > 1 else near
    unit = usual(inner)
    least = np.minimum(near, np.minimum(*others))
    mean = (near + others[0] + others[1] + far) / 4
    single = _singles(pile)
    own = single - np.median(single, axis=0)
    relative, at_least, overall = (np.log(each / unit + 0.1) for each in (near, least, mean))
    beside = relative[before], relative[after]
    columns = [np.sqrt(near[:, OF_MODELS:]), relative, at_least, overall]
    columns += [relative - np.minimum(*beside), relative - np.maximum(*beside)]
    columns += [own, own[before], single, single[before], single - single[before]]
    return np.concatenate(columns, axis=1).astype(np.float32)


def compared(pile: Pile) -> list[tuple[bool, np.ndarray]]:
    """What pages are compared by, in the order of DISTANCES; true where angles count."""
    looks = {name: pile.looks[:, place] for name, place in PLACES.items()}
    width, height = np.log(np.maximum(pile.sizes, 1.0)).T
    return [
        (True, pile.vectors),
        (True, pile.vectors - pile.vectors.mean(axis=0)),
        (False, pile.scores),
        *((True, np.sqrt(looks[name])) for name in PROFILES),
        (False, (width - height)[:, None]),
        (False, (width + height)[:, None]),
        (False, np.log(looks["density"] + 0.01)),
        *((False, looks[name][:, list(some)]) for name, some in COMPARED.values()),
    ]


def distances(
    pages: list[tuple[bool, np.ndarray]], ones: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """How far pages are from one another: (pairs, len(DISTANCES))."""
    return np.stack(
        [
            _angles(values[ones], values[others])
            if is_direction
            else np.abs(values[ones] - values[others]).mean(axis=1)
            for is_direction, values in pages
        ],
        axis=1,
    )


def usual(found: np.ndarray) -> np.ndarray:
    """What distances of a pile, (N, D), are told in units of: (D,), all above 0."""
    return np.asarray(np.median(found, axis=0) + 0.1 * found.mean(axis=0) + 1e-4)


def _angles(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """One less the cosine of pairs of rows."""
    lengths = (np.linalg.norm(each, axis=1) + 1e-6 for each in (ones, others))
    cosine = (ones * others).sum(axis=1)
    for length in lengths:
        cosine = cosine / length
    return np.asarray(np.maximum(1 - cosine, 0.0))


def _singles(pile: Pile) -> np.ndarray:
    """How a page begins and ends: (N, len(SINGLES))."""
    rows = pile.looks[:, PLACES["rows"]]
    head, middle, foot = (rows[:, place].mean(axis=1) for place in _THIRDS)
    density = pile.looks[:, PLACES["density"]][:, 0]
    width, height = np.log(np.maximum(pile.sizes, 1.0)).T
    return np.column_stack(
        [
            pile.looks[:, PLACES["margin"]],
            np.log(density + 0.01),
            np.log((head + _LITTLE) / (middle + _LITTLE)),
            np.log((foot + _LITTLE) / (middle + _LITTLE)),
            rows[:, :4].mean(axis=1),
            rows[:, 4:10].mean(axis=1),
            width - height,
        ]
    )


_THIRDS = (slice(0, 6), slice(8, 24), slice(24, 32))  # of 32 rows
