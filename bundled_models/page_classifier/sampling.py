"""Which real page a training view shows: labels evenly, sources nearly so, clear pages mostly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bundled_models.page_classifier.real_pages import RealPages

# A source of n pages is shown n ** 0.4 times as often as one of a single page: 130 pages of one
# must not drown 6 of another, nor 6 pages be learnt by heart.
_SOURCE_EXPONENT = 0.4
_UNCLEAR_WEIGHT = 0.3
_PICTURE_WEIGHT = 0.5
# Half of the views go to all labels alike, half by the root of how many sources have the label.
_EVEN_SHARE = 0.5


@dataclass(frozen=True)
class Choice:
    """Rows of pages with the probability of each, and how many pages they are worth."""

    rows: np.ndarray
    probabilities: np.ndarray
    worth: float

    def pick(self, rng: np.random.Generator) -> int:
        """Return a random row."""
        return int(rng.choice(self.rows, p=self.probabilities))


class Sampler:
    """Chooses labels, and real pages of a label or of pictures, among some rows of `real`.

    Args:
        rows: pages that may be shown.
        label_count: how many labels there are.
    """

    def __init__(self, real: RealPages, rows: np.ndarray, label_count: int) -> None:
        self._real = real
        self._rows = rows
        self.of_label = [self._choice(rows[real.labels[rows] == n]) for n in range(label_count)]
        self.label_probabilities = self._label_probabilities(label_count)

    def label(self, rng: np.random.Generator) -> int:
        """Return a random label."""
        return int(rng.choice(len(self.label_probabilities), p=self.label_probabilities))

    def pictures(self, label: int) -> Choice:
        """Clear pages of a label as pictures to paste, those without a page around them first."""
        rows = self._rows[(self._real.labels[self._rows] == label) & self._real.clear[self._rows]]
        return self._choice(rows, picture_weight=2.0)

    def _choice(self, rows: np.ndarray, picture_weight: float = _PICTURE_WEIGHT) -> Choice:
        pages = [self._real.pages[row] for row in rows]
        clear = np.array([1.0 if page.clear else _UNCLEAR_WEIGHT for page in pages])
        pictures = np.array([picture_weight if page.picture_only else 1.0 for page in pages])
        sources = np.array([page.source for page in pages])
        _, places, counts = np.unique(sources, return_inverse=True, return_counts=True)
        weights = clear * pictures * counts[places] ** (_SOURCE_EXPONENT - 1.0)
        total = weights.sum()
        return Choice(rows, weights / total if total else weights, float(clear.sum()))

    def _label_probabilities(self, label_count: int) -> np.ndarray:
        clear = self._rows[self._real.clear[self._rows]]
        sources = self._real.sources
        roots = np.array(
            [
                max(1, len(set(sources[clear[self._real.labels[clear] == label]]))) ** 0.5
                for label in range(label_count)
            ]
        )
        return (1.0 - _EVEN_SHARE) * roots / roots.sum() + _EVEN_SHARE / label_count
