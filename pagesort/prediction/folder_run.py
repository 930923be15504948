"""A folder's run: listing to journal to batches of pixels to scores to tables."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from pagesort.common.addresses import absolute
from pagesort.common.errors import PageSortError, Stopped
from pagesort.common.progress import Progress, duration
from pagesort.common.text import counted
from pagesort.models.protocols import Classifier
from pagesort.pages.documents import write_page_png
from pagesort.pages.loader import WHOLE, Failure, PageLoader, PageRef
from pagesort.prediction.journal import (
    JOURNAL_SUFFIX,
    Counts,
    FinishedTables,
    RunJournal,
)
from pagesort.prediction.listing import list_folder
from pagesort.prediction.page_list import STANDARD_INPUT
from pagesort.prediction.request import Outcome, Request, counts_of, no_names
from pagesort.prediction.run_status import Heartbeat
from pagesort.prediction.scoring import FailureLog, ScoredPage, score_batches
from pagesort.sorting.destination import check_labels
from pagesort.sorting.placer import SortedPage, SortReport, sort_pages
from utils import PassedOver, round_scores, top_guesses

logger = logging.getLogger(__name__)


def predict_folder(classifier: Classifier, request: Request) -> Outcome:
    """Score the pages of a folder and write the tables, going on with an interrupted run if asked.

    Raises:
        PageSortError: there is no run to go on with, or the tables cannot be written.
        Stopped: it was stopped, and what is scored is kept.
    """
    if request.sort_to is not None:
        check_labels([*classifier.labels, *set(request.corrected.values())], request.sort_to)
    second = None if request.second is None else request.second.preprocessing
    loader = PageLoader(classifier.preprocessing, request.max_megapixels, second=second)
    with _journal(classifier, request) as journal, loader:
        before = journal.counts()
        try:
            progress = _score_pages(classifier, loader, journal, request)
            seconds = progress.seconds  # before the sorting into folders
            counts = journal.counts()
            finished = journal.write_tables(
                classifier.labels,
                request.top_n,
                request.max_categ,
                raw=request.raw,
                absolute_paths=request.absolute_paths,
                form=request.form,
                accepts=request.accepts,
            )
            for write in request.beside:
                write(finished)
            sorting = _sort_pages(classifier, loader, journal, request)
            _log_new(journal, request)
            if sorting is not None and request.dry_run:
                logger.info(
                    "nothing was put anywhere; with --resume instead of --dry_run the same command "
                    "does it, without scoring the pages again"
                )
            elif request.keep_scores:
                journal.put_away()
            else:
                journal.discard()
        except KeyboardInterrupt:
            raise _stopped(journal) from None
    _log_summary(finished, counts, counts.scored - before.scored, seconds)
    tables = (finished.result, finished.raw, finished.failures)
    return Outcome(tuple(filter(None, tables)), counts.failed, sorting)


def _stopped(journal: RunJournal) -> Stopped:
    """Say of a run that a person has stopped what is kept of it."""
    counts = journal.counts()
    scored = f"{counts.scored} of {counts.total} pages are scored"
    if journal.keep():
        return Stopped(f"{scored} and kept in {journal.path}")
    return Stopped(
        f"{scored}, but nothing is kept, as the journal {journal.path} was removed",
        "Start again without --resume",
    )


def _sort_pages(
    classifier: Classifier, loader: PageLoader, journal: RunJournal, request: Request
) -> SortReport | None:
    """Put the scored pages into folders of their first guess, if that was asked for.

    Pages that could not be read go where a person said; without that they are put nowhere.
    """
    if request.sort_to is None:
        return None

    def draw(ref: PageRef, target: Path) -> None:
        write_page_png(ref, target, loader.renderers, loader.max_megapixels)

    unread = list(_corrected_unread(journal, request))
    progress = Progress(journal.counts().scored + len(unread), 0)
    guesses = _sorted_pages(classifier, journal, request, unread, progress)
    try:
        # Closed at once, as a journal stays locked while it is read.
        with progress, contextlib.closing(guesses):
            return sort_pages(
                guesses,
                request.sort_to,
                link=request.link,
                min_score=request.min_score,
                draw=draw,
                dry_run=request.dry_run,
            )
    except PageSortError as error:
        remedy = f"{error.remedy}. " if error.remedy else ""
        raise PageSortError(
            error.what,
            where=error.where,
            remedy=f"{remedy}The tables are written; add --resume to go on with the sorting",
        ) from error


def _corrected_unread(journal: RunJournal, request: Request) -> Iterator[SortedPage]:
    """Yield the pages that could not be read with what a person said of them.

    A document that cannot be opened has no pages, so it goes as a whole, as its file.
    """
    if not request.corrected:
        return
    said_of: dict[Path, set[str]] = {}
    for (path, _), label in request.corrected.items():
        said_of.setdefault(path, set()).add(label)
    for ref in journal.failed():
        if ref.page == WHOLE:
            said, ref = said_of.get(ref.path, set()), dataclasses.replace(ref, page=None)
        else:
            said = {request.corrected.get((ref.path, ref.page), "")} - {""}
        if len(said) == 1:
            yield SortedPage(ref, said.pop(), is_corrected=True)


def _sorted_pages(
    classifier: Classifier,
    journal: RunJournal,
    request: Request,
    unread: Iterable[SortedPage],
    progress: Progress,
) -> Generator[SortedPage]:
    """Yield every scored page with its label, and those `unread`; count each when it is done."""
    for ref, scores in journal.scored():
        said = request.corrected.get((ref.path, ref.page))
        if said is not None:
            yield SortedPage(ref, said, is_corrected=True)
            progress.advance(1, _relative_name(journal, ref))
            continue
        index, score = top_guesses(scores, 1)[0]
        # Rounded, so that a page is where its row in the table lets one look for it.
        label, rounded = classifier.labels[index], float(round_scores(score))
        needs_review = request.accepts is not None and not request.accepts(label, rounded)
        yield SortedPage(ref, label, rounded, needs_review)
        progress.advance(1, _relative_name(journal, ref))
    for page in unread:
        yield page
        progress.advance(1, _relative_name(journal, page.ref))


def _journal(classifier: Classifier, request: Request) -> RunJournal:
    """Open the interrupted run's journal, or start a new one."""
    settings = {
        "files_format": ",".join(request.formats),
        "inner": request.inner,
        "batch_size": request.batch_size,
        "device": str(classifier.device).split(":")[0],
        "precision": classifier.precision,
        "model or descriptions": classifier.fingerprint,
        "list": _name_of_list(request.named),
        "shard": None if request.shard is None else str(request.shard),
        "second model": None if request.second is None else request.second.fingerprint,
        "precision of the second": None if request.second is None else request.second.precision,
    }
    if request.resume or request.update:
        journal = RunJournal.open_for_resume(
            request.tables, folder=request.folder, settings=settings, finished=request.update
        )
        if request.update:
            _add_new(journal, request)
        counts = journal.counts()
        logger.info("going on: %d of %d pages are scored already", counts.scored, counts.total)
        return journal
    _log_resumable(request, settings)
    passed = PassedOver()
    journal = RunJournal.create(
        request.tables,
        folder=request.folder,
        base=classifier.name if request.shard is None else request.shard.base(classifier.name),
        settings=settings,
        labels=classifier.labels,
        options=request.options,
        listing=_listing(request, passed),
    )
    if request.named is not None and request.shard is None and not journal.counts().total:
        journal.discard()
        raise no_names(request.named)
    _log_others(passed, request)
    return journal


