"""Two models on the same pages: which is right more often, by how much, and where they differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.evaluation import accuracies, metrics
from pagesort.evaluation.evaluate import (
    EvaluationOutcome,
    EvaluationRequest,
    score_variants,
    write_variants,
)
from pagesort.evaluation.files import check_writable, write_json, write_table
from pagesort.labelled.folder import page_digests
from pagesort.labelled.trained_names import TrainedNames
from pagesort.models.protocols import WholeClassifier
from utils import percent

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

VERSION = 1
SIDES = ("A", "B")
NEITHER = "neither"


@dataclass(frozen=True)
class Contender:
    """One of the two models, with the pages, documents and sources that it was trained on.

    `zero_shot` says that it is untouched, as `EvaluationRequest.zero_shot` does.
    """

    classifier: WholeClassifier
    name: str
    descriptions: str
    trained: frozenset[str]
    trained_names: TrainedNames
    zero_shot: bool


@dataclass(frozen=True)
class PairedFigures:
    """How two models fared on the same pages; shares lie in 0..1.

    Attributes:
        accuracies: top-1 of A and of B, each with the ends of its 95 % interval.
        difference: top-1 of A less that of B, with the ends of its 95 % interval.
        only: pages that A alone has right, and B alone.
        differ: pages whose first guesses differ.
        p_value: of McNemar's exact test, which takes pages for independent.
    """

    pages: int
    documents: int
    accuracies: tuple[tuple[float, float, float], tuple[float, float, float]]
    difference: tuple[float, float, float]
    only: tuple[int, int]
    differ: int
    p_value: float


@dataclass(frozen=True)
class PairOutcome:
    """What a comparison of two models found and wrote.

    Attributes:
        figures: on the pages that both have scored.
        lines: the same for a person.
        evaluations: of A and of B, each with its own table and report.
        differing: the table of the pages on which the models differ.
        files: all that was written beside the evaluations' own files.
    """

    figures: PairedFigures
    lines: tuple[str, ...]
    evaluations: tuple[EvaluationOutcome, EvaluationOutcome]
    differing: Path
    files: tuple[Path, ...]

    @property
    def failed(self) -> int:
        """The most pages that one of the models could not read."""
        return max(each.failed for each in self.evaluations)


def paired_figures(
    true: np.ndarray, first: np.ndarray, second: np.ndarray, documents: np.ndarray, seed: int
) -> PairedFigures:
    """Compare the first guesses of two models.

    The intervals come from the same 2,000 draws of whole documents, so that of the difference knows
    that both models saw the same pages (paired bootstrap). McNemar's test is the exact one: the
    pages that one model alone has right are a fair coin's tosses if the models are equally good
    (McNemar 1947, doi 10.1007/BF02295996).

    Args:
        true: (pages,) labels.
        first: (pages,) what A guesses.
        second: (pages,) what B guesses.
        documents: (pages,) the document of each page, numbered from 0 without gaps.
        seed: of the draws.
    """
    from scipy.stats import binomtest

    right = np.stack([first == true, second == true]).astype(np.float64)
    rows = np.concatenate([right, right[:1] - right[1:]])
    lows, highs = metrics.bootstrap_intervals(rows, documents, seed)
    a, b, difference = (
        (float(row.mean()), float(low), float(high))
        for row, low, high in zip(rows, lows, highs, strict=True)
    )
    only = int((rows[2] > 0).sum()), int((rows[2] < 0).sum())
    return PairedFigures(
        pages=len(true),
        documents=int(documents.max()) + 1,
        accuracies=(a, b),
        difference=difference,
        only=only,
        differ=int((first != second).sum()),
        p_value=float(binomtest(only[0], sum(only)).pvalue) if sum(only) else 1.0,
    )


def compare_pair(contenders: Sequence[Contender], request: EvaluationRequest) -> PairOutcome:
    """Score the same pages with two models; write what each is worth, and where they differ.

    Pages that either of them was trained on do not count, nor do those that only one of them has
    scored, as the other does not know their label or could not read them.

    Args:
        contenders: A and B.
        request: what belongs to a model is set for each here.

    Raises:
        PageSortError: no page is left that both can be judged by, or the results cannot be written.
    """
    check_writable(request.results)
    stats = request.results / "stats"
    accuracies.check_tables(stats)
    request, seen = _unseen(request, contenders)
    outcomes = [_evaluate(each, request) for each in contenders]
    a, b = outcomes
    tables = (_composed(each.table) for each in outcomes)
    both = next(tables).merge(next(tables), on=["PATH", "TRUE"], suffixes=("", " of B"))
    if not len(both):
        raise PageSortError(
            "there is no page that both models have scored",
            where=request.folder,
            remedy="Compare models that know the same labels",
        )
    documents = np.unique(metrics.documents_of_table(both), return_inverse=True)[1]
    true, first, second = (both[name].to_numpy() for name in ("TRUE", "CLASS-1", "CLASS-1 of B"))
    figures = paired_figures(true, first, second, documents, request.seed)
    # The names of the first evaluation are its own, so these are ours.
    name = f"COMPARED_{contenders[0].classifier.name}_{a.row.date}"
    differing = request.results / "tables" / f"{name}.csv"
    write_table(_differing_pages(both), differing, request.form)
    lines = _lines(request, contenders, seen, outcomes, figures)
    report = stats / f"{name}.json"
    write_json(_json(request, contenders, seen, outcomes, figures, differing), report)
    return PairOutcome(
        figures=figures,
        lines=tuple(lines),
        evaluations=(a, b),
        differing=differing,
        files=(differing, report, *accuracies.redraw(stats)),
    )


def _unseen(
    request: EvaluationRequest, contenders: Sequence[Contender]
) -> tuple[EvaluationRequest, tuple[int, int, int]]:
    """Leave out what either was trained on: how many pages that are of A, of B, and of both."""
    a, b = (each.trained for each in contenders)
    if not a | b:
        return request, (0, 0, 0)
    digests = page_digests(request.pages)
    seen = (
        sum(digest in a for digest in digests),
        sum(digest in b for digest in digests),
        sum(digest in a | b for digest in digests),
    )
    pages = [
        page for page, digest in zip(request.pages, digests, strict=True) if digest not in a | b
    ]
    if request.pages and not pages:
        raise PageSortError(
            f"each of the {len(request.pages)} pages was trained on by one of the models "
            f"({seen[0]} by {contenders[0].name}, {seen[1]} by {contenders[1].name}), so none can "
            "compare them",
            where=request.folder,
            remedy="Name a folder of other labelled pages with --eval_folder",
        )
    part = f"{request.part}{accuracies.SHARED}" if seen[2] else request.part
    return replace(request, pages=pages, part=part), seen


def _evaluate(contender: Contender, request: EvaluationRequest) -> EvaluationOutcome:
    """Score the pages with one model; write its table, its report and its row among the others."""
    request = replace(
        request,
        model=contender.name,
        descriptions=contender.descriptions,
        trained=contender.trained,
        trained_names=contender.trained_names,
        zero_shot=contender.zero_shot,
    )
    scored = score_variants([contender.classifier], [request])
    (outcome,) = write_variants(scored, draw=False)
    stats = request.results / "stats"
    accuracies.record(stats, [outcome.row], zero_shot=contender.zero_shot)
    return outcome


def _composed(table: pd.DataFrame) -> pd.DataFrame:
    """Write labels composed, as one model's may come decomposed from the file system of a Mac."""
    return table.assign(**{name: table[name].str.normalize("NFC") for name in ("TRUE", "CLASS-1")})


