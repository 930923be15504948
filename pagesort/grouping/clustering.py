"""Grouping by embeddings alone: what others do, to be compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MOST_PAGES = 20_000  # of a pile; the matrices of more do not fit


@dataclass(frozen=True)
class ClusterSettings:
    """Settings of the methods beside `sequence`.

    Attributes:
        eps: `dbscan`: pages are neighbours whose cosine distance is at most this.
        min_samples: `dbscan`: so many pages in reach, itself included, make one the core of one.
        distance: `ward`, `agglomerative`: groups farther apart are not joined.
        linkage: `agglomerative`: average, complete or single.
    """

    eps: float = 0.1
    min_samples: int = 1
    distance: float = 0.5
    linkage: str = "average"


def dbscan(vectors: np.ndarray, settings: ClusterSettings) -> np.ndarray:
    """Group pages by DBSCAN over cosine distances, their order unused: int (N,), from 0.

    A page that belongs nowhere is a group of its own. Ester, Kriegel, Sander and Xu, KDD 1996.
    """
    from sklearn.cluster import DBSCAN

    found = DBSCAN(eps=settings.eps, min_samples=settings.min_samples, metric="cosine")
    groups = np.asarray(found.fit_predict(vectors))
    alone = groups < 0
    groups[alone] = groups.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    return groups


def joined_neighbours(
    vectors: np.ndarray, settings: ClusterSettings, method: str, items: int | None = None
) -> np.ndarray:
    """Group pages by joining the most alike groups that are neighbours in scan order: int (N,).

    Args:
        vectors: embeddings, rows of length 1.
        settings: how alike groups have to be.
        method: `ward` (the least growth of variance) or `agglomerative` (cosine distance).
        items: how many groups there shall be, whatever the distance.
    """
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.neighbors import radius_neighbors_graph

    if len(vectors) < 2:
        return np.zeros(len(vectors), int)
    places = np.arange(len(vectors), dtype=np.float64)[:, None]
    clusters = AgglomerativeClustering(
        n_clusters=items,
        distance_threshold=settings.distance if items is None else None,
        connectivity=radius_neighbors_graph(places, 1.0),
        compute_full_tree=True,
        linkage="ward" if method == "ward" else settings.linkage,
        metric="euclidean" if method == "ward" else "cosine",
    )
    return np.asarray(clusters.fit_predict(vectors))
