"""From a written table of guesses to the figures of a report, as scikit-learn computes them.

Every figure but top-k beyond the table's own guesses follows from its columns alone;
`report_of_table` says how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unicodedata import normalize

import numpy as np

from pagesort.common.errors import PageSortError

if TYPE_CHECKING:
    import pandas as pd

BINS = 15
DRAWS = 2000
PERCENTILES = (2.5, 97.5)  # of the draws: the 95 % interval
REPORTED_TOP = 3  # always told besides top-1, as far as there are so many labels
MOST_DRAWN_AT_ONCE = 4_000_000  # numbers, of 8 bytes

FAMILIAR, OTHERS = "familiar", "others"
FROM_TABLE = "table"
FROM_SCORES = "all scores"


@dataclass(frozen=True)
class TopAccuracy:
    """The share of pages whose label is among the first `k` guesses, with its 95 % interval.

    `source` is `table`, or `all scores` where the table holds fewer guesses than `k`.
    """

    k: int
    value: float
    low: float
    high: float
    source: str


@dataclass(frozen=True)
class LabelFigures:
    """How one label fared; what has a zero below its fraction is 0, as scikit-learn writes it.

    `taken_for` is the label that most of its missed pages got, `taken` how many did.
    """

    label: str
    pages: int
    guessed: int
    precision: float
    recall: float
    f1: float
    taken_for: str | None
    taken: int


@dataclass(frozen=True)
class Averages:
    """Precision, recall and F1 over all labels."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ConfidenceBin:
    """Pages whose first score is above `low` and at most `high`: its mean, and how many are right.

    An empty bin has None for both.
    """

    low: float
    high: float
    pages: int
    right: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Report:
    """All figures of one evaluation; shares lie in 0..1.

    Attributes:
        labels: those that occur as TRUE or as CLASS-1; the averages are over them.
        labels_without_pages: those of `labels` that only occur as guesses.
        balanced_accuracy: mean recall over the labels that have pages.
        ece: expected calibration error of SCORE-1 in 15 bins of equal width.
        confusion: counts (true, guessed) over `labels`.
    """

    pages: int
    documents: int
    labels: tuple[str, ...]
    labels_without_pages: tuple[str, ...]
    top: tuple[TopAccuracy, ...]
    by_label: tuple[LabelFigures, ...]
    macro: Averages
    micro: Averages
    balanced_accuracy: float
    ece: float
    mean_confidence: float
    bins: tuple[ConfidenceBin, ...]
    confusion: tuple[tuple[int, ...], ...]

    def top_at(self, k: int) -> TopAccuracy:
        """Top-k accuracy; of a `k` above the number of labels, that of all labels."""
        return next((top for top in self.top if top.k == k), self.top[-1])


def report_of_table(
    table: pd.DataFrame,
    labels: Sequence[str],
    seed: int,
    places: np.ndarray | None = None,
) -> Report:
    """Compute all figures of a table of guesses.

    Accuracy, precision, recall, F1 and their averages are scikit-learn's with `zero_division=0`,
    over the labels that occur. The calibration error weighs the bins of
    `sklearn.calibration.calibration_curve` by their pages (arXiv 1706.04599). Intervals are the
    2.5th and 97.5th percentile of 2,000 draws of whole documents with replacement.

    Args:
        table: columns FILE, PAGE, TRUE, CLASS-1 to CLASS-N and SCORE-1, one row a page.
        labels: all labels in the model's order.
        seed: of the draws.
        places: (pages,) the place of the true label among all guesses, from 0; needed for top-3
            where the table holds fewer guesses.

    Raises:
        PageSortError: the table holds no page, or a label that is none of `labels`.
    """
    if not len(table):
        raise PageSortError("there is no page to compute figures of")
    names = {label: index for index, label in enumerate(labels)}
    true, first = (_indices(table[column], names) for column in ("TRUE", "CLASS-1"))
    occurring = np.union1d(true, first)
    shown = tuple(labels[index] for index in occurring)
    by_label, counts, macro, micro = _label_figures(true, first, occurring, shown)
    documents = np.unique(documents_of_table(table), return_inverse=True)[1]
    confidence = table["SCORE-1"].to_numpy(dtype=np.float64)
    bins = confidence_bins(confidence, true == first)
    gaps = [each.pages * abs((each.confidence or 0.0) - (each.accuracy or 0.0)) for each in bins]
    return Report(
        pages=len(table),
        documents=int(documents.max()) + 1,
        labels=shown,
        labels_without_pages=tuple(each.label for each in by_label if not each.pages),
        top=_top_accuracies(table, labels, documents, seed, places),
        by_label=by_label,
        macro=macro,
        micro=micro,
        balanced_accuracy=float(np.mean([each.recall for each in by_label if each.pages])),
        ece=sum(gaps) / len(table),
        mean_confidence=float(confidence.mean()),
        bins=bins,
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
    )


def parts_of_table(
    table: pd.DataFrame, labels: Sequence[str], seed: int, familiar: np.ndarray
) -> dict[str, Report]:
    """Report on familiar pages and on the others apart; nothing where no page is familiar.

    Args:
        table: as for `report_of_table`.
        familiar: (pages,) whether a page's document or source was trained on.
    """
    if not familiar.any():
        return {}
    parts = {FAMILIAR: table[familiar], OTHERS: table[~familiar]}
    return {name: report_of_table(part, labels, seed) for name, part in parts.items() if len(part)}


