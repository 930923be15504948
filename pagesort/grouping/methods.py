"""The ways of grouping a pile, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pagesort.grouping.boundary_model import BoundaryModel
from pagesort.grouping.clustering import MOST_PAGES, ClusterSettings, dbscan, joined_neighbours
from pagesort.grouping.pile import Pile
from pagesort.grouping.segmentation import choose_cuts, probability, settled, with_covers

Name = Literal["sequence", "ward", "dbscan", "agglomerative"]
NAMES: tuple[Name, ...] = ("sequence", "ward", "dbscan", "agglomerative")


@dataclass(frozen=True)
class Method:
    """How piles are grouped.

    Attributes:
        model: of boundaries; all methods but `sequence` use it for the column BOUNDARY only.
        items: how many items each pile has; None where nobody knows.
        size: how many pages items have on average; for `sequence` only.
    """

    model: BoundaryModel
    name: Name = "sequence"
    clusters: ClusterSettings = field(default_factory=ClusterSettings)
    items: int | None = None
    size: float | None = None

    @property
    def most_pages(self) -> int:
        """The largest pile that is grouped as a whole."""
        return MOST_PAGES

    def group(self, pile: Pile) -> tuple[np.ndarray, np.ndarray]:
        """Return for each page its group, int (N,), and the probability that an item begins."""
        log_odds = settled(self.model.log_odds(pile))
        log_odds = with_covers(log_odds, self.model.cover_chances(pile))
        boundaries = probability(log_odds)
        boundaries[:1] = 1.0
        if self.name == "dbscan":
            return dbscan(pile.vectors, self.clusters), boundaries
        if self.name != "sequence":
            groups = joined_neighbours(pile.vectors, self.clusters, self.name, self.items)
            return groups, boundaries
        return np.cumsum(choose_cuts(log_odds, items=self.items, size=self.size)), boundaries
