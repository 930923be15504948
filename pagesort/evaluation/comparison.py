"""Several models and description sets on the same pages: `--eval_dir`, and `--vis` afterwards."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.text import counted, named
from pagesort.evaluation import accuracies
from pagesort.evaluation.accuracies import Row, redraw
from pagesort.evaluation.evaluate import (
    EvaluationOutcome,
    EvaluationRequest,
    ScoredVariants,
    score_variants,
    write_variants,
)
from pagesort.evaluation.files import check_writable
from pagesort.labelled.folder import page_digests, read_trained_pages
from pagesort.labelled.trained_names import NO_NAMES, read_trained_names
from pagesort.models.metadata import read_metadata
from pagesort.models.protocols import WholeClassifier

__all__ = ["ComparisonOutcome", "DescriptionSet", "Row", "evaluate_all", "redraw"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DescriptionSet:
    """Descriptions to compare: label -> texts, under the name that tables and plots give them."""

    name: str
    descriptions: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class ComparisonOutcome:
    """What a comparison found and wrote.

    Attributes:
        rows: one for each model and description set, the best first; those of the pages that most
            models were scored on precede all others, which are not ranked.
        lines: the same for a person.
        files: the tables and plots of all models, then those of each evaluation.
        refused: models that could not be evaluated, and why.
        failed: the most pages that one model could not read.
    """

    rows: tuple[Row, ...]
    lines: tuple[str, ...]
    files: tuple[Path, ...]
    refused: tuple[tuple[str, str], ...]
    failed: int


def evaluate_all(
    open_classifier: Callable[[Path], tuple[WholeClassifier, str]],
    model_folders: Sequence[Path],
    request: EvaluationRequest,
    description_sets: Sequence[DescriptionSet] = (),
    written: Callable[[Path, EvaluationOutcome], None] | None = None,
) -> ComparisonOutcome:
    """Evaluate every model with averaged and with single descriptions; write rows and plots.

    All models are scored on the same pages, those that none of them was trained on. Models that
    leave the others none are not ranked with them. A model that cannot be evaluated is told of, and
    the others go on. Each evaluation leaves its EVAL table and its JSON; the rows of a model are
    written before the next one is opened.

    Args:
        open_classifier: opens a model folder, and tells what reports call the descriptions that it
            answers with; raises PageSortError.
        model_folders: a model's folder name is what tables call it.
        request: `model`, `descriptions` and `trained` are set for each model here. With `zero_shot`
            all rows go to the table of untouched models, else only those of models that carry no
            labels of their own.
        description_sets: further descriptions for every model whose labels they fit.
        written: called with the folder of a model and each of its evaluations once these are
            written.

    Raises:
        PageSortError: there is no model, none of them could be evaluated, or the results cannot be
            written.
    """
    if not model_folders:
        raise PageSortError(
            "there is no model to evaluate", remedy="Name a folder of models with --model_dir"
        )
    check_writable(request.results)
    stats = request.results / "stats"
    accuracies.check_tables(stats)
    shared = _on_shared_pages(request, model_folders)
    outcomes, refused, tables = _evaluate_each(
        open_classifier, model_folders, shared, description_sets, written or _ignore
    )
    if not outcomes:
        raise PageSortError(
            f"none of the {len(model_folders)} models could be evaluated; the first: "
            f"{refused[0][0]}: {refused[0][1]}"
        )
    rows = _ranked([each.row for each in outcomes])
    return ComparisonOutcome(
        rows=tuple(rows),
        lines=tuple(_lines(rows, _reasons(outcomes, rows[0], shared.apart), refused)),
        files=(*tables, *redraw(stats), *(path for each in outcomes for path in each.files)),
        refused=tuple(refused),
        failed=max(each.failed for each in outcomes),
    )


def _ignore(folder: Path, outcome: EvaluationOutcome) -> None:
    """Do nothing with an evaluation that is written."""


@dataclass(frozen=True)
class _Shared:
    """The pages that models are ranked on.

    Attributes:
        request: with these pages.
        whole: with all pages, for models that are not ranked.
        apart: folders of those models, by name -> why.
    """

    request: EvaluationRequest
    whole: EvaluationRequest
    apart: Mapping[str, str]

    def for_model(self, folder: Path) -> EvaluationRequest:
        """What is asked of a model."""
        return self.whole if folder.name in self.apart else self.request


def _evaluate_each(
    open_classifier: Callable[[Path], tuple[WholeClassifier, str]],
    model_folders: Sequence[Path],
    shared: _Shared,
    description_sets: Sequence[DescriptionSet],
    written: Callable[[Path, EvaluationOutcome], None],
) -> tuple[list[EvaluationOutcome], list[tuple[str, str]], list[Path]]:
    """Evaluate one model after the other: what each was worth, which were refused, the tables."""
    stats = shared.whole.results / "stats"
    outcomes: list[EvaluationOutcome] = []
    refused: list[tuple[str, str]] = []
    tables: dict[Path, None] = {}
    for number, folder in enumerate(model_folders, 1):
        logger.info("model %d of %d: %s", number, len(model_folders), folder.name)
        try:
            request = shared.for_model(folder)
            scored = _score_model(open_classifier, folder, request, description_sets)
        except PageSortError as error:
            logger.warning("left out: the model %s (%s)", folder.name, error)
            refused.append((folder.name, str(error)))
            continue
        made = write_variants(scored, draw=False)
        zero_shot = scored.requests[0].zero_shot
        del scored  # so that two models are never held at once
        for outcome in made:
            written(folder, outcome)
        tables[accuracies.record(stats, [each.row for each in made], zero_shot=zero_shot)] = None
        outcomes += made
    return outcomes, refused, list(tables)


def _on_shared_pages(request: EvaluationRequest, model_folders: Sequence[Path]) -> _Shared:
    """Leave out the pages that any of the models was trained on.

    Where nothing would be left, the models that know most pages are not ranked with the others.
    """
    trained = {folder.name: _trained_pages(folder) for folder in model_folders}
    if not any(trained.values()):
        return _Shared(request, request, {})
    digests = page_digests(request.pages)
    readable = {each for each in digests if each is not None}
    known = {name: readable & its for name, its in trained.items()}
    counts = {name: sum(each in its for each in digests) for name, its in known.items()}
    ranked = sorted(known, key=lambda name: counts[name])
    while ranked and frozenset().union(*(known[name] for name in ranked)) >= readable:
        ranked.pop()
    apart = {
        name: f"was trained on {counts[name]} of the {len(digests)} pages"
        for name in known
        if name not in ranked
    }
    for name, why in apart.items():
        logger.warning("not ranked with the other models: %s, which %s", name, why)
    of_any = frozenset().union(*(known[name] for name in ranked))
    pages = tuple(
        page for page, digest in zip(request.pages, digests, strict=True) if digest not in of_any
    )
    if len(pages) == len(request.pages):
        return _Shared(request, request, apart)
    most = max(ranked, key=lambda name: counts[name])
    logger.warning(
        "left out for all ranked models, as one of them was trained on them: %d of %d pages (%s "
        "alone: %d)",
        len(request.pages) - len(pages),
        len(request.pages),
        most,
        counts[most],
    )
    shared = replace(request, pages=pages, part=f"{request.part}{accuracies.SHARED}")
    return _Shared(shared, request, apart)


def _trained_pages(folder: Path) -> frozenset[str]:
    """The digests of a model's pages; a list that cannot be read is told when it is opened."""
    try:
        return read_trained_pages(folder) if folder.is_dir() else frozenset()
    except PageSortError:
        return frozenset()


