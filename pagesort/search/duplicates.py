"""Pages that were scanned twice: near by their embeddings, then compared as pictures."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pagesort.common.errors import PageUnreadableError
from pagesort.pages.loader import PageLoader, PageRef, Preprocessing
from pagesort.search.collection import Collection
from pagesort.search.same_scan import HEIGHT, WIDTH, agreement

BLOCK, WIDE_BLOCK = 2048, 8192  # rows whose similarities are held at a time: 64 MiB
NEIGHBOURS = 10
"""Of each page, so many nearest ones are compared as pictures."""
LEAST_COSINE = 0.8
PICTURES_KEPT = 1024  # 48 kB each


@dataclass(frozen=True)
class Duplicate:
    """A page of a group of the same scan; `similarity` 0 to 1 to one of the others, the best."""

    group: int
    ref: PageRef
    similarity: float


def candidates(rows: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield each pair of places once of which one is among the nearest of the other.

    In pages of one register a second scan is crowded out on one side sooner than on both.
    Memory is bounded but for four bytes a neighbour.

    Args:
        rows: float16 (N, D), of length 1.
    """
    neighbours = np.full((len(rows), NEIGHBOURS), -1, np.int32)
    for start in range(0, len(rows), BLOCK):
        neighbours[start : start + BLOCK] = _nearest(rows, start)
        for one in range(start, min(start + BLOCK, len(rows))):
            for two in neighbours[one]:
                # An earlier page that has this one among its nearest has yielded the pair already.
                if two > one or (two >= 0 and one not in neighbours[two]):
                    yield min(one, int(two)), max(one, int(two))


def _nearest(rows: np.ndarray, start: int) -> np.ndarray:
    """Places of the nearest other pages of a block of pages, int32 (B, NEIGHBOURS), -1 for none."""
    import torch

    block = torch.from_numpy(np.array(rows[start : start + BLOCK])).float()
    cosines = torch.full((len(block), NEIGHBOURS), -1.0)
    places = torch.full((len(block), NEIGHBOURS), -1, dtype=torch.int64)
    own = torch.arange(start, start + len(block))[:, None]
    for other in range(0, len(rows), WIDE_BLOCK):
        others = torch.from_numpy(np.array(rows[other : other + WIDE_BLOCK])).float()
        which = torch.arange(other, other + len(others))[None]
        found = (block @ others.T).masked_fill(which == own, -1.0)
        cosines, order = torch.cat([cosines, found], 1).topk(NEIGHBOURS)
        places = torch.cat([places, which.expand(len(block), -1)], 1).gather(1, order)
    return places.masked_fill(cosines < LEAST_COSINE, -1).numpy().astype(np.int32)


def find_duplicates(collection: Collection, least: float, max_megapixels: float) -> list[Duplicate]:
    """Return the groups of pages that show the same sheet, in the order of their first pages.

    Args:
        collection: where to look.
        least: how well pictures must agree, 0 to 1; see `same_scan.QUANTILE`.
        max_megapixels: larger pages are not compared.
    """
    wanted = Preprocessing(resize=(HEIGHT, WIDTH), reducing_gap=2.0)
    best: dict[int, float] = {}
    leader: dict[int, int] = {}

    def first_of(place: int) -> int:
        while leader.setdefault(place, place) != place:
            place = leader[place]
        return place

    with PageLoader(wanted, max_megapixels) as loader:

        @functools.lru_cache(PICTURES_KEPT)
        def picture(place: int) -> Image.Image | None:
            ref = collection.places(place)
            try:
                return loader.image(ref.path, ref.page).convert("L")
            except PageUnreadableError:  # it has gone since it was embedded
                return None

        for one, two in candidates(collection.rows):
            first, second = picture(one), picture(two)
            if first is None or second is None:
                continue
            similarity = agreement(first, second)
            if similarity >= least:
                for place in (one, two):
                    best[place] = max(similarity, best.get(place, 0.0))
                ahead, behind = sorted((first_of(one), first_of(two)))
                leader[behind] = ahead
    numbers: dict[int, int] = {}
    found = []
    for place in sorted(best, key=lambda each: (first_of(each), each)):
        group = numbers.setdefault(first_of(place), len(numbers) + 1)
        found.append(Duplicate(group, collection.places(place), best[place]))
    return found
