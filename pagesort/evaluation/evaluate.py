"""Labelled pages and a model to a table, a report and plots that tell how far it can be trusted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pagesort.common.files import file_digest
from pagesort.common.tables import PLAIN, TableForm
from pagesort.common.text import shown
from pagesort.evaluation import accuracies, plots
from pagesort.evaluation.files import (
    EvaluationFiles,
    check_writable,
    evaluation_table,
    failure_table,
    reserved_files,
    write_json,
    write_table,
    written,
)
from pagesort.evaluation.folds import fold_facts, fold_figures, fold_lines, with_folds
from pagesort.evaluation.metrics import Report, parts_of_table, report_of_table
from pagesort.evaluation.report import json_report, report_lines
from pagesort.evaluation.scores import (
    ScoredPages,
    Selection,
    page_set,
    score_pages,
    select_pages,
)
from pagesort.labelled.folder import LabelledPage
from pagesort.labelled.trained_names import NO_NAMES, TrainedNames
from pagesort.models.protocols import WholeClassifier
from utils import confusion_plot

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "EvaluationOutcome",
    "EvaluationRequest",
    "ScoredVariants",
    "evaluate",
    "score_variants",
    "write_variants",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationRequest:
    """What to score, and which files to write.

    Attributes:
        pages: labelled pages.
        labels: the folder's labels, those without pages included.
        folder: where the pages lie, for reports.
        part: which of the folder's pages these are: `all pages`, `test part of split_….json`.
        results: the folder that `tables/`, `stats/` and `plots/` are under.
        top_n: guesses a page in the table; all labels if there are fewer.
        raw: whether to write all scores too.
        max_categ: the most pages a label that were taken, for file names.
        batch_size: pages that go through the model together.
        max_megapixels: larger pages count as unreadable.
        seed: of the draws of the intervals and of the sample pages.
        model: what reports call the model; by default its base.
        descriptions: what reports call its descriptions.
        trained: digests of the pages that it was trained on (`read_trained_pages`).
        trained_names: the documents and sources of these pages (`read_trained_names`).
        zero_shot: whether the model is untouched: its row belongs into the other table then, and a
            figure of sample pages is drawn.
        absolute_paths: whether tables name pages by their paths on this machine.
        form: of the tables.
        folds: page name -> number of its fold, where several trainings have scored the pages.
    """

    pages: Sequence[LabelledPage]
    labels: tuple[str, ...]
    folder: Path
    part: str
    results: Path
    top_n: int
    raw: bool
    max_categ: int
    batch_size: int
    max_megapixels: float
    seed: int
    model: str = ""
    descriptions: str = "own"
    trained: frozenset[str] = frozenset()
    trained_names: TrainedNames = NO_NAMES
    zero_shot: bool = False
    absolute_paths: bool = False
    form: TableForm = PLAIN
    folds: Mapping[str, int] | None = None


@dataclass(frozen=True)
class EvaluationOutcome:
    """What an evaluation found and wrote.

    Attributes:
        report: all figures.
        lines: the report for a person.
        files: all that was written.
        failed: how many pages could not be read.
        familiar_pages: how many pages come from documents or sources that were trained on.
        unknown: labels of the folder that the model does not know.
        fingerprint: what decides the scores (`CLIP.fingerprint`).
        row: the model's row in the table of accuracies.
        table: the table of guesses, a row a page.
        scores: all scores of these rows, a column a label.
    """

    report: Report
    lines: tuple[str, ...]
    files: tuple[Path, ...]
    failed: int
    familiar_pages: int
    unknown: tuple[str, ...]
    fingerprint: str
    row: accuracies.Row
    table: pd.DataFrame
    scores: pd.DataFrame


@dataclass(frozen=True)
class ScoredVariants:
    """Scores of the same pages by variants of one model, with the request that each serves."""

    classifiers: Sequence[WholeClassifier]
    requests: Sequence[EvaluationRequest]
    selection: Selection
    scored: ScoredPages


def evaluate(classifier: WholeClassifier, request: EvaluationRequest) -> EvaluationOutcome:
    """Score labelled pages; write tables, report and plots, and the model's row among the others'.

    Raises:
        PageSortError: no page has a label that the model knows, none can be read, or the results
            cannot be written.
    """
    check_writable(request.results)
    accuracies.check_tables(request.results / "stats")
    (outcome,) = write_variants(score_variants([classifier], [request]), draw=True)
    stats = request.results / "stats"
    table = accuracies.record(stats, [outcome.row], zero_shot=request.zero_shot)
    return replace(outcome, files=(*outcome.files, table, *accuracies.redraw(stats)))


def score_variants(
    classifiers: Sequence[WholeClassifier], requests: Sequence[EvaluationRequest]
) -> ScoredVariants:
    """Score the same pages with several description sets of one model; each page is seen once.

    Args:
        classifiers: variants of one model, with the same labels.
        requests: one for each, which differ in their `descriptions` only.

    Raises:
        PageSortError: no page has a label that the model knows, or none can be read.
    """
    first = requests[0]
    selection = select_pages(
        first.pages,
        first.folder,
        first.labels,
        classifiers[0].labels,
        first.trained,
        first.trained_names,
    )
    scored = score_pages(classifiers, selection, first.batch_size, first.max_megapixels)
    return ScoredVariants(classifiers, requests, selection, scored)


def write_variants(variants: ScoredVariants, *, draw: bool) -> list[EvaluationOutcome]:
    """Write table and report of every variant, and with `draw` its plots.

    Raises:
        PageSortError: the results cannot be written.
    """
    several = zip(variants.classifiers, variants.requests, variants.scored.scores, strict=True)
    return [
        _write(classifier, request, variants.selection, variants.scored, scores, draw)
        for classifier, request, scores in several
    ]


def _write(
    classifier: WholeClassifier,
    request: EvaluationRequest,
    selection: Selection,
    scored: ScoredPages,
    scores: np.ndarray,
    draw: bool,
) -> EvaluationOutcome:
    """Write all files of one evaluation, what took longest first."""
    import pandas as pd

    labels = tuple(classifier.labels)
    top_n = min(request.top_n, len(labels))
    request = replace(request, model=request.model or classifier.name)
    true = selection.true[scored.places]
    pages = [selection.pages[place] for place in scored.places]
    table, raw = evaluation_table(
        pages, _paths(request, pages), [labels[index] for index in true], scores, labels, top_n
    )
    spread = {}
    if request.folds is not None:
        table, raw = with_folds(table, raw, pages, request.folds)
        spread = fold_figures(table)
    report = report_of_table(table, labels, request.seed, _places(scores, true))
    parts = parts_of_table(table, labels, request.seed, selection.familiar[scored.places])
    with reserved_files(request.results, classifier.name, top_n, request.max_categ) as names:
        files = _write_tables(request, selection, scored, table, raw, names)
        row = _row(classifier, request, selection, scored, report, names.date_time)
        facts = json_report(classifier, request, selection, scored, report, parts, names.date_time)
        facts["table"] = {
            "name": names.table.name,
            "sha256": file_digest(names.table),
            "root": _root(request),
        }
        if spread:
            facts["folds"] = fold_facts(spread)
        write_json(facts, names.report)
        files.append(names.report)
        if draw:
            files += _draw(request, selection, scored, scores, labels, report, names)
    lines = report_lines(request, selection, scored, report, parts, table, fold_lines(spread))
    return EvaluationOutcome(
        report=report,
        lines=lines,
        files=tuple(files),
        failed=len(scored.failures),
        familiar_pages=int(selection.familiar[scored.places].sum()),
        unknown=tuple(selection.unknown),
        fingerprint=classifier.fingerprint,
        row=row,
        table=table,
        scores=pd.DataFrame(scores, columns=list(labels)),
    )


def _write_tables(
    request: EvaluationRequest,
    selection: Selection,
    scored: ScoredPages,
    table: pd.DataFrame,
    raw: pd.DataFrame,
    names: EvaluationFiles,
) -> list[Path]:
    """Write the result table, and those of all scores and of failed pages where there are any."""
    write_table(table, names.table, request.form)
    files = [names.table]
    if request.raw:
        write_table(raw, names.raw, request.form)
        files.append(names.raw)
    if scored.failures:
        places, reasons = zip(*scored.failures, strict=True)
        lost = [selection.pages[place] for place in places]
        columns = {"REASON": reasons, "PATH": _paths(request, lost)}
        write_table(failure_table(lost, columns), names.failures, request.form)
        files.append(names.failures)
    return files


def _paths(request: EvaluationRequest, pages: Sequence[LabelledPage]) -> list[str]:
    """PATH of pages: their places in the folder, or with it on this machine."""
    root = _root(request)
    return [_place_of(page, request.folder, root) for page in pages]


def _place_of(page: LabelledPage, folder: Path, root: str) -> str:
    try:
        return shown(root + page.path.relative_to(folder).as_posix())
    except ValueError:  # one that a person has added
        return shown(page.path.as_posix())


def _root(request: EvaluationRequest) -> str:
    """What stands before a page's place in the folder in PATH."""
    return f"{request.folder.resolve().as_posix()}/" if request.absolute_paths else ""