def _ranked(rows: Sequence[Row]) -> list[Row]:
    """Order rows by pages and categories, what most rows share first, then by top-1."""
    sets = Counter(_basis(row) for row in rows)
    return sorted(rows, key=lambda row: (-sets[_basis(row)], _basis(row), -row.top_1, row.key))


def _basis(row: Row) -> tuple[str, str, int]:
    """What figures must share to be compared."""
    return row.part, row.page_set, row.labels


def _score_model(
    open_classifier: Callable[[Path], tuple[WholeClassifier, str]],
    folder: Path,
    request: EvaluationRequest,
    description_sets: Sequence[DescriptionSet],
) -> ScoredVariants:
    """Open one model and score the pages with all its variants."""
    classifier, descriptions = open_classifier(folder)
    zero_shot = request.zero_shot or is_untouched(folder, classifier)
    trained = request.trained | (read_trained_pages(folder) if folder.is_dir() else frozenset())
    names = read_trained_names(folder) if folder.is_dir() else NO_NAMES
    request = replace(
        request, model=folder.name, trained=trained, trained_names=names, zero_shot=zero_shot
    )
    variants = _variants(classifier, description_sets, descriptions)
    requests = [replace(request, descriptions=name) for name, _ in variants]
    return score_variants([each for _, each in variants], requests)