def _indices(column: Sequence[str], names: dict[str, int]) -> np.ndarray:
    unknown = sorted({str(label) for label in column if label not in names})
    if unknown:
        raise PageSortError(f"the table holds labels that are none: {', '.join(unknown)}")
    return np.array([names[label] for label in column])


def documents_of_table(table: pd.DataFrame) -> list[str]:
    """Tell the document of each row, which is FILE.

    Pages that are named by a number alone have their label's folder for FILE; each of them counts
    as a document of its own.
    """
    documents = []
    for file, page, label in zip(table["FILE"], table["PAGE"], table["TRUE"], strict=True):
        is_folder = normalize("NFC", file) == normalize("NFC", label)
        documents.append(f"{file}/{page}" if is_folder else file)
    return documents


def _label_figures(
    true: np.ndarray, first: np.ndarray, occurring: np.ndarray, shown: Sequence[str]
) -> tuple[tuple[LabelFigures, ...], np.ndarray, Averages, Averages]:
    """Figures of each occurring label, counts (true, guessed), macro and micro averages."""
    from sklearn.metrics import precision_recall_fscore_support

    every = {"labels": occurring, "zero_division": 0}
    counts = np.zeros((len(occurring),) * 2, dtype=int)
    np.add.at(counts, tuple(np.searchsorted(occurring, each) for each in (true, first)), 1)
    precision, recall, f1, _ = precision_recall_fscore_support(true, first, **every)
    rows = []
    for index, label in enumerate(shown):
        missed = counts[index].copy()
        missed[index] = 0
        worst = int(missed.argmax())
        rows.append(
            LabelFigures(
                label=label,
                pages=int(counts[index].sum()),
                guessed=int(counts[:, index].sum()),
                precision=float(precision[index]),
                recall=float(recall[index]),
                f1=float(f1[index]),
                taken_for=shown[worst] if missed[worst] else None,
                taken=int(missed[worst]),
            )
        )
    averages = (
        precision_recall_fscore_support(true, first, average=average, **every)[:3]
        for average in ("macro", "micro")
    )
    macro, micro = (Averages(*(float(value) for value in each)) for each in averages)
    return tuple(rows), counts, macro, micro


def _top_accuracies(
    table: pd.DataFrame,
    labels: Sequence[str],
    documents: np.ndarray,
    seed: int,
    places: np.ndarray | None,
) -> tuple[TopAccuracy, ...]:
    """Top-1, top-3 and top-N, without those that cannot be told or exceed the labels."""
    guesses = [column for column in table.columns if column.startswith("CLASS-")]
    held = len(guesses)
    wanted = {1, min(REPORTED_TOP, len(labels)), held}
    true = table["TRUE"].to_numpy()
    right: dict[int, np.ndarray] = {}
    for k in sorted(wanted):
        if k <= held:
            right[k] = np.any([table[f"CLASS-{n}"].to_numpy() == true for n in range(1, k + 1)], 0)
        elif places is not None:
            right[k] = places < k
    hits = np.stack(list(right.values())).astype(np.float64)
    lows, highs = bootstrap_intervals(hits, documents, seed)
    return tuple(
        TopAccuracy(
            k=k,
            value=float(row.mean()),
            low=float(low),
            high=float(high),
            source=FROM_TABLE if k <= held else FROM_SCORES,
        )
        for k, row, low, high in zip(right, hits, lows, highs, strict=True)
    )


def bootstrap_intervals(
    hits: np.ndarray, documents: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals of means over pages, by drawing whole documents with replacement.

    Pages of one document resemble each other, so that drawing pages would promise too much.

    Args:
        hits: (figures, pages), each 0 or 1.
        documents: (pages,) the document of each page, numbered from 0 without gaps.
        seed: of NumPy's default generator; all figures share its draws.

    Returns:
        Lower and upper ends, (figures,) each. Of a single document both are its own figure.
    """
    pages = np.bincount(documents).astype(np.float64)
    right = np.stack([np.bincount(documents, weights=row) for row in hits])
    stream = np.random.default_rng(seed)
    means = []
    at_once = max(1, min(DRAWS, MOST_DRAWN_AT_ONCE // len(pages)))
    for start in range(0, DRAWS, at_once):
        size = (min(at_once, DRAWS - start), len(pages))
        drawn = stream.integers(0, len(pages), size=size)
        total = pages[drawn].sum(axis=1)
        means.append(np.stack([row[drawn].sum(axis=1) / total for row in right]))
    low, high = np.percentile(np.concatenate(means, axis=1), PERCENTILES, axis=1)
    return low, high


def confidence_bins(confidence: np.ndarray, right: np.ndarray) -> tuple[ConfidenceBin, ...]:
    """Sort pages into 15 bins of equal width by their first score; each bin holds its upper end.

    Args:
        confidence: (pages,) first scores, 0..1.
        right: (pages,) whether the first guess is the true label.
    """
    edges = np.linspace(0.0, 1.0, BINS + 1)
    # As scikit-learn does it, so that a score on an edge falls into the same bin.
    numbers = np.searchsorted(edges[1:-1], confidence)
    bins = []
    for number in range(BINS):
        inside = numbers == number
        pages = int(inside.sum())
        bins.append(
            ConfidenceBin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                pages=pages,
                right=int(right[inside].sum()),
                confidence=float(confidence[inside].mean()) if pages else None,
                accuracy=float(right[inside].mean()) if pages else None,
            )
        )
    return tuple(bins)
