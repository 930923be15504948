"""The nearest pages to an embedding, found exactly."""

from __future__ import annotations

import numpy as np

from pagesort.embeddings.page import unit_rows

BLOCK = 16_384
"""Rows that are widened to float32 at a time: on two processors 4,096 took twice as long."""
SPARE = 16
"""Rows are of length 1 only as far as float16 goes; so some more are ranked again exactly."""


def nearest(
    rows: np.ndarray, query: np.ndarray, count: int, leave_out: np.ndarray | None = None
) -> list[tuple[int, float]]:
    """Return the rows that are most similar, the nearest first: (place, cosine from -1 to 1).

    All rows are looked at, block by block; of equal ones the first comes first.

    Args:
        rows: float16 (N, D), of length 1.
        query: float32 (D,), of length 1.
        count: how many at most.
        leave_out: places that are not wanted.
    """
    import torch

    wanted = torch.from_numpy(np.ascontiguousarray(query, dtype=np.float32))
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), BLOCK):
        # A copy, as torch does not take what may not be written to.
        block = torch.from_numpy(np.array(rows[start : start + BLOCK]))
        found[start : start + BLOCK] = (block.float() @ wanted).numpy()
    if leave_out is not None:
        found[leave_out] = -np.inf
    kept = min(count + SPARE, len(rows))
    best = np.sort(np.argpartition(-found, kept - 1)[:kept])
    best = best[np.isfinite(found[best])]
    exact = unit_rows(np.asarray(rows[best])) @ query
    order = np.argsort(-exact, kind="stable")[:count]
    return [(int(best[place]), float(exact[place])) for place in order]