def is_untouched(folder: Path, classifier: WholeClassifier) -> bool:
    """Whether a model was never trained on labels: it brings neither labels nor their making."""
    training = classifier.metadata.training
    if training:
        return bool(training.get("zero_shot"))
    metadata = read_metadata(folder) if folder.is_dir() else None
    return metadata is None or not metadata.labels


def _variants(
    classifier: WholeClassifier, description_sets: Sequence[DescriptionSet], own: str
) -> list[tuple[str, WholeClassifier]]:
    """The model with each description set that fits it, averaged and single where these differ."""
    own_texts: Mapping[str, Sequence[str]] = classifier.metadata.descriptions
    sets = [(own, own_texts)]
    for each in description_sets:
        missing = set(classifier.labels) ^ set(each.descriptions)
        if missing:
            logger.warning(
                "the descriptions %s are not for the model's labels, which differ by %s",
                each.name,
                ", ".join(sorted(missing)),
            )
        else:
            sets.append((each.name, each.descriptions))
    variants = []
    for name, texts in sets:
        several = any(len(each) > 1 for each in texts.values())
        for average in (True, False) if several else (False,):
            changed = classifier.variant(descriptions=texts, average=average)
            variants.append((name, changed))
    return variants


def _reasons(
    outcomes: Sequence[EvaluationOutcome], first: Row, apart: Mapping[str, str]
) -> dict[tuple[str, ...], str]:
    """Say of rows what keeps their figures from being compared with those of the first."""
    reasons = {}
    for outcome in outcomes:
        row = outcome.row
        why = [apart[row.model]] if row.model in apart else []
        if row.labels != first.labels:
            why.append(f"tells {row.labels} categories apart, not {first.labels}")
        if outcome.unknown:
            why.append(f"does not know {named(outcome.unknown)}")
        if outcome.failed:
            why.append(f"could not read {counted(outcome.failed)}")
        reasons[row.key] = "; ".join(why) or "was measured on fewer or more pages"
    return reasons


def _lines(
    rows: Sequence[Row],
    reasons: Mapping[tuple[str, ...], str],
    refused: Sequence[tuple[str, str]],
) -> list[str]:
    """The ranked rows as aligned text, then those that no place can be given to, and why."""
    names = {row.key: f"{row.model} ({row.descriptions}, {_averaged(row)})" for row in rows}
    width = max(map(len, names.values()))
    bases = list(dict.fromkeys(map(_basis, rows)))
    lines: list[str] = []
    for basis in bases:
        alike = [row for row in rows if _basis(row) == basis]
        pages = f"{alike[0].pages} pages of {alike[0].labels} categories ({alike[0].part})"
        if basis != bases[0]:
            lines += ["", f"not ranked with these, on {pages}:"]
        elif len(bases) > 1:
            lines.append(f"on {pages}:")
        lines.append(f"{'model':<{width}}  pages  top-1  95 % interval  top-3  macro F1    ECE")
        lines += [_line(names[row.key], width, row) for row in alike]
        if basis != bases[0]:
            lines += dict.fromkeys(f"note: {row.model} {reasons[row.key]}" for row in alike)
    return lines + [f"not evaluated: {name}: {reason}" for name, reason in refused]


def _line(name: str, width: int, row: Row) -> str:
    interval = f"{100 * row.top_1_low:.1f} to {100 * row.top_1_high:.1f}"
    return (
        f"{name:<{width}} {row.pages:6d} {100 * row.top_1:5.1f}%  {interval:>13} "
        f"{100 * row.top_3:5.1f}%    {100 * row.macro_f1:5.1f}%  {row.ece:.3f}"
    )


def _averaged(row: Row) -> str:
    return "averaged" if row.averaged else "single"