def _differing_pages(both: pd.DataFrame) -> pd.DataFrame:
    """The pages with different first guesses, those first that one of the models has right."""
    right = [both["CLASS-1"] == both["TRUE"], both["CLASS-1 of B"] == both["TRUE"]]
    table = both[["FILE", "PAGE", "TRUE"]].assign(
        **{
            "CLASS-A": both["CLASS-1"],
            "SCORE-A": both["SCORE-1"],
            "CLASS-B": both["CLASS-1 of B"],
            "SCORE-B": both["SCORE-1 of B"],
            "RIGHT": np.select(right, SIDES, NEITHER),
            "PATH": both["PATH"],
        }
    )
    table = table[both["CLASS-1"] != both["CLASS-1 of B"]]
    return table.sort_values("RIGHT", kind="stable")


def _lines(
    request: EvaluationRequest,
    contenders: Sequence[Contender],
    seen: tuple[int, int, int],
    outcomes: Sequence[EvaluationOutcome],
    figures: PairedFigures,
) -> list[str]:
    """The figures for a person, columns aligned."""
    names = [f"{side}: {each.name}" for side, each in zip(SIDES, contenders, strict=True)]
    lines = [
        f"{', '.join(names)}: {figures.pages} pages of {figures.documents} documents, "
        f"{request.part} of {request.folder}"
    ]
    lines += [f"note: {each}" for each in _notes(contenders, seen, outcomes, figures)]
    lines.append("")
    for side, (value, low, high) in zip(SIDES, figures.accuracies, strict=True):
        interval = f"95 % interval {percent(low)} to {percent(high)} %"
        lines.append(f"{f'top-1 accuracy of {side}':<30} {percent(value)} %  {interval}")
    value, low, high = (100 * each for each in figures.difference)
    lines.append(
        f"{'A less B':<30} {value:+.1f} points  95 % interval {low:+.1f} to {high:+.1f} "
        "(paired bootstrap over documents)"
    )
    lines.append(
        f"{'right with one of them only':<30} A: {figures.only[0]}, B: {figures.only[1]} pages; "
        f"McNemar's exact test: p = {figures.p_value:.3g}"
    )
    lines.append(f"{'different guesses':<30} {figures.differ} pages")
    lines.append(f"{'result':<30} {_verdict(figures)}")
    return lines


