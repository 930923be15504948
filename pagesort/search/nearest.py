"""The nearest pages to an embedding, found exactly."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pagesort.common.hardware import processors
from pagesort.embeddings.page import unit_rows

SPAN = 65_536  # rows that a thread takes at a time
BLOCK = 2048  # rows that are widened to float32 at a time
SLACK = 2.0**-8
"""How far the products of two rows may be apart and yet their cosines the other way round: rows,
query and products are each rounded to float16, and lengths are 1 only as far as that goes."""


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
    """About the product of each row with the query, float32 (N,).

    Rows are read as they are, as widening them takes longer than all else. Each thread has rows of
    its own: those that torch spreads a block over wait for each other for longer than they compute.
    """
    import torch

    with warnings.catch_warnings():  # of rows that may not be written to, which nobody does
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        values = torch.from_numpy(np.asarray(rows))
    wanted = torch.from_numpy(query).half()
    found = np.empty(len(rows), np.float32)

    def multiply(start: int) -> None:
        some = slice(start, start + SPAN)
        found[some] = torch.mv(values[some], wanted).float().numpy()

    starts = range(0, len(rows), SPAN)
    threads = max(1, min(processors(), len(starts)))
    with ThreadPoolExecutor(threads, "search", torch.set_num_threads, (1,)) as pool:
        list(pool.map(multiply, starts))
    return found
