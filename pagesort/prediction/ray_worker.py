"""What a process of a Ray cluster does: it opens the model once, and scores batches of pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pagesort.common.errors import PageSortError
from pagesort.common.hardware import processors
from pagesort.models.protocols import Classifier
from pagesort.pages.loader import Failure, PageLoader, PageRef
from pagesort.prediction.likeness import Likeness
from pagesort.prediction.scoring import ScoredPage, score_batch

OpenModel = Callable[[], tuple[Classifier, Likeness | None]]


@dataclass(frozen=True)
class WorkerPlan:
    """What every worker needs to know.

    `open_model` opens the model of the run in another process, and what counts unlike pages;
    `fingerprint` and `precision` are those of the model that the run began with. `total` counts the
    pages of the listing, `share` the workers of one machine.
    """

    open_model: OpenModel
    fingerprint: str
    precision: str
    batch_size: int
    total: int
    max_megapixels: float
    share: int


@dataclass(frozen=True)
class ScoredBatch:
    """What became of each page of a batch, and how many of them are unlike the training pages."""

    results: list[ScoredPage | Failure]
    pages: int = 0
    unlike: int = 0


class Worker:
    """Scores batches, two of them at a time: one is decoded while the model sees the other."""

    def __init__(self, plan: WorkerPlan) -> None:
        self._plan = plan
        self._problem = ""
        try:
            self._model, self._likeness = plan.open_model()
        except PageSortError as error:
            self._problem = str(error)
            return
        found = self._model.fingerprint, self._model.precision
        if found != (plan.fingerprint, plan.precision):
            self._problem = f"the model is another one there, in {self._model.precision}"
        threads = max(1, processors() // plan.share)
        self._loader = PageLoader(self._model.preprocessing, plan.max_megapixels, workers=threads)
        self._pool = ThreadPoolExecutor(threads, "pages")

    def problem(self) -> str:
        """What keeps this worker from scoring; empty if it is ready."""
        return self._problem

    def score(self, batch: Sequence[PageRef]) -> ScoredBatch:
        """Score the pages of one batch, in order, as the run itself would."""
        decoded = list(self._pool.map(self._loader.page, batch))
        counts = None if self._likeness is None else self._likeness.anew()
        size, total = self._plan.batch_size, self._plan.total
        results = score_batch(self._model, decoded, size, total, None, counts)
        if counts is None:
            return ScoredBatch(results)
        return ScoredBatch(results, counts.pages, counts.unlike)
