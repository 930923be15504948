"""Pages of a pile in scan order, as what is known of them in numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pagesort.embeddings.page import EmbeddedPage
from pagesort.grouping.page_features import LENGTH
from pagesort.pages.loader import Failure


@dataclass(frozen=True)
class Pile:
    """N pages that follow one another.

    Attributes:
        vectors: embeddings, float32 (N, D), rows of length 1.
        looks: what `page_features.describe` says of them, float32 (N, LENGTH).
        sizes: width and height in pixels, float32 (N, 2).
        scores: a probability for each kind of page, float32 (N, C).
        texts: what `text_features.describe_text` says of them, float32 (N, its LENGTH); None where
            nobody has looked for texts.
    """

    vectors: np.ndarray
    looks: np.ndarray
    sizes: np.ndarray
    scores: np.ndarray
    texts: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.vectors)


def pile_of(
    pages: Sequence[EmbeddedPage | Failure],
    score: Callable[[np.ndarray], np.ndarray],
    texts: np.ndarray | None = None,
) -> Pile:
    """Collect some pages; one that could not be read is taken for a copy of the page before it.

    So it is no reason to begin a new item, nor does it hide that its neighbours differ.

    Args:
        pages: at least one of them could be read, with features.
        score: what gives the probabilities of kinds of embeddings.
        texts: of all pages, as `Pile` has them; a page that could not be read may have one.
    """
    read = [page for page in pages if isinstance(page, EmbeddedPage)]
    # For each page its place among those that could be read, or that of the last one before it.
    counts = np.cumsum([isinstance(page, EmbeddedPage) for page in pages])
    places = np.maximum(counts - 1, 0)
    vectors = np.stack([page.vector for page in read])
    nothing = np.zeros(LENGTH, np.float32)
    looks = np.stack([nothing if page.features is None else page.features for page in read])
    sizes = np.array([page.size for page in read], np.float32)
    return Pile(vectors[places], looks[places], sizes[places], score(vectors)[places], texts)
