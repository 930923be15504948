"""Classifying one page, or the pages of a folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli import opening, reopening
from pagesort.cli.actions import reading, review
from pagesort.cli.actions.budget import error_budget
from pagesort.cli.actions.records import TableRecords, VoterRecord, opened_facts, replaced_pages
from pagesort.cli.begun import kept_options
from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.common.addresses import is_remote
from pagesort.common.errors import PageSortError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from classifier import CLIP
    from pagesort.pages.loader import PageRef
    from pagesort.prediction.ray_engine import RayEngine
    from pagesort.prediction.request import Outcome, Request

logger = logging.getLogger(__name__)


def classify_page(settings: Settings, path: Path, model: Path | None = None) -> int:
    """Print the most likely categories of one page, a line each: label, tab, percentage."""
    from pagesort.pages import archives, documents, places
    from pagesort.pages.image_file import check_page
    from pagesort.prediction import scoring

    if path.is_dir():
        raise UsageError("-f takes one page, and this is a folder", where=path, remedy="Use -d")
    if not is_remote(path) and not places.exists(path):
        raise PageSortError("the page does not exist", where=path, remedy="Check the path")
    refs = documents.pages_of(path)
    if archives.is_archive(path) or refs[0].page is not None:
        return _classify_document(settings, path, refs, model)
    check_page(path, settings.max_megapixels)
    if settings.best:
        return _vote_on_page(settings, path)
    classifier = _open_to_predict(settings, model).classifier
    scores = scoring.score_page(classifier, path, settings.max_megapixels)
    emit(str(path))
    for guess in _shown_guesses(classifier, scores, settings.topn):
        emit("\t".join(guess))
    return 0


def _classify_document(
    settings: Settings, path: Path, refs: Sequence[PageRef], model: Path | None
) -> int:
    """Print the pages of a PDF, TIFF or archive as a table, columns parted by tabs."""
    from pagesort.pages.loader import Failure, PageLoader
    from pagesort.prediction import scoring
    from pagesort.prediction.listing import names_of

    if settings.best:
        raise UsageError(
            "--best votes on one page, and this file has several or is a PDF",
            where=path,
            remedy=f"Put it into a folder and use -d FOLDER --best -ff {path.suffix[1:].lower()}",
        )
    classifier = _open_to_predict(settings, model).classifier
    columns = [f"{cell}-{n + 1}" for cell in ("CLASS", "SCORE") for n in range(settings.topn)]
    rows: list[list[str]] = [["FILE", "PAGE", *columns]]
    unread: list[Failure] = []
    with PageLoader(classifier.preprocessing, settings.max_megapixels) as loader:
        for result in scoring.score_pages(classifier, loader, refs, settings.batch_size):
            if isinstance(result, Failure):
                unread.append(result)
                continue
            guesses = _shown_guesses(classifier, result.scores, settings.topn)
            labels, shares = zip(*guesses, strict=True)
            rows.append([*names_of(str(result.ref.path), result.ref.page), *labels, *shares])
            for row in rows:
                emit("\t".join(row))
            rows.clear()
    if len(unread) == len(refs):
        raise PageSortError(unread[0].reason, where=path, remedy="No page of it could be read")
    for failure in unread:
        logger.warning("cannot read %s: %s", failure.ref, failure.reason)
    return UNREADABLE_PAGES_STATUS if unread else 0


def _shown_guesses(classifier: CLIP, scores: np.ndarray, top_n: int) -> list[tuple[str, str]]:
    """Return the first guesses as (label, percentage), rounded as in the tables first."""
    from utils import round_scores, top_guesses

    guesses = top_guesses(scores, top_n)
    return [(classifier.labels[index], f"{round_scores(score):.1%}") for index, score in guesses]


def _vote_on_page(settings: Settings, path: Path) -> int:
    """Print what the best models make of one page: the vote, then the guess of each."""
    from pagesort.voting import vote

    outcome = vote.vote_page(_opener(settings), _voters(settings), path, settings.max_megapixels)
    emit(str(path))
    emit(f"{outcome.label}\t{outcome.agreement:.0%} of {len(outcome.guesses)} models")
    for name, label, score in outcome.guesses:
        emit(f"{name}\t{label}\t{score:.1%}")
    return 0


def classify_folder(
    settings: Settings, folder: Path, named_by: str, model: Path | None = None
) -> int:
    """Write the tables of a folder's pages and print their paths, one a line."""
    from pagesort.cli.begun import as_begun
    from pagesort.records.machine_tables import check_formats

    if folder.is_file():
        what = f"{named_by} takes a folder, and this is a file"
        raise UsageError(what, where=folder, remedy="Use -f")
    settings = as_begun(settings, folder)
    request = prediction_request(settings, folder)
    if settings.review is not None and not settings.is_named("topn"):
        # A person who looks wants to know the second guess, too.
        request = replace(request, top_n=max(request.top_n, 2))
    if settings.write_alto is not None:
        from pagesort.records.layout_files import check_target

        check_target(folder, settings.write_alto)
    check_formats(settings.table_formats)
    beside = TableRecords(settings)
    labels: tuple[str, ...] = ()
    if settings.best:
        from pagesort.voting import vote

        request = replace(request, beside=(beside,))
        voters = () if settings.resume else _voters(settings)
        result = vote.predict_vote(
            _opener(settings), voters, request, partial(VoterRecord, settings)
        )
    else:
        result, labels = _sort_folder(settings, request, beside, model)
    for path in (*result.tables, *beside.copies):
        emit(str(path))
    if settings.review is not None:
        review.write_review(settings, result.tables[0], folder, labels)
    if result.sorting is not None and result.sorting.manifest is not None:
        emit(str(result.sorting.manifest))
    unplaced = result.sorting is not None and result.sorting.problems
    left = result.failed or beside.problems or unplaced
    status = UNREADABLE_PAGES_STATUS if left else 0
    if settings.read is not None:
        status = max(status, reading.read_sorted(settings, folder, result.tables[0], labels))
    return status


