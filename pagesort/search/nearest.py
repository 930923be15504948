"""The nearest pages to an embedding, found exactly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pagesort.common.hardware import processors
from pagesort.embeddings.page import unit_rows

BLOCK = 2048
"""Rows that are widened to float32 at a time, so that they stay in the processor's cache."""
SPAN = 32 * BLOCK  # rows that a thread takes at a time
SLACK = 2.0**-10
"""Rows are of length 1 only as far as float16 goes, so that two products are told apart surely
only where they differ by more than this; those in between are ranked by their cosines."""


def nearest(rows: np.ndarray, query: np.ndarray, count: int) -> list[tuple[int, float]]:
    """Return the rows that are most similar, the nearest first: (place, cosine from -1 to 1).

    All rows are looked at, block by block; of equal ones the first comes first.

    Args:
        rows: float16 (N, D), of length 1.
        query: float32 (D,), of length 1.
        count: how many at most, one or more.
    """
    query = np.ascontiguousarray(query, dtype=np.float32)
    found = _products(rows, query)
    kept = min(count, len(rows))
    least = np.partition(found, len(rows) - kept)[len(rows) - kept]
    best = np.flatnonzero(found >= least - SLACK)
    exact = np.empty(len(best), np.float32)
    for start in range(0, len(best), BLOCK):
        some = slice(start, start + BLOCK)
        exact[some] = unit_rows(np.asarray(rows[best[some]])) @ query
    order = np.argsort(-exact, kind="stable")[:count]
    return [(int(best[place]), float(exact[place])) for place in order]


def _products(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The product of each row with the query, float32 (N,).

    Each thread has rows of its own: if torch spreads a block over its threads, they wait for each
    other for longer than they compute, which took five times the processor's time.
    """
    import torch

    wanted = torch.from_numpy(query)
    found = torch.empty(len(rows))

    def multiply(first: int) -> None:
        narrow = np.empty((BLOCK, len(query)), rows.dtype)
        wide = torch.empty(narrow.shape)
        for start in range(first, min(first + SPAN, len(rows)), BLOCK):
            block = rows[start : start + BLOCK]
            size = len(block)
            narrow[:size] = block  # torch does not take what may not be written to
            wide[:size].copy_(torch.from_numpy(narrow[:size]))
            torch.mv(wide[:size], wanted, out=found[start : start + size])

    starts = range(0, len(rows), SPAN)
    threads = max(1, min(processors(), len(starts)))
    with ThreadPoolExecutor(threads, "search", torch.set_num_threads, (1,)) as pool:
        list(pool.map(multiply, starts))
    return found.numpy()
