"""The files of an evaluation: names that nobody else uses, tables, and writing them whole."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pagesort.common.errors import PageSortError
from pagesort.common.files import (
    RESULTS_ELSEWHERE,
    numbered,
    reserve,
    translate_unwritable,
    try_writing,
    write_whole,
)
from pagesort.common.tables import FAILED_ENDING, TableForm, TableWriter
from pagesort.common.text import shown
from pagesort.labelled.folder import LabelledPage
from pagesort.prediction.journal import JOURNAL_SUFFIX
from utils import dataframe_results, page_name, round_scores, top_guesses

if TYPE_CHECKING:
    import pandas as pd

FOLDERS = ("tables", "stats", "plots")


@dataclass(frozen=True)
class EvaluationFiles:
    """Where the files of one evaluation lie; `date_time` may carry a number, `20260101-1200-2`."""

    results: Path
    base: str
    top_n: int
    max_categ: int
    date_time: str

    @property
    def table(self) -> Path:
        """The table of guesses with the true labels."""
        return self.results / "tables" / f"EVAL_table_{self._name}.csv"

    @property
    def raw(self) -> Path:
        """The table of all scores."""
        return self.results / "tables" / f"{self.date_time}_{self.base}_RAW.csv"

    @property
    def failures(self) -> Path:
        """The table of pages that could not be read."""
        return self.results / "tables" / f"{self.date_time}_{self.base}{FAILED_ENDING}"

    @property
    def report(self) -> Path:
        """All figures, as JSON."""
        return self.results / "stats" / f"EVAL_{self._name}.json"

    def plot(self, kind: str) -> Path:
        """A plot of some kind: `conf_mat`, `reliability`, `samples`."""
        return self.results / "plots" / f"{kind}_{self._name}.png"

    @property
    def _name(self) -> str:
        return f"{self.top_n}n_{self.max_categ}c_{self.base}_{self.date_time}"

    def taken(self) -> bool:
        """Whether one of the names is in use, or about to be used by a folder's run."""
        journal = self.raw.with_name(f"{self.date_time}_{self.base}{JOURNAL_SUFFIX}")
        plots = [self.plot(kind) for kind in ("conf_mat", "reliability", "samples")]
        files = [self.table, self.raw, self.failures, self.report, journal, *plots]
        return any(path.exists() for path in files)


@contextlib.contextmanager
def reserved_files(
    results: Path, base: str, top_n: int, max_categ: int, now: datetime | None = None
) -> Iterator[EvaluationFiles]:
    """Hold names of the present minute that no other evaluation uses or gets meanwhile.

    Raises:
        PageSortError: the folder cannot be written.
    """
    minute = (now or datetime.now()).strftime("%Y%m%d-%H%M")
    tables = results / "tables"
    for name in FOLDERS:
        with written(results / name):
            (results / name).mkdir(parents=True, exist_ok=True)
    for date_time in numbered(minute):
        mark = tables / f".EVAL_{date_time}_{base}.reserved"
        with written(mark):
            if not reserve(mark):
                continue
        try:
            files = EvaluationFiles(results, base, top_n, max_categ, date_time)
            if not files.taken():
                yield files
                return
        finally:
            mark.unlink(missing_ok=True)
    raise PageSortError("there is no free name for the tables of this minute", where=tables)


def check_writable(results: Path) -> None:
    """Try out that files can be written where they shall be, before pages are scored.

    Raises:
        PageSortError: they cannot.
    """
    for name in FOLDERS:
        with written(results / name):
            try_writing(results / name)


@contextlib.contextmanager
def written(where: Path) -> Iterator[None]:
    """Tell a person in one line what the system has against writing a file or folder."""
    with translate_unwritable(
        where, "the results of the evaluation cannot be written", RESULTS_ELSEWHERE
    ):
        yield


def evaluation_table(
    pages: Sequence[LabelledPage],
    paths: Sequence[str],
    true: Sequence[str],
    scores: np.ndarray,
    labels: Sequence[str],
    top_n: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the EVAL table and the RAW table, their rows in the order of the pages given.

    Args:
        paths: PATH of each page.
        true: the label of each page.
        scores: (pages, labels), probabilities.
    """
    guesses = [top_guesses(row, top_n) for row in scores]
    table, raw = dataframe_results(
        [page.path for page in pages], guesses, labels, top_n, raw_scores=scores
    )
    assert raw is not None  # raw_scores were given
    # By the label columns, descending, so that pages of one category lie together.
    order = np.lexsort(-round_scores(scores).T[::-1])
    return table.assign(TRUE=list(true), PATH=paths), raw.assign(PATH=paths).iloc[order]


def write_table(table: pd.DataFrame, path: Path, form: TableForm) -> None:
    """Write a table as CSV, whole or not at all.

    Raises:
        PageSortError: the disk is full or gone.
    """
    content = io.StringIO()
    writer = TableWriter(content, form)
    for row in (table.columns, *table.itertuples(index=False, name=None)):
        writer.write(row)
    write_whole(path, content.getvalue().encode())


def failure_table(pages: Sequence[LabelledPage], rest: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Make the table of pages that could not be read; `rest` are its columns after FILE, PAGE."""
    import pandas as pd

    names = pd.DataFrame([page_name(page.path) for page in pages], columns=["FILE", "PAGE"])
    return names.assign(**rest)


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON that a person can read."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, shown(text).encode())
