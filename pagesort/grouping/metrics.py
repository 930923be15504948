"""How well a grouping agrees with the true one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """Figures of a grouping against the true one; all but counts are from 0 to 1, or -1 for ARI.

    Attributes:
        pages: pages that both name.
        items, true_items: how many groups they have.
        pq: Panoptic Quality (Kirillov et al., CVPR 2019) over items: the sum of intersection over
            union of pairs of items that overlap by more than half of it, over the mean number of
            items.
        exact: share of true items that were found exactly.
        precision, recall, f1: of boundaries, that is of pages whose item is not that of the page
            before; the first page does not count. 1 where there are none on either side.
        ari: adjusted Rand index.
        v_measure: harmonic mean of homogeneity and completeness.
    """

    pages: int
    items: int
    true_items: int
    pq: float
    exact: float
    precision: float
    recall: float
    f1: float
    ari: float
    v_measure: float

    def rounded(self) -> dict[str, float]:
        """All figures by name, with four digits."""
        return {name: round(value, 4) for name, value in asdict(self).items()}

    def lines(self) -> list[str]:
        """All figures as lines for a person."""
        return [
            f"pages\t{self.pages}",
            f"items\t{self.items} (true: {self.true_items})",
            f"Panoptic Quality\t{self.pq:.3f}",
            f"items exactly right\t{self.exact:.1%}",
            f"boundaries\tprecision {self.precision:.3f}, recall {self.recall:.3f}, "
            f"F1 {self.f1:.3f}",
            f"ARI\t{self.ari:.3f}",
            f"V-measure\t{self.v_measure:.3f}",
        ]


def agreement(true: Sequence[Hashable], found: Sequence[Hashable]) -> Agreement:
    """Compare two groupings of the same pages, in scan order, at least one page.

    Args:
        true, found: for each page the name of its group; the names themselves mean nothing.
    """
    from sklearn.metrics import adjusted_rand_score, v_measure_score

    ones, others = _numbered(true), _numbered(found)
    pq, exact = _matched(ones, others)
    right, wanted, given = _boundaries(ones, others)
    precision = right / given if given else float(not wanted)
    recall = right / wanted if wanted else float(not given)
    return Agreement(
        pages=len(ones),
        items=int(others.max()) + 1,
        true_items=int(ones.max()) + 1,
        pq=pq,
        exact=exact,
        precision=precision,
        recall=recall,
        f1=2 * right / (wanted + given) if wanted + given else 1.0,
        ari=float(adjusted_rand_score(ones, others)),
        v_measure=float(v_measure_score(ones, others)),
    )


def _numbered(groups: Sequence[Hashable]) -> np.ndarray:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups])


def _matched(true: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Panoptic Quality, and the share of true items that were found exactly."""
    pairs, common = np.unique(np.stack([true, found]), axis=1, return_counts=True)
    sizes = np.bincount(true), np.bincount(found)
    union = sizes[0][pairs[0]] + sizes[1][pairs[1]] - common
    overlap = common / union
    quality = overlap[overlap > 0.5].sum() / ((len(sizes[0]) + len(sizes[1])) / 2)
    return float(quality), float((overlap == 1).sum() / len(sizes[0]))


def _boundaries(true: np.ndarray, found: np.ndarray) -> tuple[int, int, int]:
    """How many boundaries are right, are there, and were found."""
    wanted, given = true[1:] != true[:-1], found[1:] != found[:-1]
    return int((wanted & given).sum()), int(wanted.sum()), int(given.sum())
