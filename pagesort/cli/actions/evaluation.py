"""Evaluating one model or several, and drawing what compares them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pagesort.cli import opening
from pagesort.cli.actions.prediction import check_topn
from pagesort.cli.actions.records import opened_facts, write_provenance
from pagesort.cli.actions.review import corrected_images
from pagesort.cli.actions.suspects import suspects_of_evaluation
from pagesort.cli.actions.training import training_split
from pagesort.cli.console import UNREADABLE_PAGES_STATUS, emit
from pagesort.cli.settings import Settings
from pagesort.common.errors import PageSortError, UsageError

if TYPE_CHECKING:
    from classifier import CLIP
    from pagesort.evaluation.evaluate import EvaluationOutcome, EvaluationRequest
    from pagesort.evaluation.paired import Contender, PairOutcome


def evaluate_model(settings: Settings, model: Path | None = None) -> int:
    """Score labelled pages; prints the report and the paths of all that was written."""
    from pagesort.evaluation import evaluate
    from pagesort.labelled import folder as labelled
    from pagesort.labelled import trained_names

    request = evaluation_request(settings)
    zero_shot = settings.zero_shot and model is None
    if zero_shot:
        opened = opening.open_zero_shot(settings, request.labels)
    else:
        opened = opening.open_classifier(settings, model)
    check_topn(settings, opened.classifier)
    request = replace(
        request,
        model=opened.name,
        descriptions=opened.descriptions,
        trained=labelled.read_trained_pages(opened.folder),
        trained_names=trained_names.read_trained_names(opened.folder),
        zero_shot=zero_shot,
    )
    started = datetime.now().astimezone()
    outcome = evaluate.evaluate(opened.classifier, request)
    write_records(settings, request, outcome, opened_facts(opened), started)
    for line in (*outcome.lines, *map(str, outcome.files)):
        emit(line)
    if settings.suspects:
        suspects_of_evaluation(settings, request.folder, outcome)
    return UNREADABLE_PAGES_STATUS if outcome.failed else 0


def write_records(
    settings: Settings,
    request: EvaluationRequest,
    outcome: EvaluationOutcome,
    facts: Mapping[str, Any],
    started: datetime,
) -> None:
    """Write where the tables of an evaluation come from, beside them."""
    from pagesort.common.tables import FAILED_ENDING
    from pagesort.records.provenance import Written

    folder = request.results / "tables"
    tables = tuple(path for path in outcome.files if path.parent == folder)
    failures = next((path for path in tables if path.name.endswith(FAILED_ENDING)), None)
    listing = folder / f"{tables[0].stem}_PAGES.txt.gz"
    write_provenance(
        settings,
        Written(tables, failures, request.folder, listing),
        models=[{**facts, **_texts_facts(outcome)}],
        started=started,
        counts={"pages": outcome.report.pages, "unread": outcome.failed},
    )


def _texts_facts(outcome: EvaluationOutcome) -> dict[str, Any]:
    """What is told of the descriptions that one evaluation was made with."""
    row = outcome.row
    return {
        "descriptions": row.descriptions,
        "averaged": row.averaged,
        "fingerprint": outcome.fingerprint,
    }


def evaluate_models(settings: Settings) -> int:
    """Evaluate every model of the model folder; prints a comparison and the paths of all tables."""
    from pagesort.evaluation import comparison
    from pagesort.voting import vote

    request = replace(evaluation_request(settings), zero_shot=settings.zero_shot)
    folders = vote.model_folders(settings.model_dir)
    if settings.zero_shot:
        folders += opening.base_models(settings)
    started = datetime.now().astimezone()
    facts: dict[Path, dict[str, Any]] = {}

    def open_model(folder: Path) -> tuple[CLIP, str]:
        if settings.zero_shot:
            opened = opening.open_zero_shot(settings, request.labels, folder)
        else:
            opened = opening.open_classifier(settings, folder, own_descriptions=True)
        facts[folder] = opened_facts(opened)
        return opened.classifier, opened.descriptions

    def written(folder: Path, outcome: EvaluationOutcome) -> None:
        write_records(settings, request, outcome, facts[folder], started)

    sets = [
        comparison.DescriptionSet(opening.with_prompts(settings, name), texts)
        for name, texts in opening.description_sets(settings).items()
    ]
    outcome = comparison.evaluate_all(open_model, folders, request, sets, written)
    for line in (*outcome.lines, *map(str, outcome.files)):
        emit(line)
    if outcome.refused:
        return PageSortError.exit_status
    return UNREADABLE_PAGES_STATUS if outcome.failed else 0


def compare_models(settings: Settings, named: Sequence[str]) -> int:
    """Say which of two models is right more often; prints the figures and what was written."""
    from pagesort.evaluation import paired

    sources = [opening.model_called(settings, word) for word in named]
    if sources[0].resolve() == sources[1].resolve():
        raise UsageError(
            "--compare_models takes two models, and these are the same", where=sources[0]
        )
    request = evaluation_request(settings)
    started = datetime.now().astimezone()
    opened = [opening.open_classifier(settings, source) for source in sources]
    names = [each.name for each in opened]
    if names[0] == names[1]:  # of two places
        names = [source.as_posix() for source in sources]
    for each in opened:
        check_topn(settings, each.classifier)
    contenders = [_contender(each, name) for each, name in zip(opened, names, strict=True)]
    outcome = paired.compare_pair(contenders, request)
    facts = [opened_facts(each) for each in opened]
    for evaluation, its in zip(outcome.evaluations, facts, strict=True):
        write_records(settings, request, evaluation, its, started)
    _write_pair_record(settings, request, outcome, facts, started)
    evaluated = (path for each in outcome.evaluations for path in each.files)
    for line in (*outcome.lines, *map(str, (*outcome.files, *evaluated))):
        emit(line)
    return UNREADABLE_PAGES_STATUS if outcome.failed else 0


def _contender(opened: opening.Opened, name: str) -> Contender:
    from pagesort.evaluation.comparison import is_untouched
    from pagesort.evaluation.paired import Contender
    from pagesort.labelled import folder as labelled
    from pagesort.labelled import trained_names

    return Contender(
        classifier=opened.classifier,
        name=name,
        descriptions=opened.descriptions,
        trained=labelled.read_trained_pages(opened.folder),
        trained_names=trained_names.read_trained_names(opened.folder),
        zero_shot=is_untouched(opened.folder, opened.classifier),
    )


def _write_pair_record(
    settings: Settings,
    request: EvaluationRequest,
    outcome: PairOutcome,
    facts: Sequence[Mapping[str, Any]],
    started: datetime,
) -> None:
    """Write where the table of the pages on which two models differ comes from."""
    from pagesort.records.provenance import Written

    table = outcome.differing
    listing = table.with_name(f"{table.stem}_PAGES.txt.gz")
    write_provenance(
        settings,
        Written((table,), None, request.folder, listing),
        models=facts,
        started=started,
        counts={"pages": outcome.figures.pages, "differing": outcome.figures.differ},
    )


def redraw_plots(settings: Settings) -> int:
    """Draw the plots that compare models anew from their tables; prints their paths."""
    from pagesort.evaluation import comparison

    for path in comparison.redraw(settings.results_folder / "stats"):
        emit(str(path))
    return 0


def evaluation_request(settings: Settings) -> EvaluationRequest:
    """Say which pages are scored: all of a folder, or of the training folder the test part."""
    from pagesort.common.tables import table_form
    from pagesort.evaluation.evaluate import EvaluationRequest
    from pagesort.labelled import folder as labelled

    folder, part = settings.eval_folder, "all pages"
    if _evaluates_training_pages(settings):
        split, _ = training_split(settings)
        pages, labels, part = split.test, split.labels, f"test part of {split.path.name}"
        pages = labelled.cap_pages(pages, settings.max_categ_eval)
        folder = split.folder
    else:
        corrected, _ = corrected_images(settings)
        data = labelled.read_labelled_folder(
            folder,
            named_by="--eval_folder or [EVAL] FOLDER_PAGES",
            max_categ=settings.max_categ_eval,
            empty_ok=True,
            corrected=corrected,
        )
        pages, labels = data.pages, data.labels
    if max(Counter(page.label for page in pages).values(), default=0) >= settings.max_categ_eval:
        part += f", at most {settings.max_categ_eval} a label"
    return EvaluationRequest(
        pages=pages,
        labels=labels,
        folder=folder,
        part=part,
        results=settings.results_folder,
        top_n=settings.topn,
        raw=settings.raw,
        max_categ=settings.max_categ,
        batch_size=settings.batch_size,
        max_megapixels=settings.max_megapixels,
        seed=settings.seed,
        absolute_paths=settings.absolute_paths,
        form=table_form(settings.csv_excel),
    )


def _evaluates_training_pages(settings: Settings) -> bool:
    """Whether the pages are the test part of those that one trains on."""
    if settings.train_list is not None:
        return not settings.is_named("eval_folder")
    return _is_same_folder(settings.eval_folder, settings.train_folder)


def _is_same_folder(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # what is missing is told by whoever reads it
        return one.resolve() == other.resolve()
