"""What a cross-validation adds to tables and reports: the fold of a page, mean and spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.labelled.page import LabelledPage

if TYPE_CHECKING:
    import pandas as pd

FOLD = "FOLD"


@dataclass(frozen=True)
class Spread:
    """One figure over the folds: of each, their mean, and their standard deviation (N - 1)."""

    folds: tuple[float, ...]
    mean: float
    deviation: float

    @classmethod
    def of(cls, folds: Sequence[float]) -> Spread:
        """Summarise the figures of two folds or more."""
        values = np.array(folds)
        return cls(tuple(folds), float(values.mean()), float(values.std(ddof=1)))


def with_folds(
    table: pd.DataFrame, raw: pd.DataFrame, pages: Sequence[LabelledPage], folds: Mapping[str, int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add the column FOLD to both tables, and TRUE to that of all scores; PATH stays the last.

    Args:
        table, raw: of `evaluation_table`, their index the places of the pages.
        folds: page name -> number of the fold that it is in.
    """
    numbers = [folds[page.name] for page in pages]
    found = []
    for each in (table, raw):
        more = each.assign(TRUE=table["TRUE"], FOLD=np.array(numbers)[each.index])
        rest = [name for name in more.columns if name not in ("TRUE", FOLD, "PATH")]
        found.append(more[[*rest, "TRUE", FOLD, "PATH"]])
    return found[0], found[1]


def fold_figures(table: pd.DataFrame) -> dict[str, Spread]:
    """Top-1 accuracy and macro F1 of every fold of a table with the column FOLD, in their order."""
    from sklearn.metrics import f1_score

    accuracies, f1s = [], []
    for _, part in table.groupby(FOLD, sort=True):
        true, guessed = part["TRUE"], part["CLASS-1"]
        accuracies.append(float((true == guessed).mean()))
        f1s.append(float(f1_score(true, guessed, average="macro", zero_division=0)))
    if len(accuracies) < 2:
        return {}
    return {"accuracy": Spread.of(accuracies), "macro_f1": Spread.of(f1s)}


def fold_lines(figures: Mapping[str, Spread]) -> list[str]:
    """Write mean and spread over the folds as lines of a report."""
    lines = []
    for name, title in (("accuracy", "top-1"), ("macro_f1", "macro F1")):
        if name in figures:
            spread = figures[name]
            each = ", ".join(f"{100 * value:.1f}" for value in spread.folds)
            lines.append(
                f"{f'{title}, mean of {len(spread.folds)} folds':<30} {100 * spread.mean:.1f} %  "
                f"standard deviation {100 * spread.deviation:.1f}  (folds: {each})"
            )
    return lines


def fold_facts(figures: Mapping[str, Spread]) -> dict[str, Any]:
    """The same as JSON values."""
    return {name: asdict(spread) for name, spread in figures.items()}
