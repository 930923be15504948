"""Classifying one page, or the pages of a folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pagesort.cli import opening
from pagesort.cli.actions import reading, review
from pagesort.cli.actions.records import TableRecords, VoterRecord, opened_facts, replaced_pages
from pagesort.cli.begun import as_begun, kept_options
from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.common.addresses import is_remote
from pagesort.common.errors import PageSortError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from classifier import CLIP
    from pagesort.models.metadata import ModelMetadata
    from pagesort.models.protocols import Classifier
    from pagesort.pages.loader import PageRef
    from pagesort.prediction.likeness import Likeness
    from pagesort.prediction.ray_engine import RayEngine
    from pagesort.prediction.request import Outcome, Request
    from pagesort.prediction.scoring import ScoredPage
    from pagesort.review.error_budget import Budget
    from pagesort.review.evidence import Source

logger = logging.getLogger(__name__)


def classify_page(settings: Settings, path: Path, model: Path | None = None) -> int:
    """Print the most likely categories of one page, a line each: label, tab, percentage."""
    from pagesort.pages import documents, places
    from pagesort.pages.image_file import check_page
    from pagesort.prediction import scoring

    if path.is_dir():
        raise UsageError("-f takes one page, and this is a folder", where=path, remedy="Use -d")
    if not is_remote(path) and not places.exists(path):
        raise PageSortError("the page does not exist", where=path, remedy="Check the path")
    if documents.is_document(path):
        return _classify_document(settings, path, documents.pages_of(path), model)
    check_page(path, settings.max_megapixels)
    if settings.best:
        return _vote_on_page(settings, path)
    classifier = _open_to_predict(settings, model).classifier
    page = scoring.score_page(classifier, path, settings.max_megapixels)
    _log_note(page)
    emit(str(path))
    for guess in _shown_guesses(classifier, page.scores, settings.topn):
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
    if not refs:
        raise PageSortError(
            "the archive holds no page", where=path, remedy="Name another file, or unpack it"
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
            _log_note(result)
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


def _log_note(page: ScoredPage) -> None:
    """Say so if a page is one that nobody reads."""
    if page.note:
        logger.info("%s is %s: its category means little", page.ref, page.note)


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
    from pagesort.records.machine_tables import check_formats

    if folder.is_file():
        what = f"{named_by} takes a folder, and this is a file"
        raise UsageError(what, where=folder, remedy="Use -f")
    if settings.resume or settings.update:
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
    budget = _error_budget(settings, opened.classifier, request.folder)
    beside.likeness = _likeness_of(opened)
    again = OpenedAgain.of(settings, opened)
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
        request.likeness.log_strangers()
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


def _likeness_of(opened: opening.Opened) -> Likeness | None:
    """What counts pages unlike those that the model was trained on; None where it tells of none."""
    from pagesort.models.training_pages import read_training_pages
    from pagesort.prediction.likeness import Likeness

    training = read_training_pages(opened.folder, opened.classifier.dimension)
    return None if training is None else Likeness(opened.classifier, opened.name, training)


def _engine(settings: Settings) -> type[RayEngine] | None:
    """What scores the pages, if that is not to be this process; refused where it is missing."""
    if settings.engine != "ray":
        return None
    from pagesort.prediction.ray_engine import RayEngine, check_ray

    check_ray()
    return RayEngine


@dataclass(frozen=True)
class OpenedAgain:
    """Opens a model that is open here in another process, which needs the same folders."""

    folder: Path
    name: str
    metadata: ModelMetadata
    device: str
    precision: str
    storage: Path

    @classmethod
    def of(cls, settings: Settings, opened: opening.Opened) -> OpenedAgain:
        """What to open, so that it is the same model in the same precision."""
        classifier = opened.classifier
        return cls(
            opened.folder.absolute(),
            opened.name,
            classifier.metadata,
            classifier.device.type,
            classifier.precision,
            opening.storage_of(settings).absolute(),
        )

    def __call__(self) -> tuple[CLIP, Likeness | None]:
        """Open it, and what counts pages unlike its training pages."""
        from classifier import CLIP

        classifier = CLIP.open(
            self.folder,
            metadata=self.metadata,
            device=self.device,
            precision=self.precision,
            lean=True,
            storage=self.storage,
        )
        return classifier, _likeness_of(opening.Opened(classifier, self.folder, self.name, ""))


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


def _error_budget(settings: Settings, classifier: Classifier, folder: Path) -> Budget | None:
    """Find which pages of a folder need no look, and tell it; None if it is not asked for.

    Raises:
        PageSortError: there are no labelled pages that tell it, or they are of another model.
    """
    if settings.max_error is None:
        return None
    from pagesort.review.budget_lines import budget_lines
    from pagesort.review.error_budget import find_budget

    labels: Sequence[str] = tuple(classifier.labels)
    source = _labelled_pages(settings, classifier, labels, folder)
    budget = find_budget(source.evidence, labels, settings.max_error)
    for line in budget_lines(budget, source.words, str(source.path)):
        logger.info("%s", line)
    return budget


def _labelled_pages(
    settings: Settings, classifier: Classifier, labels: Sequence[str], folder: Path
) -> Source:
    """Read the labelled pages: those that are named, else the newest.

    An audit tells of its own folder, and of others only as far as they are alike.
    """
    from pagesort.review import audit_files, evidence

    stats = settings.results_folder / "stats"
    path = settings.budget or evidence.newest_report(stats, classifier.fingerprint, folder)
    if path is None:
        raise PageSortError(
            f"--max_error needs labelled pages that {classifier.name} has never seen, and there "
            "is no evaluation of it, and no audit of this folder",
            where=stats,
            remedy="Evaluate it first, with --eval --eval_folder FOLDER (a subfolder a category), "
            "or sort the folder without --max_error and audit that with --audit 300",
        )
    report = evidence.read_report(path)
    evidence.check_model(report, path, classifier.fingerprint, classifier.name)
    if report["format"] != audit_files.RESULT:
        return evidence.evaluation_source(report, path, labels)
    audited = report["run"].get("folder")
    if audited != str(folder.resolve()):
        logger.warning("the audit is of another folder (%s): its promise is for that one", audited)
    return audit_files.audit_source(report, path, labels)


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