def _name_of_list(named: Path | None) -> str | None:
    """What a journal calls the list of its pages."""
    if named is None:
        return None
    return str(named if named == STANDARD_INPUT else absolute(named))


def _listing(request: Request, passed: PassedOver) -> Iterator[tuple[str, int | None]]:
    """Yield the pages of the request as a journal holds them."""
    return list_folder(
        request.folder, request.formats, request.inner, passed, request.shard, request.named
    )


def _log_others(passed: PassedOver, request: Request) -> None:
    """Name the scans of other kinds that a run leaves out, and how to have them in."""
    if passed.others:
        kinds = ",".join([*request.formats, *sorted(passed.others)])
        found = counts_of(passed.others)
        logger.warning("not looked at: %s (to read them, too, add -ff %s)", found, kinds)


def _add_new(journal: RunJournal, request: Request) -> None:
    """Add the pages that came since a run began, and let replaced ones be scored anew.

    Of a replaced document, pages that it has no longer keep their rows, as all that are gone.
    """
    replaced = frozenset() if request.replaced is None else request.replaced(journal.stem)
    listed: set[tuple[bytes, int | None]] = set()

    def noted() -> Iterator[tuple[str, int | None]]:
        for path, part in _listing(request, PassedOver()):
            if path in replaced:
                listed.add((os.fsencode(path), part))
            yield path, part

    new, gone = journal.add(noted())
    logger.info("%s new since the tables were written", counted(new))
    again = journal.forget(listed)
    if again:
        logger.info("%s replaced since then: scored anew", counted(again))
    if gone:
        logger.warning(
            "%s of the tables no longer in the folder: what is known of them stays in the tables",
            counted(gone),
        )


