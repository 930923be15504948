"""Piles whose items are known: tables beside folders of pages."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pagesort.common.errors import PageSortError, Stopped
from pagesort.common.files import file_digest, readable_folder
from pagesort.common.progress import Progress
from pagesort.common.text import counted
from pagesort.embeddings.embed import embed_pages
from pagesort.embeddings.page import EmbeddedPage
from pagesort.embeddings.store import EmbeddingStore
from pagesort.grouping.group_run import DESCRIBER
from pagesort.grouping.page_texts import PageTexts
from pagesort.grouping.pile import pile_of
from pagesort.grouping.training import LabelledPile
from pagesort.grouping.truth import Grouping, name_and_part, read_grouping
from pagesort.models.protocols import Embedder
from pagesort.pages.loader import Failure, PageRef
from pagesort.prediction.scoring import FailureLog

logger = logging.getLogger(__name__)

FEWEST_PILES = 2


@dataclass(frozen=True)
class LabelledRequest:
    """Where labelled piles lie, and how their pages are seen."""

    folder: Path
    embeddings: Path
    batch_size: int = 16
    max_megapixels: float = 300.0


def read_piles(classifier: Embedder, request: LabelledRequest) -> list[LabelledPile]:
    """Read every table of a folder and embed its pages.

    The pages of `letters.csv` lie in `letters/`, or beside the table. Tables without the columns
    `file` and `item`, or those of a GROUPS table, are passed over.

    Raises:
        PageSortError: there are fewer than two piles, or a page is missing.
        Stopped: it was stopped; the embeddings made so far are kept.
    """
    readable_folder(request.folder)
    found = list(_groupings(request.folder))
    if len(found) < FEWEST_PILES:
        raise PageSortError(
            f"{len(found)} tables with the columns file and item, and {FEWEST_PILES} are needed",
            where=request.folder,
            remedy="Put a table beside every folder of pages: letters.csv beside letters",
        )
    refs = [_refs(request.folder, table) for table in found]
    try:
        with (
            EmbeddingStore.open(request.embeddings, classifier) as store,
            Progress(sum(map(len, refs)), 0) as progress,
        ):
            return [
                _read_pile(table, _embedded(classifier, request, store, some, progress), classifier)
                for table, some in zip(found, refs, strict=True)
            ]
    except KeyboardInterrupt:
        raise Stopped(
            f"what the model has seen is kept in {request.embeddings}", "The same command goes on"
        ) from None


def _groupings(folder: Path) -> Iterator[Grouping]:
    for table in sorted(folder.glob("*.csv")):
        with contextlib.suppress(PageSortError):
            yield read_grouping(table)
            continue
        logger.info("passed over, as it does not say which pages belong together: %s", table)


def _refs(folder: Path, table: Grouping) -> list[PageRef]:
    """The pages of a table, all of which are there."""
    return [
        PageRef(place, _page(folder, table, name), part)
        for place, (name, part) in enumerate(map(name_and_part, table.pages))
    ]


def _embedded(
    classifier: Embedder,
    request: LabelledRequest,
    store: EmbeddingStore,
    refs: Sequence[PageRef],
    progress: Progress,
) -> Iterator[EmbeddedPage | Failure]:
    pages = embed_pages(
        classifier,
        refs,
        store,
        batch_size=request.batch_size,
        max_megapixels=request.max_megapixels,
        describer=DESCRIBER,
    )
    log = FailureLog()
    with contextlib.closing(pages):
        for page in pages:
            log.add([page] if isinstance(page, Failure) else [])
            progress.advance(1, str(page.ref))
            yield page


def _read_pile(
    table: Grouping, results: Iterable[EmbeddedPage | Failure], classifier: Embedder
) -> LabelledPile:
    pages = list(results)
    read = sum(isinstance(page, EmbeddedPage) for page in pages)
    if read < len(pages):
        logger.warning("%s of %s could not be read", counted(len(pages) - read), table.path)
    if not read:
        raise PageSortError("none of its pages can be read", where=table.path)
    texts = PageTexts().described(page.ref for page in pages)
    with_text = int(np.count_nonzero(texts.any(axis=1)))
    if with_text:
        logger.info("%s: a text lies beside %s", table.path.name, counted(with_text))
    numbers = {group: number for number, group in enumerate(dict.fromkeys(table.groups))}
    items = np.array([numbers[group] for group in table.groups])
    logger.info("%s: %s in %d items", table.path.name, counted(len(pages)), len(numbers))
    files = tuple(file_digest(path) for path in sorted({page.ref.path for page in pages}))
    return LabelledPile(table.path.stem, pile_of(pages, classifier.scores, texts), items, files)


def _page(folder: Path, table: Grouping, name: str) -> Path:
    """Where a page of a table lies; never outside of the folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise PageSortError(
            f"the table names a page outside of the folder: {name}", where=table.path
        )
    places = (folder / table.path.stem / name, folder / name)
    for place in places:
        if place.is_file():
            return place
    raise PageSortError(
        f"the page {name} is not there",
        where=table.path,
        remedy=f"It should be {places[0]}",
    )
