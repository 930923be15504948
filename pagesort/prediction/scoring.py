"""Pages to scores: the one path of a page, a document, a folder, a vote and an evaluation."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.hardware import freed_memory_kept
from pagesort.common.run_log import log_event
from pagesort.common.text import MOST_NAMED
from pagesort.models.protocols import Classifier, Scorer, Viewer
from pagesort.pages.loader import Failure, Page, PageLoader, PageRef
from pagesort.prediction.likeness import Likeness

logger = logging.getLogger(__name__)

NO_SCORE = "the model gave no number for this page"


Seen = TypeVar("Seen")


class Engine(Protocol):
    """What scores the batches of a run instead of this process, such as a cluster."""

    def score_batches(
        self,
        classifier: Classifier,
        groups: Iterable[Sequence[PageRef]],
        batch_size: int,
        total: int,
        max_megapixels: float,
        likeness: Likeness | None = None,
    ) -> Generator[list[ScoredPage | Failure]]:
        """Yield what became of each group's pages, as `score_batches` does, in any order."""


@dataclass(frozen=True)
class ScoredPage:
    """A page and its probabilities: `scores` is float32 (labels,); `note` tells of blank pages.

    `second` is the first guess of a second model and its score, where there is one.
    """

    ref: PageRef
    scores: np.ndarray
    note: str = ""
    second: tuple[str, float] | None = None


def score_page(model: Scorer, path: Path, max_megapixels: float) -> ScoredPage:
    """Score one image file.

    Raises:
        PageUnreadableError: the page cannot be used.
    """
    with PageLoader(model.preprocessing, max_megapixels, workers=1) as loader:
        (result,) = score_pages(model, loader, [PageRef(0, path)], 1)
    if isinstance(result, Failure):
        raise PageUnreadableError(result.reason, where=path)
    return result


def score_pages(
    model: Scorer, loader: PageLoader, pages: Sequence[PageRef], batch_size: int
) -> Generator[ScoredPage | Failure]:
    """Yield what became of each page of a whole listing, in order."""
    groups = (pages[start : start + batch_size] for start in range(0, len(pages), batch_size))
    with contextlib.closing(
        score_batches(model, loader, groups, batch_size, len(pages))
    ) as batches:
        for batch in batches:
            yield from batch


def score_batches(
    model: Scorer,
    loader: PageLoader,
    groups: Iterable[Sequence[PageRef]],
    batch_size: int,
    total: int,
    second: Classifier | None = None,
    likeness: Likeness | None = None,
) -> Generator[list[ScoredPage | Failure]]:
    """Yield what became of each group's pages, in order, as `see_batches` does.

    Args:
        second: a model that is asked as well; the loader's `second` is its preprocessing.
        groups: pages of a listing, of each group those whose index lies between two neighbouring
            multiples of `batch_size`.
        total: pages of the whole listing.
        likeness: counts the pages that are unlike the training pages of the model.
    """

    def score(batch: Sequence[Page | Failure]) -> list[ScoredPage | Failure]:
        return score_batch(model, batch, batch_size, total, second, likeness)

    return see_batches(model, loader, groups, batch_size, score)


def see_batches(
    model: Viewer,
    loader: PageLoader,
    groups: Iterable[Sequence[PageRef]],
    batch_size: int,
    see: Callable[[Sequence[Page | Failure]], list[Seen]],
) -> Generator[list[Seen]]:
    """Yield what `see` makes of each group's pages, in order, while the next ones are seen already.

    So the model waits neither for the disk nor, at the end of a batch, for its own last page.
    Groups may be empty, and are taken in the consumer's thread.
    """
    ahead = model.batches_at_once(batch_size)
    pool = ThreadPoolExecutor(ahead, "scores")
    waiting: deque[Future[list[Seen]]] = deque()
    with contextlib.closing(loader.batches(groups)) as decoded, freed_memory_kept():
        try:
            for batch in decoded:
                waiting.append(pool.submit(see, batch))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            model.stop()
            pool.shutdown()