def _log_new(journal: RunJournal, request: Request) -> None:
    """Tell of pages that came since a resumed run began.

    Last, as listing a million pages again takes minutes on a network drive.
    """
    if not request.resume or request.named == STANDARD_INPUT:
        return
    with contextlib.suppress(OSError):  # the tables are there, whatever became of the folder
        new = journal.count_new(_listing(request, PassedOver()))
        if new:
            logger.warning(
                "%d pages are new since the run began and are not in its tables; --update instead "
                "of --resume adds them",
                new,
            )


def _log_resumable(request: Request, settings: dict[str, Any]) -> None:
    """Mention an interrupted run that `--resume` would have gone on with."""
    if not any(request.tables.glob(f"*{JOURNAL_SUFFIX}")):
        return
    with (
        contextlib.suppress(PageSortError),
        RunJournal.open_for_resume(
            request.tables, folder=request.folder, settings=settings
        ) as journal,
    ):
        counts = journal.counts()
        logger.info(
            "starting anew; an earlier run of this folder has %d of %d pages (%s), and --resume "
            "would go on with the others",
            counts.scored,
            counts.total,
            journal.path,
        )


def _score_pages(
    classifier: Classifier, loader: PageLoader, journal: RunJournal, request: Request
) -> Progress:
    """Score every page the journal lacks; batches reach the disk in order, each as a whole."""
    counts = journal.counts()
    progress = Progress(counts.total, counts.scored, hint=request.slow_hint)
    log, heartbeat = FailureLog(), Heartbeat(journal)
    batches = _batches(classifier, loader, journal, request)
    with contextlib.closing(batches), progress:
        try:
            for batch in batches:
                journal.record(batch)
                log.add(batch)
                progress.advance(len(batch), _relative_name(journal, batch[-1].ref))
                heartbeat.beat(progress)
        finally:
            heartbeat.end(progress)
    return progress


def _batches(
    classifier: Classifier, loader: PageLoader, journal: RunJournal, request: Request
) -> Generator[list[ScoredPage | Failure]]:
    """What becomes of the batches that the journal lacks, here or in the processes of an engine."""
    size, total = request.batch_size, journal.counts().total
    groups, likeness = journal.batches(size), request.likeness
    if request.engine is not None:
        limit = request.max_megapixels
        return request.engine.score_batches(classifier, groups, size, total, limit, likeness)
    return score_batches(classifier, loader, groups, size, total, request.second, likeness)


def _relative_name(journal: RunJournal, ref: PageRef) -> str:
    """Return a page's path relative to the folder of its run, and its number in a document."""
    return str(dataclasses.replace(ref, path=ref.path.relative_to(journal.folder)))


def _log_summary(finished: FinishedTables, counts: Counts, scored_now: int, seconds: float) -> None:
    """Say what the run found, how fast, and where the tables are."""
    rate = scored_now / max(seconds, 1e-6)
    logger.info(
        "%s sorted, %d could not be read; %s, %.1f pages/s",
        counted(counts.scored),
        counts.failed,
        duration(seconds),
        rate,
    )
    width = max((len(label) for label in finished.categories), default=0)
    for label, pages in finished.categories.items():
        logger.info("  %-*s %6d", width, label, pages)
    if finished.to_review is not None:
        share = finished.to_review / max(counts.scored, 1)
        logger.info("to look at: %s (%.1f %%)", counted(finished.to_review), 100 * share)
    if finished.differing is not None:
        share = finished.differing / max(counts.scored, 1)
        logger.info(
            "the second model differs on %d of them (%.1f %%)", finished.differing, 100 * share
        )
    logger.info("result table: %s", finished.result)
    if finished.raw is not None:
        logger.info("all scores: %s", finished.raw)
    if finished.failures is not None:
        logger.warning(
            "%s could not be read, listed in %s; once they are mended, the same command with "
            "--resume sorts them and writes these tables anew",
            counted(counts.failed),
            finished.failures,
        )
