"""Figures in which every source counts alike, with intervals from drawing whole sources anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SEED = 421
"""Of the bootstrap."""
FEW_PAGES = 5
FEW = "sources of fewer than five pages"
_DRAWS = 2000
_PERCENTILES = (2.5, 97.5)
_BINS = 15
BANDS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Ends of the bands of scores that the card tells of."""


@dataclass(frozen=True)
class Figure:
    """A share, 0 to 1, and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


@dataclass(frozen=True)
class Scored:
    """Pages with the scores (N, labels) of a model that saw none of their sources.

    Attributes:
        true: label indices (N,).
        sources: (N,) the source of each page.
    """

    true: np.ndarray
    scores: np.ndarray
    sources: np.ndarray

    def __len__(self) -> int:
        return len(self.true)

    def chosen(self, rows: np.ndarray) -> Scored:
        """These pages alone."""
        return Scored(self.true[rows], self.scores[rows], self.sources[rows])

    @property
    def right(self) -> np.ndarray:
        """Whether the first guess is right, (N,) bool."""
        return self.scores.argmax(axis=1) == self.true

    @property
    def confidence(self) -> np.ndarray:
        """Scores of the first guesses, (N,)."""
        return self.scores.max(axis=1)

    def among_first(self, count: int) -> np.ndarray:
        """Whether the label is among the first guesses, (N,) bool."""
        order = np.argsort(-self.scores, axis=1, kind="stable")[:, :count]
        return (order == self.true[:, None]).any(axis=1)

    @property
    def counted_sources(self) -> np.ndarray:
        """The source that each page counts for, (N,): small ones count together as one."""
        names, places, counts = np.unique(self.sources, return_inverse=True, return_counts=True)
        return np.where(counts[places] < FEW_PAGES, FEW, names[places])


def page_weights(sources: np.ndarray) -> np.ndarray:
    """Weights (N,), of sum 1, that let every source count alike."""
    _, places, counts = np.unique(sources, return_inverse=True, return_counts=True)
    weights = 1.0 / counts[places]
    return weights / weights.sum()


def of_sources(values: np.ndarray, sources: np.ndarray, seed: int) -> Figure:
    """The mean of `values` (N,) over pages, every source counting alike."""
    return ratio_of_sources(values, np.ones(len(values)), sources, seed)


def ratio_of_sources(
    parts: np.ndarray, wholes: np.ndarray, sources: np.ndarray, seed: int
) -> Figure:
    """Weighted sum of `parts` by that of `wholes`, both (N,), every source counting alike.

    The interval is the bootstrap's over sources: they are drawn with replacement, as other archives
    would bring other ones.
    """
    _, places = np.unique(sources, return_inverse=True)
    weights = page_weights(sources)
    above = np.bincount(places, weights=weights * parts)
    below = np.bincount(places, weights=weights * wholes)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(above), size=(_DRAWS, len(above)))
    sums, totals = above[drawn].sum(axis=1), below[drawn].sum(axis=1)
    low, high = np.percentile(sums[totals > 0] / totals[totals > 0], _PERCENTILES)
    return Figure(float(above.sum() / below.sum()), float(low), float(high))


def calibration_error(scored: Scored, sources: np.ndarray) -> float:
    """Expected calibration error of the first guesses in 15 bins, every source counting alike."""
    weights = page_weights(sources)
    bins = np.minimum((scored.confidence * _BINS).astype(int), _BINS - 1)
    error = 0.0
    for number in range(_BINS):
        inside = bins == number
        gap = (weights * (scored.confidence - scored.right))[inside].sum()
        error += abs(float(gap))
    return error


def main_figures(scored: Scored, sources: np.ndarray, seed: int) -> dict[str, Figure]:
    """Top-1, top-3, and the share of the pages with a score of 0.9 and more, and its top-1.

    The last is missing where no page has such a score.
    """
    sure = (scored.confidence >= 0.9).astype(float)
    right = scored.right.astype(float)
    found = {
        "top_1": of_sources(right, sources, seed),
        "top_3": of_sources(scored.among_first(3).astype(float), sources, seed),
        "sure": of_sources(sure, sources, seed),
    }
    if sure.any():
        found["sure_right"] = ratio_of_sources(sure * right, sure, sources, seed)
    return found


def bands(scored: Scored, sources: np.ndarray, seed: int) -> list[tuple[float, float, int, Figure]]:
    """For each band of scores its ends, its pages, and how many of them are right."""
    found = []
    for low, high in zip(BANDS[:-1], BANDS[1:], strict=True):
        top = np.inf if high == BANDS[-1] else high
        inside = (scored.confidence >= low) & (scored.confidence < top)
        if inside.any():
            figure = of_sources(scored.right[inside].astype(float), sources[inside], seed)
            found.append((low, high, int(inside.sum()), figure))
    return found


def by_group(scored: Scored, groups: np.ndarray) -> list[tuple[str, int, int]]:
    """Name, right pages and pages of every group, groups (N,) in alphabetical order."""
    return [
        (str(name), int(scored.right[groups == name].sum()), int((groups == name).sum()))
        for name in np.unique(groups)
    ]


def recalls(scored: Scored, labels: Sequence[str]) -> list[tuple[str, int, int]]:
    """Label, right pages and pages of every label that has any."""
    names = np.array(labels)
    return by_group(scored, names[scored.true])


Confident = tuple[int, str, str, float]


def surest_errors(scored: Scored, labels: Sequence[str], count: int) -> list[Confident]:
    """Row, label, guess and score of the wrong guesses with the highest scores."""
    wrong = np.flatnonzero(~scored.right)
    order = wrong[np.argsort(-scored.confidence[wrong], kind="stable")][:count]
    guesses = scored.scores.argmax(axis=1)
    return [
        (int(row), labels[scored.true[row]], labels[guesses[row]], float(scored.confidence[row]))
        for row in order
    ]