def score_batch(
    model: Scorer,
    batch: Sequence[Page | Failure],
    batch_size: int,
    total: int,
    second: Classifier | None,
    likeness: Likeness | None,
) -> list[ScoredPage | Failure]:
    """Score the pages of one batch that could be read.

    Each page has its own slot in the batch, and a slot stays black whose page failed or was scored
    by an earlier part of the run: the model sees the same shape either way, and the same shape
    gives the same bits.
    """
    pages = [item for item in batch if isinstance(item, Page)]
    if not pages:
        return [item for item in batch if isinstance(item, Failure)]
    first = pages[0].ref.index // batch_size * batch_size
    slots = [page.ref.index - first for page in pages]
    total_slots = min(batch_size, total - first)
    score = model.probabilities
    if likeness is not None:
        score = partial(likeness.probabilities, slots=slots)
    rows = iter(rows_of(score, pages, slots, total_slots))
    others = iter(_second_guesses(second, pages, slots, total_slots))
    return [
        item if isinstance(item, Failure) else _scored(item, next(rows), next(others))
        for item in batch
    ]


def _others(pages: Sequence[Page]) -> Iterator[tuple[Page, np.ndarray]]:
    """Pages with the pixels that a second model wants."""
    for page in pages:
        assert page.other is not None, "the loader knows the second model"
        yield page, page.other


def _second_guesses(
    model: Classifier | None, pages: Sequence[Page], slots: Sequence[int], total_slots: int
) -> list[tuple[str, float] | None]:
    """The first guess of a second model for each page, None where there is none."""
    if model is None:
        return [None] * len(pages)
    seen = [dataclasses.replace(page, pixels=other) for page, other in _others(pages)]
    rows = rows_of(model.probabilities, seen, slots, total_slots)
    return [
        (model.labels[int(row.argmax())], float(row.max())) if np.isfinite(row).all() else None
        for row in rows
    ]


def rows_of(
    compute: Callable[[np.ndarray], np.ndarray],
    pages: Sequence[Page],
    slots: Sequence[int],
    total_slots: int,
) -> np.ndarray:
    """Return what a model computes of some pages, a row each, float32 (pages, values).

    Args:
        compute: what it makes of pixels, uint8 (slots, H, W, 3).
        pages: at least one.
        slots: the place of each page in what the model sees at once; the others stay black.
        total_slots: how many places there are.

    Raises:
        PageSortError: there is too little memory for so many pages at once.
    """
    pixels = np.zeros((total_slots, *pages[0].pixels.shape), np.uint8)
    pixels[list(slots)] = [page.pixels for page in pages]
    try:
        return compute(pixels)[list(slots)]
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or "alloc" in str(error) or "memory" in str(error):
            raise PageSortError(
                f"there is not enough memory for {total_slots} pages at once",
                remedy="Start again with a smaller --batch_size",
            ) from error
        raise


def _scored(
    page: Page, scores: np.ndarray, second: tuple[str, float] | None
) -> ScoredPage | Failure:
    """A page with its scores, which a model with damaged weights does not give."""
    if not np.isfinite(scores).all():
        return Failure(page.ref, NO_SCORE)
    return ScoredPage(page.ref, scores, page.note, second)


class FailureLog:
    """Names the pages that could not be read, the first of a run only: a table has them all."""

    def __init__(self) -> None:
        self._logged = 0

    def add(self, results: Iterable[ScoredPage | Failure]) -> None:
        """Name the failures among the results of some pages."""
        for result in results:
            if not isinstance(result, Failure):
                continue
            page = {"page": result.ref.page} if result.ref.page else {}
            log_event("failed", path=str(result.ref.path), **page, reason=result.reason)
            if self._logged < MOST_NAMED:
                logger.warning("cannot read %s: %s", result.ref, result.reason)
            elif self._logged == MOST_NAMED:
                logger.warning("further pages that cannot be read are only listed in a table")
            self._logged += 1
