"""Label errors: labelled pages that a model, which did not learn from them, sees otherwise.

Confident learning (Northcutt, Jiang and Chuang, arXiv 1911.00068): a page counts as one of a label
if its score for it is at least the mean score of the pages that have this label. Where that is
another label than the given one, the page is suspect. So neither an unsure model nor one that is
too sure of itself makes every page of a difficult label suspect.

The method holds as long as of a label's pages more are labelled rightly than count as any other
label's (theorem 1 of the paper). A model that mistakes most pages of a label breaks that, and what
it suspects are its own mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unwritable, whole_text
from pagesort.common.tables import TableForm, TableWriter, number, read_rows
from pagesort.common.text import counted, named
from pagesort.review.sheet import SheetPage

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("FILE", "PAGE", "LABEL", "SUGGESTED", "SCORE-LABEL", "SCORE-SUGGESTED", "PATH")
NO_LABELS = ("FILE", "PAGE", "TRUE", "NOTE", "FOLD", "PATH")
"""Columns of a table of all scores that are no label's."""
LEAST_MARGIN = 1e-6  # scores are compared as written, in few digits
MOST_SUSPECT = 1 / 3
"""The share of pages beyond which a list of suspects tells of the model, not of the labels.

Ten much-used collections have 3.3 % of wrong labels on average, the worst some 10 % (Northcutt,
Athalye and Mueller, arXiv 2103.14749).
"""
FEWEST = 5
"""Pages; fewer say nothing of a model."""


@dataclass(frozen=True)
class LabelledScores:
    """Labelled pages and what a model makes of them.

    Attributes:
        names: (pages,) FILE, PAGE and PATH of each.
        labels: in the order of the scores.
        given: (pages,) the label of each, as its place in `labels`.
        scores: (pages, labels), probabilities.
    """

    names: Sequence[tuple[str, str, str]]
    labels: Sequence[str]
    given: np.ndarray
    scores: np.ndarray


def find_suspects(given: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find pages whose label is probably wrong, the most probable first.

    Args:
        given: (pages,) the labels.
        scores: (pages, labels), by a model that was not trained on these pages.

    Returns:
        The places of the pages, and the label that each rather has.
    """
    suggested = _counted_as(given, scores)
    places = np.flatnonzero((suggested >= 0) & (suggested != given))
    margin = scores[places, given[places]] - scores[places, suggested[places]]
    places = places[np.argsort(margin, kind="stable")]
    return places, suggested[places]


def _counted_as(given: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The label that each page counts as, int (pages,); -1 for a page that counts as none."""
    usual = np.full(scores.shape[1], np.inf)  # labels without pages are suggested to none
    for label in np.unique(given):
        usual[label] = scores[given == label, label].mean()
    passed = np.where(scores >= usual - LEAST_MARGIN, scores, -1.0)
    return np.where(passed.max(axis=1) >= 0, passed.argmax(axis=1), -1)


def doubt_of_model(pages: LabelledScores) -> str:
    """Say in one line where the model cannot tell wrong labels; empty where it can."""
    counted_as = _counted_as(pages.given, pages.scores)
    is_counted = counted_as >= 0
    is_suspect = is_counted & (counted_as != pages.given)
    found, total = int(is_suspect.sum()), len(pages.names)
    if found >= FEWEST and found > MOST_SUSPECT * total:
        return (
            f"{found} of {counted(total)} is more than labels are wrong anywhere: this model takes "
            "its own mistakes for wrong labels. Use a better one, or train it longer"
        )
    doubtful = [
        name
        for label, name in enumerate(pages.labels)
        if (own := is_counted & (pages.given == label)).sum() >= FEWEST
        and 2 * is_suspect[own].sum() >= own.sum()
    ]
    if not doubtful:
        return ""
    return (
        f"the model does not know {named(doubtful)} well enough: at least half of their pages "
        "look to it like another label's, and most of these are its own mistakes"
    )


def labelled_scores(table: pd.DataFrame, scores: pd.DataFrame) -> LabelledScores:
    """Take the pages of an evaluation.

    Args:
        table: columns FILE, PAGE, TRUE and PATH.
        scores: a column a label, the rows as in `table`.
    """
    labels = list(scores.columns)
    names = zip(table["FILE"], table["PAGE"], table["PATH"], strict=True)
    given = np.array([labels.index(label) for label in table["TRUE"]])
    return LabelledScores(list(names), labels, given, scores.to_numpy())


def read_scores(table: Path) -> LabelledScores:
    """Read a table of all scores: by column TRUE or the first folder of PATH, with their labels.

    Raises:
        PageSortError: it cannot be read, is no such table, or tells no label of a page.
    """
    remedy = "Name a table with a column of scores for every label, such as a RAW table"
    rows = list(read_rows(table))
    columns = [name for name in (rows[0] if rows else {}) if name not in NO_LABELS]
    places = {normalize("NFC", name): place for place, name in enumerate(columns)}
    try:
        scores = np.array([[number(row[name]) for name in columns] for row in rows])
        names = [(row["FILE"], row["PAGE"], row["PATH"]) for row in rows]
    except (KeyError, ValueError):
        raise PageSortError("this is no table of all scores", where=table, remedy=remedy) from None
    if not columns or not np.isfinite(scores).all():
        raise PageSortError("the table holds no scores", where=table, remedy=remedy)
    said = [normalize("NFC", row.get("TRUE") or row["PATH"].split("/")[0]) for row in rows]
    unknown = sorted(set(said) - places.keys())
    if unknown:
        raise PageSortError(
            f"pages have labels without a column of scores: {named(unknown)}",
            where=table,
            remedy="The label of a page is in the column TRUE, else the first folder of its PATH",
        )
    return LabelledScores(names, columns, np.array([places[label] for label in said]), scores)


def write_suspects(pages: LabelledScores, table: Path, form: TableForm) -> list[SheetPage]:
    """Write the table of suspects; returns them for a contact sheet, in the same order.

    Raises:
        PageSortError: it cannot be written.
    """
    found = []
    with translate_unwritable(table):
        table.parent.mkdir(parents=True, exist_ok=True)
        with whole_text(table) as file:
            writer = TableWriter(file, form)
            writer.write(COLUMNS)
            for place, suggested in zip(*find_suspects(pages.given, pages.scores), strict=True):
                name, number_, path = pages.names[place]
                given, rather = pages.labels[pages.given[place]], pages.labels[suggested]
                scores = [
                    round(float(pages.scores[place, label]), 3)
                    for label in (pages.given[place], suggested)
                ]
                writer.write([name, number_, given, rather, *scores, path])
                found.append(
                    SheetPage(name, str(number_), path, guess=rather, score=scores[1], given=given)
                )
    return found
