"""Training once a fold: scores of every page by the training that has not seen it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.cli import opening
from pagesort.cli.actions.evaluation import write_records
from pagesort.cli.actions.records import opened_facts
from pagesort.cli.actions.suspects import suspects_of_evaluation
from pagesort.cli.actions.training import (
    report_model,
    training_pages,
    training_recipe,
    training_request,
)
from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.common.processes import is_first_process
from pagesort.common.text import named

if TYPE_CHECKING:
    from classifier import CLIP
    from pagesort.evaluation.evaluate import EvaluationOutcome
    from pagesort.labelled.folder import LabelledFolder
    from pagesort.labelled.page import LabelledPage
    from pagesort.labelled.split_files import PageSplit
    from pagesort.training.folds import FoldScores
    from pagesort.training.recipe import Recipe

logger = logging.getLogger(__name__)


def train_folds(settings: Settings) -> tuple[Path | None, int]:
    """Train once a fold and write what came out; prints the report and the paths.

    Returns:
        The folder of the model that was trained on all pages, if that was asked for, and the exit
        status.
    """
    from pagesort.labelled import folds as labelled_folds
    from pagesort.training import folds as training_folds

    started = datetime.now().astimezone()
    recipe = training_recipe(settings)
    pages, lost = training_pages(settings)
    seed, test_size = settings.seed, settings.test_size
    folds = labelled_folds.make_folds(pages.data, settings.folds, seed=seed, test_size=test_size)
    _log_lonely(labelled_folds.lonely_labels(pages.data))
    classifier = opening.open_start(settings, pages.data.labels)
    request = training_request(settings, recipe, folds[0])
    found = training_folds.train_folds(
        classifier, folds, request, lambda model, held: _scored(settings, model, held)
    )
    failed = bool(lost or pages.data.left_out)
    notes = {}
    if is_first_process():
        outcome = _write(settings, classifier, pages.data, folds, found, started)
        notes["out_of_fold"] = _facts(outcome)
        failed = failed or bool(outcome.failed)
    model = None
    if settings.train_all:
        whole = labelled_folds.all_pages(pages.data, seed=seed, test_size=test_size)
        model = _train_on_all(settings, classifier, recipe, whole, notes)
    return model, UNREADABLE_PAGES_STATUS if failed else 0


def _log_lonely(labels: Sequence[str]) -> None:
    if labels:
        logger.warning(
            "labels of one document, whose pages are scored by trainings without any page of their "
            "label: %s",
            named(labels),
        )


def _scored(settings: Settings, model: Path, pages: Sequence[LabelledPage]) -> FoldScores:
    """Score pages as `--eval` does."""
    import numpy as np

    from classifier import CLIP
    from pagesort.evaluation.scores import Selection, score_pages
    from pagesort.training.folds import FoldScores

    classifier = CLIP.open(model, device=settings.device, precision=settings.precision, lean=True)
    labels = classifier.labels
    none = np.zeros(len(pages), bool)
    true = np.array([labels.index(page.label) for page in pages])
    selection = Selection(model, tuple(pages), true, none, {}, (), 0, False)
    done = score_pages([classifier], selection, settings.batch_size, settings.max_megapixels)
    scores = np.zeros((len(selection.pages), len(labels)), np.float32)
    scores[done.places] = done.scores[0]
    reasons = dict(done.failures)
    return FoldScores(
        names=tuple(page.name for page in selection.pages),
        scores=scores,
        reasons=tuple(reasons.get(place, "") for place in range(len(selection.pages))),
    )


def _write(
    settings: Settings,
    classifier: CLIP,
    data: LabelledFolder,
    folds: Sequence[PageSplit],
    found: Sequence[FoldScores],
    started: datetime,
) -> EvaluationOutcome:
    """Write tables, report, plots and suspects; prints them."""
    from pagesort.common.tables import table_form
    from pagesort.evaluation.evaluate import EvaluationRequest
    from pagesort.evaluation.out_of_fold import write_out_of_fold
    from pagesort.labelled.folder import read_trained_pages
    from pagesort.labelled.trained_names import read_trained_names

    start = Path(classifier.model.name_or_path)
    request = EvaluationRequest(
        pages=data.pages,
        labels=data.labels,
        folder=data.folder,
        part=f"all pages, each by that of {len(folds)} trainings which has not seen its document",
        results=settings.results_folder,
        top_n=settings.topn,
        raw=True,
        max_categ=settings.max_categ,
        batch_size=settings.batch_size,
        max_megapixels=settings.max_megapixels,
        seed=settings.seed,
        model=f"{classifier.name}, {len(folds)} folds",
        trained=read_trained_pages(start),
        trained_names=read_trained_names(start),
        absolute_paths=settings.absolute_paths,
        form=table_form(settings.csv_excel),
        folds={page.name: number for number, fold in enumerate(folds, 1) for page in fold.test},
    )
    rows = [each for one in found for each in zip(one.names, one.scores, one.reasons, strict=True)]
    outcome = write_out_of_fold(
        classifier,
        request,
        {name: scores for name, scores, reason in rows if not reason},
        {name: reason for name, _, reason in rows if reason},
    )
    opened = opening.Opened(classifier, start, request.model, request.descriptions)
    write_records(settings, request, outcome, opened_facts(opened), started)
    for line in (*outcome.lines, *map(str, outcome.files)):
        emit(line)
    suspects_of_evaluation(settings, data.folder, outcome)
    return outcome


def _facts(outcome: EvaluationOutcome) -> dict[str, Any]:
    """What a model that was trained on all pages tells of the folds."""
    top = outcome.report.top_at(1)
    return {
        "folds": int(outcome.table["FOLD"].nunique()),
        "pages": outcome.report.pages,
        "documents": outcome.report.documents,
        "accuracy": round(top.value, 5),
        "interval": [round(top.low, 5), round(top.high, 5)],
        "macro_f1": round(outcome.report.macro.f1, 5),
    }


def _train_on_all(
    settings: Settings, classifier: CLIP, recipe: Recipe, split: PageSplit, notes: dict[str, Any]
) -> Path:
    """Train a model on all pages; prints its folder and its curves."""
    from dataclasses import replace

    from pagesort.training import train

    logger.info("all pages: %d train, %d validate", len(split.train), len(split.validation))
    request = replace(training_request(settings, recipe, split), notes=notes)
    outcome = train.train(classifier, request)
    report_model(outcome)
    return outcome.model_folder