def _verdict(figures: PairedFigures) -> str:
    """Say in words which of the models is the better one, as far as these pages tell."""
    _, low, high = figures.difference
    if figures.documents > 1 and (low > 0 or high < 0):
        return f"{'A' if low > 0 else 'B'} is right more often"
    return "these pages do not tell which of them is right more often"


def _notes(
    contenders: Sequence[Contender],
    seen: tuple[int, int, int],
    outcomes: Sequence[EvaluationOutcome],
    figures: PairedFigures,
) -> list[str]:
    """Say what was left out, and where the figures promise too much."""
    notes = []
    if seen[2]:
        notes.append(
            f"left out: {seen[2]} pages that one of them was trained on (A: {seen[0]}, B: "
            f"{seen[1]})"
        )
    alone = [each.report.pages - figures.pages for each in outcomes]
    if any(alone):
        notes.append(
            f"left out: pages that only one of them could score, as the other does not know their "
            f"label or could not read them (A alone: {alone[0]}, B alone: {alone[1]})"
        )
    for side, each, outcome in zip(SIDES, contenders, outcomes, strict=True):
        known = outcome.familiar_pages
        if known:
            notes.append(
                f"{known} pages come from documents or sources that {side} was trained on, which "
                "makes them easier for it"
            )
        elif each.trained and not each.trained_names:
            notes.append(f"{side} does not say which documents it was trained on")
    if figures.documents == 1:
        notes.append("one document only: the intervals say nothing about others")
    elif figures.documents < figures.pages:
        notes.append(
            "McNemar's test takes pages for independent, which those of one document are not; the "
            "interval does not"
        )
    return notes


def _json(
    request: EvaluationRequest,
    contenders: Sequence[Contender],
    seen: tuple[int, int, int],
    outcomes: Sequence[EvaluationOutcome],
    figures: PairedFigures,
    differing: Path,
) -> dict[str, Any]:
    """All figures, and what one needs to know to repeat them, as JSON values."""
    models: dict[str, Mapping[str, Any]] = {
        side: {
            "name": each.name,
            "descriptions": each.descriptions,
            "fingerprint": each.classifier.fingerprint,
            "precision": each.classifier.precision,
            "table": outcome.files[0].name,
        }
        for side, each, outcome in zip(SIDES, contenders, outcomes, strict=True)
    }
    return {
        "format": "pagesort comparison of two models",
        "version": VERSION,
        "date": outcomes[0].row.date,
        "models": models,
        "pages": {
            "folder": str(request.folder),
            "part": request.part,
            "scored": figures.pages,
            "trained_on": dict(zip((*SIDES, "either"), seen, strict=True)),
            "familiar": {
                side: each.familiar_pages for side, each in zip(SIDES, outcomes, strict=True)
            },
        },
        "figures": asdict(figures),
        "interval": {
            "level": 0.95,
            "method": "paired percentile bootstrap over documents",
            "draws": metrics.DRAWS,
            "seed": request.seed,
        },
        "differing": differing.name,
    }
