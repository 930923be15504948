"""A run: pages of a folder to embeddings, to groups, to tables."""

from __future__ import annotations

import contextlib
import logging
import os
import posixpath
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from pagesort.common.errors import PageSortError, Stopped
from pagesort.common.files import (
    RESULTS_ELSEWHERE,
    numbered,
    readable_folder,
    remove_abandoned,
    translate_unwritable,
    whole_text,
)
from pagesort.common.progress import Progress
from pagesort.common.tables import PLAIN, TableForm
from pagesort.common.text import counted
from pagesort.embeddings.embed import Describer, embed_pages
from pagesort.embeddings.page import EmbeddedPage
from pagesort.embeddings.store import EmbeddingStore
from pagesort.grouping.listing import PileSource, piles
from pagesort.grouping.methods import Method
from pagesort.grouping.page_features import VERSION, describe
from pagesort.grouping.page_texts import PageTexts
from pagesort.grouping.pile import pile_of
from pagesort.grouping.tables import GroupedPage, GroupTables
from pagesort.models.protocols import Embedder
from pagesort.pages.loader import Failure
from pagesort.prediction.listing import names_of
from pagesort.prediction.request import check_writable, no_pages
from pagesort.prediction.scoring import FailureLog
from utils import PassedOver, has_pages, round_scores

logger = logging.getLogger(__name__)

DESCRIBER = Describer(VERSION, describe)
UNFINISHED = r"\.\d{8}-\d{4}.*_(?:GROUPS|ITEMS)\.csv\."  # tables of any run


@dataclass(frozen=True)
class GroupRequest:
    """What is grouped, and where tables and embeddings are kept."""

    source: PileSource
    method: Method
    tables: Path
    embeddings: Path
    batch_size: int = 16
    max_megapixels: float = 300.0
    absolute_paths: bool = False
    form: TableForm = PLAIN


@dataclass(frozen=True)
class GroupOutcome:
    """What a run has written, and of how many pages and items; `failed` could not be read."""

    groups: Path
    items: Path
    pages: int
    found: int
    failed: int


def check_request(request: GroupRequest) -> None:
    """Refuse what can be refused before a model is loaded.

    Raises:
        PageSortError: the folder is missing or holds no pages, or tables cannot be written.
    """
    source = request.source
    readable_folder(source.folder)
    if source.order is None and not has_pages(source.folder, source.formats, source.inner):
        raise no_pages(source.folder, source.formats, source.inner)
    check_writable(request.tables)


def group_folder(classifier: Embedder, request: GroupRequest) -> GroupOutcome:
    """Group the pages of a folder and write the tables of groups and of items.

    Raises:
        PageSortError: there are no pages, or something cannot be read or written.
        Stopped: it was stopped; the embeddings made so far are kept.
    """
    remove_abandoned(request.tables, UNFINISHED)
    groups, items = _free_names(request.tables, classifier.name)
    run = _Run(classifier, request)
    try:
        with (
            translate_unwritable(request.tables, "tables cannot be written", RESULTS_ELSEWHERE),
            EmbeddingStore.open(request.embeddings, classifier) as store,
            whole_text(groups) as groups_file,
            whole_text(items) as items_file,
        ):
            run.write(store, GroupTables(groups_file, items_file, request.form))
            if run.pages == 0:
                raise PageSortError("the list names no pages", where=request.source.order)
    except KeyboardInterrupt:
        raise Stopped(
            f"what the model has seen is kept in {request.embeddings}", "The same command goes on"
        ) from None
    items_found = f"{run.found} item{'' if run.found == 1 else 's'}"
    logger.info("%s in %s, %d could not be read", counted(run.pages), items_found, run.failed)
    return GroupOutcome(groups, items, run.pages, run.found, run.failed)