def _places(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The place of the true label among a page's guesses, from 0; equal scores in label order."""
    own = scores[np.arange(len(true)), true][:, None]
    before = np.arange(scores.shape[1]) < true[:, None]
    return ((scores > own) | ((scores == own) & before)).sum(axis=1)


def _row(
    classifier: WholeClassifier,
    request: EvaluationRequest,
    selection: Selection,
    scored: ScoredPages,
    report: Report,
    date_time: str,
) -> accuracies.Row:
    metadata = classifier.metadata
    first, third = report.top_at(1), report.top_at(3)
    several = any(len(texts) > 1 for texts in metadata.descriptions.values())
    return accuracies.Row(
        model=request.model,
        base=metadata.base,
        revision=metadata.revision,
        descriptions=request.descriptions,
        averaged=metadata.average and several,
        folder=request.folder.resolve().as_posix(),  # one row, wherever it was named from
        part=request.part + (accuracies.REMEMBERED if selection.all_seen else ""),
        pages=report.pages,
        documents=report.documents,
        labels=len(classifier.labels),
        top_1=first.value,
        top_1_low=first.low,
        top_1_high=first.high,
        top_3=third.value,
        macro_f1=report.macro.f1,
        ece=report.ece,
        temperature=metadata.temperature,
        date=date_time,
        page_set=page_set([selection.pages[place] for place in scored.places]),
    )


def _draw(
    request: EvaluationRequest,
    selection: Selection,
    scored: ScoredPages,
    scores: np.ndarray,
    labels: Sequence[str],
    report: Report,
    names: EvaluationFiles,
) -> list[Path]:
    """Draw confusion matrix and reliability diagram, and sample pages of an untouched model."""
    title = f"{request.model}: {request.part}, {request.folder.name}"
    true = selection.true[scored.places]
    matrix, reliability = names.plot("conf_mat"), names.plot("reliability")
    with written(matrix):
        guesses = scores.argmax(axis=1)
        confusion_plot(guesses, true, labels, title, 1, request.results, file_name=matrix.name)
        plots.reliability_diagram(report, title, reliability)
        if not request.zero_shot:
            return [matrix, reliability]
        samples = names.plot("samples")
        places = plots.spread_over_labels(true, request.seed)
        chosen = [
            plots.SamplePage(
                path=selection.pages[scored.places[place]].path,
                true=labels[true[place]],
                scores=tuple(map(float, scores[place])),
            )
            for place in places
        ]
        plots.sample_figure(chosen, labels, title, samples)
    return [matrix, reliability, samples]