def _sort_folder(
    settings: Settings, request: Request, beside: TableRecords, model: Path | None
) -> tuple[Outcome, tuple[str, ...]]:
    """Let one model, and perhaps a second one, see the pages; what was written, and its labels."""
    from pagesort.prediction import folder_run
    from pagesort.prediction.request import check_request

    engine = _engine(settings)
    check_request(request)
    opened = _open_to_predict(settings, model)
    beside.models = [opened_facts(opened)]
    second = _second_model(settings, opened.classifier)
    if second is not None:
        beside.models = [*beside.models, opened_facts(second)]
    budget = error_budget(settings, opened.classifier, request.folder)
    beside.likeness = reopening.likeness_of(opened)
    again = reopening.OpenedAgain.of(settings, opened)
    request = replace(
        request,
        likeness=beside.likeness,
        second=None if second is None else second.classifier,
        accepts=None if budget is None else budget.accepts,
        slow_hint=opening.quicker_precision(settings, opened.classifier),
        beside=(beside,),
        engine=None if engine is None else engine(again, settings.engine_workers),
    )
    result = folder_run.predict_folder(opened.classifier, request)
    if request.likeness is not None:
        request.likeness.tell()
    return result, opened.classifier.labels


def prediction_request(settings: Settings, folder: Path) -> Request:
    """Say which pages of a folder are sorted into which tables."""
    from pagesort.common.tables import table_form
    from pagesort.prediction.request import Request
    from pagesort.prediction.shards import Shard

    tables = settings.results_folder / "tables"
    return Request(
        folder=folder,
        formats=settings.file_format,
        inner=settings.inner,
        tables=tables,
        top_n=settings.topn,
        raw=settings.raw,
        max_categ=settings.max_categ,
        batch_size=min(settings.batch_size, settings.chunk_size),
        max_megapixels=settings.max_megapixels,
        resume=settings.resume,
        update=settings.update,
        replaced=replaced_pages(tables, folder),
        sort_to=settings.sort_to,
        link=settings.link,
        min_score=settings.min_score,
        dry_run=settings.dry_run,
        corrected=review.corrected_places(settings, folder),
        absolute_paths=settings.absolute_paths,
        form=table_form(settings.csv_excel),
        named=settings.page_list,
        shard=None if settings.shard is None else Shard.parse(settings.shard),
        options=kept_options(settings),
    )


def _open_to_predict(settings: Settings, model: Path | None) -> opening.Opened:
    """Open the model that sorts pages: the one just trained, else the one that is asked for."""
    if settings.zero_shot and model is None:
        opened = opening.open_zero_shot(settings)
    else:
        opened = opening.open_classifier(settings, model)
    check_topn(settings, opened.classifier)
    return opened


def _engine(settings: Settings) -> type[RayEngine] | None:
    """What scores the pages, if that is not to be this process; refused where it is missing."""
    if settings.engine != "ray":
        return None
    from pagesort.prediction.ray_engine import RayEngine, check_ray

    check_ray()
    return RayEngine


def _second_model(settings: Settings, first: CLIP) -> opening.Opened | None:
    """Open the model of --compare_with: a path, or the name of one in the folder of models.

    Raises:
        PageSortError: it is not there, or is the same as the first, or shares no category with it.
    """
    named = settings.compare_with
    if named is None:
        return None
    source = named if named.exists() else settings.model_dir / named
    if not source.exists():
        raise PageSortError(
            "the second model does not exist",
            where=named,
            remedy=f"--compare_with takes a model folder, a .pt file, or a name in "
            f"{settings.model_dir}",
        )
    second = opening.open_classifier(settings, source, own_descriptions=True)
    reason = ""
    if second.classifier.fingerprint == first.fingerprint:
        reason = "the second model is the same as the first"
    elif not set(second.classifier.labels) & set(first.labels):
        reason = "the second model has no category in common with the first"
    if reason:
        raise PageSortError(reason, where=source, remedy="Name another one with --compare_with")
    return second


def _voters(settings: Settings) -> tuple[Path, ...]:
    """Return the folders of the models that vote."""
    from pagesort.voting import vote

    table = settings.results_folder / "stats" / "model_accuracies.csv"
    return vote.choose_voters(settings.model_dir, table)


def _opener(settings: Settings) -> Callable[[Path], CLIP]:
    """Return a function that opens one of several models."""
    return lambda folder: opening.open_classifier(settings, folder).classifier


def check_topn(settings: Settings, classifier: CLIP) -> None:
    """Refuse more guesses than there are labels, which only the model tells."""
    if settings.topn > len(classifier.labels):
        raise UsageError(
            f"{settings.topn} guesses ({settings.origins['topn']}) are more than the model has "
            "categories",
            remedy=f"Allowed: a whole number, 1 to {len(classifier.labels)}",
        )