class _Run:
    """Counts what a run has done so far; groups are numbered through all piles."""

    def __init__(self, classifier: Embedder, request: GroupRequest) -> None:
        self.classifier = classifier
        self.request = request
        self.texts = PageTexts()
        self.pages = self.found = self.failed = 0

    def write(self, store: EmbeddingStore, tables: GroupTables) -> None:
        """Group every pile and write its rows."""
        request = self.request
        total = sum(1 for refs in piles(request.source, PassedOver()) for _ in refs)
        with Progress(total, 0) as progress:
            for refs in piles(request.source, PassedOver()):
                pages = embed_pages(
                    self.classifier,
                    refs,
                    store,
                    batch_size=request.batch_size,
                    max_megapixels=request.max_megapixels,
                    describer=DESCRIBER,
                )
                with contextlib.closing(pages):
                    self._write_pile(self._counted(pages, progress), tables)

    def _counted(
        self, pages: Iterable[EmbeddedPage | Failure], progress: Progress
    ) -> Iterator[EmbeddedPage | Failure]:
        log = FailureLog()
        for page in pages:
            if isinstance(page, Failure):
                log.add([page])
                self.failed += 1
            self.pages += 1
            progress.advance(1, page.ref.path.name)
            yield page

    def _write_pile(self, pages: Iterable[EmbeddedPage | Failure], tables: GroupTables) -> None:
        for part in _parts(pages, self.request.method.most_pages):
            self._write_part(part, tables)

    def _write_part(self, pages: Sequence[EmbeddedPage | Failure], tables: GroupTables) -> None:
        read = [page for page in pages if isinstance(page, EmbeddedPage)]
        if read:
            wants_texts = self.request.method.model.texts is not None
            texts = self.texts.described(page.ref for page in pages) if wants_texts else None
            pile = pile_of(pages, self.classifier.scores, texts)
            groups, boundaries = self.request.method.group(pile)
            kinds = pile.scores.argmax(axis=1)
            scores = round_scores(pile.scores.max(axis=1))
        else:
            groups, boundaries = np.zeros(len(pages), int), np.zeros(len(pages))
            kinds, scores = groups, boundaries
        rows = [
            self._row(page, boundary, self.classifier.labels[kind], score)
            for page, boundary, kind, score in zip(pages, boundaries, kinds, scores, strict=True)
        ]
        first_pages = list(dict.fromkeys(groups.tolist()))
        numbers = {group: self.found + place for place, group in enumerate(first_pages, start=1)}
        numbered = [numbers[group] for group in groups.tolist()]
        tables.add_pages(rows, numbered)
        members: dict[int, list[GroupedPage]] = {}
        for row, group in zip(rows, numbered, strict=True):
            members.setdefault(group, []).append(row)
        for group, inside in members.items():
            tables.add_item(group, inside)
        self.found += len(members)

    def _row(
        self, page: EmbeddedPage | Failure, boundary: float, kind: str, score: float
    ) -> GroupedPage:
        ref = page.ref
        inside = ref.path.relative_to(self.request.source.folder).as_posix()
        file, number = names_of(inside, ref.page)
        path = inside
        if self.request.absolute_paths:
            path = posixpath.join(os.path.abspath(self.request.source.folder), inside)  # noqa: PTH100
        if isinstance(page, Failure):
            return GroupedPage(
                file, number, path, None, note=f"cannot be read: {page.reason}", unread=True
            )
        return GroupedPage(file, number, path, boundary, kind, score, page.note)


def _parts(
    pages: Iterable[EmbeddedPage | Failure], most: int
) -> Generator[list[EmbeddedPage | Failure]]:
    """Yield a pile as a whole, or in parts of so many pages where it is larger."""
    part: list[EmbeddedPage | Failure] = []
    for page in pages:
        part.append(page)
        if len(part) == most:
            yield part
            part = []
    if part:
        yield part


def _free_names(tables: Path, base: str) -> tuple[Path, Path]:
    minute = datetime.now().strftime("%Y%m%d-%H%M")
    for start in numbered(minute):
        names = [tables / f"{start}_{base}_{kind}.csv" for kind in ("GROUPS", "ITEMS")]
        if not any(name.exists() for name in names):
            return names[0], names[1]
    raise PageSortError("There is no free table name for this minute", where=tables)
