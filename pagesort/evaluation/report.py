"""The figures of an evaluation for a person, as lines, and for programs, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pagesort.common.text import named
from pagesort.evaluation import metrics
from pagesort.evaluation.metrics import Report, TopAccuracy
from utils import percent

if TYPE_CHECKING:
    import pandas as pd

    from pagesort.evaluation.evaluate import EvaluationRequest
    from pagesort.evaluation.scores import ScoredPages, Selection
    from pagesort.models.protocols import WholeClassifier

VERSION = 1
MOST_ERRORS = 10  # told to a person; the table has all
_PARTS = {metrics.FAMILIAR: "familiar pages", metrics.OTHERS: "all others"}
LONGEST_LABEL = 32  # as lines show it, so that columns stay side by side


def report_lines(
    request: EvaluationRequest,
    selection: Selection,
    scored: ScoredPages,
    report: Report,
    parts: Mapping[str, Report],
    table: pd.DataFrame,
    of_folds: Sequence[str] = (),
) -> tuple[str, ...]:
    """Write the figures as lines of text, columns aligned; `of_folds` stand behind the accuracy."""
    lines = [
        f"{request.model} (descriptions: {request.descriptions}): {report.pages} pages of "
        f"{report.documents} documents, {request.part} of {request.folder}"
    ]
    lines += [f"note: {each}" for each in _notes(request, selection, scored, report)]
    lines.append("")
    lines += [_top_line(top) for top in report.top]
    lines += of_folds
    lines += [_part_line(_PARTS[name], part) for name, part in parts.items()]
    for name, mean in (("macro", report.macro), ("micro", report.micro)):
        values = " / ".join(map(percent, asdict(mean).values()))
        lines.append(f"{name + ' precision / recall / F1':<30} {values} %")
    lines.append(f"{'balanced accuracy':<30} {percent(report.balanced_accuracy)} %")
    lines.append(
        f"{'expected calibration error':<30} {report.ece:.3f} (mean score "
        f"{report.mean_confidence:.3f}, accuracy {report.top_at(1).value:.3f})"
    )
    lines += ["", *_label_lines(report)]
    return (*lines, *_error_lines(table))


def _top_line(top: TopAccuracy) -> str:
    source = "" if top.source == metrics.FROM_TABLE else "  (from all scores, not in the table)"
    interval = f"95 % interval {percent(top.low)} to {percent(top.high)} %"
    return f"{f'top-{top.k} accuracy':<30} {percent(top.value)} %  {interval}{source}"


def _part_line(name: str, part: Report) -> str:
    top = part.top_at(1)
    interval = f"95 % interval {percent(top.low)} to {percent(top.high)} %"
    pages = f"{part.pages} pages of {part.documents} documents"
    return f"{f'top-1 of {name}':<30} {percent(top.value)} %  {interval}  ({pages})"


def _notes(
    request: EvaluationRequest, selection: Selection, scored: ScoredPages, report: Report
) -> list[str]:
    """Say what was left out of the figures, and where they promise too much."""
    notes = []
    if selection.unknown:
        pages = sum(selection.unknown.values())
        labels = named(list(selection.unknown))
        notes.append(f"left out: {pages} pages of labels that the model does not know ({labels})")
    if selection.all_seen:
        notes.append("the model was trained on all these pages: no figure holds for other pages")
    elif selection.seen:
        notes.append(f"left out: {selection.seen} pages that the model was trained on")
    if selection.familiar.any():
        notes.append(
            f"{selection.familiar.sum()} pages come from documents or sources that the model was "
            "trained on: such familiar pages are easier than new ones"
        )
    elif request.trained and not request.trained_names:
        notes.append(
            "the model does not say which documents it was trained on: other pages of these would "
            "be easier than new ones"
        )
    if scored.failures:
        notes.append(f"left out: {len(scored.failures)} pages that could not be read")
    if selection.without_pages:
        notes.append(f"no page has the labels {named(selection.without_pages)} of the model")
    if report.labels_without_pages:
        guessed = named(report.labels_without_pages)
        notes.append(f"the macro averages count labels without pages that were guessed: {guessed}")
    if report.documents == 1:
        notes.append("one document only: the intervals say nothing about others")
    elif report.top[0].value in (0.0, 1.0):
        notes.append("all pages fared alike, so the interval of top-1 is too narrow")
    return notes


def _label_lines(report: Report) -> list[str]:
    width = max(len("label"), *(len(_short(each.label)) for each in report.by_label))
    lines = [f"{'label':<{width}}  pages guessed precision recall     F1  missed pages became"]
    for each in report.by_label:
        missed = each.pages - round(each.recall * each.pages)
        became = f"{_short(each.taken_for)} ({each.taken} of {missed})" if each.taken_for else ""
        recall = f"{percent(each.recall):>5}%" if each.pages else "     -"
        precision = f"{percent(each.precision):>5}%" if each.guessed else "     -"
        lines.append(
            f"{_short(each.label):<{width}} {each.pages:6d} {each.guessed:7d}    {precision} "
            f"{recall} {percent(each.f1):>5}%  {became}".rstrip()
        )
    return lines


def _error_lines(table: pd.DataFrame) -> list[str]:
    """Name the errors that the model was surest of: often they are errors of the labels."""
    wrong = table[table["CLASS-1"] != table["TRUE"]]
    worst = wrong.sort_values("SCORE-1", ascending=False, kind="stable").head(MOST_ERRORS)
    lines = ["", "errors with the highest scores (file, page: true label, guess, score):"]
    for row in worst.to_dict("records"):
        lines.append(
            f"  {row['FILE']}, {row['PAGE']}: {_short(row['TRUE'])}, {_short(row['CLASS-1'])}, "
            f"{row['SCORE-1']:.3f}"
        )
    return lines if len(worst) else []


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def json_report(
    classifier: WholeClassifier,
    request: EvaluationRequest,
    selection: Selection,
    scored: ScoredPages,
    report: Report,
    parts: Mapping[str, Report],
    date_time: str,
) -> dict[str, Any]:
    """Gather all figures, and what one needs to know to repeat them, as JSON values."""
    metadata = classifier.metadata
    figures = asdict(report)
    figures["interval"] = {
        "level": 0.95,
        "method": "percentile bootstrap over documents",
        "draws": metrics.DRAWS,
        "seed": request.seed,
    }
    if parts:
        figures["parts"] = {name: asdict(part) for name, part in parts.items()}
    return {
        "format": "pagesort evaluation",
        "version": VERSION,
        "date": date_time,
        "model": {
            "name": request.model,
            "base": metadata.base,
            "revision": metadata.revision,
            "fingerprint": classifier.fingerprint,
            "precision": classifier.precision,
            "zero_shot": request.zero_shot,
            "labels": list(classifier.labels),
            "descriptions": request.descriptions,
            "average": metadata.average,
            "temperature": metadata.temperature,
            "texts": _plain(classifier.prompts),
        },
        "pages": {
            "folder": str(request.folder),
            "part": request.part,
            "max_categ": request.max_categ,
            "scored": report.pages,
            "unknown_labels": selection.unknown,
            "labels_without_pages": list(selection.without_pages),
            "trained_on": selection.seen,
            "trained_on_all": selection.all_seen,
            "familiar": [
                page.name
                for page, known in zip(selection.pages, selection.familiar, strict=True)
                if known
            ],
            "unreadable": [
                {"page": selection.pages[place].name, "reason": reason}
                for place, reason in scored.failures
            ],
        },
        "figures": figures,
    }


def _plain(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {label: list(several) for label, several in texts.items()}
