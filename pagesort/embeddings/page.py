"""An embedded page, and how its embedding is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pagesort.pages.loader import PageRef

STORED = np.dtype("<f2")


@dataclass(frozen=True)
class EmbeddedPage:
    """A page and what the model made of it.

    Attributes:
        vector: float32 (D,), of length 1; rounded to float16 before, so that it is the same
            whether it was computed now or kept.
        size: width and height in pixels as the file holds them, a PDF's as it was drawn.
        note: tells of blank pages, as `blankness.note_of`.
        features: float32 (F,), what a describer made of the page; None without one.
    """

    ref: PageRef
    vector: np.ndarray
    size: tuple[int, int]
    note: str = ""
    features: np.ndarray | None = None


def unit_rows(stored: np.ndarray) -> np.ndarray:
    """Embeddings as they are kept, float16 (N, D), as float32 rows of length 1."""
    rows = stored.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
