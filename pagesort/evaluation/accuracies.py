"""The tables of models and description sets under `stats/`: one row each, and their plots."""

from __future__ import annotations

import contextlib
import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from pagesort.common.errors import PageSortError
from pagesort.common.files import locked, translate_unreadable, write_whole
from pagesort.common.text import shown
from pagesort.evaluation import plots
from pagesort.evaluation.files import written

TABLE = "model_accuracies.csv"
ZERO_TABLE = "model_accuracies_zero.csv"
COLUMNS = (
    *("MODEL", "BASE", "REVISION", "DESCRIPTIONS", "AVERAGED", "FOLDER", "PART", "PAGES"),
    *("DOCUMENTS", "LABELS", "TOP-1", "TOP-1-LOW", "TOP-1-HIGH", "TOP-3", "MACRO-F1", "ECE"),
    *("TEMPERATURE", "DATE", "PAGE-SET"),
)
PLACES = 4  # of every share
# Added to PART where a model was trained on every page: such figures compare with no others.
REMEMBERED = ", all of them trained on"
# Added to PART where pages were left out for all models, as one of them was trained on them.
SHARED = ", without those that a compared model was trained on"
LOCK_WAIT_S = 60.0
REMEDY = "Mend or remove the file; --eval and --eval_dir write it anew"


@dataclass(frozen=True)
class Row:
    """One model with one set of descriptions on one folder's pages; shares lie in 0..1.

    `averaged` is True where several descriptions of a label were averaged. `date` is the date-time
    that the evaluation's files carry in their names. `page_set` stands for the pages scored: only
    figures of one set compare.
    """

    model: str
    base: str
    revision: str
    descriptions: str
    averaged: bool
    folder: str
    part: str
    pages: int
    documents: int
    labels: int
    top_1: float
    top_1_low: float
    top_1_high: float
    top_3: float
    macro_f1: float
    ece: float
    temperature: float
    date: str
    page_set: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What a new evaluation must share with an old one to take its place."""
        return (self.model, self.descriptions, str(self.averaged), self.folder, self.part)


def record(stats: Path, rows: Sequence[Row], *, zero_shot: bool) -> Path:
    """Put rows into the table of trained or of untouched models, over those of the same key.

    Other processes that do so at the same time wait for each other.

    Raises:
        PageSortError: the table is damaged, or cannot be written.
    """
    path = stats / (ZERO_TABLE if zero_shot else TABLE)
    with written(path):
        stats.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        kept = {row.key: row for row in read_rows(path)} if path.exists() else {}
        for row in rows:
            kept[row.key] = row
        ordered = sorted(kept.values(), key=lambda row: (row.folder, row.part, -row.top_1, row.key))
        content = io.StringIO()
        writer = csv.writer(content, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(_cells, ordered))
        write_whole(path, shown(content.getvalue()).encode())
    return path


def read_rows(path: Path) -> list[Row]:
    """Read a table back, in its order.

    Raises:
        PageSortError: it cannot be read, or a cell holds what it cannot.
    """
    faults = (ValueError, csv.Error)
    with translate_unreadable(path, "the table of accuracies cannot be read", REMEDY, faults):
        reader = csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""))
        # A table of an earlier version has all columns but the last.
        missing = [column for column in COLUMNS[:-1] if column not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"no column {', '.join(missing)}")
        return [_row(cells) for cells in reader]


def check_tables(stats: Path) -> None:
    """Read both tables, as far as there are any, before hours are spent on rows for them.

    Raises:
        PageSortError: a table is damaged.
    """
    for name in (TABLE, ZERO_TABLE):
        if (stats / name).exists():
            read_rows(stats / name)


def redraw(stats: Path, folder: Path | None = None) -> tuple[Path, ...]:
    """Draw the plots of both tables from their files alone, over earlier ones.

    Args:
        stats: where the tables lie.
        folder: where the plots go; by default beside the tables.

    Returns:
        The plots, one a table.

    Raises:
        PageSortError: there is no table, one is damaged, or the plots cannot be written.
    """
    drawn = []
    for name in (TABLE, ZERO_TABLE):
        table = stats / name
        if table.exists():
            plot = (folder or stats) / f"{table.stem}.png"
            with written(plot):
                plots.accuracy_bars(read_rows(table), plot, zero_shot=name == ZERO_TABLE)
            drawn.append(plot)
    if not drawn:
        raise PageSortError(
            "there is no table of accuracies to draw",
            where=stats,
            remedy="Evaluate models first, with --eval or --eval_dir",
        )
    return tuple(drawn)


def _cells(row: Row) -> list[Any]:
    cells = []
    for value in astuple(row):
        if isinstance(value, bool):
            value = "yes" if value else "no"
        cells.append(f"{value:.{PLACES}f}" if isinstance(value, float) else value)
    return cells


def _row(cells: dict[str, str]) -> Row:
    values: dict[str, Any] = {}
    readers: dict[str, Callable[[str], object]] = {"int": int, "float": _finite, "str": str}
    for column, field in zip(COLUMNS, fields(Row), strict=True):
        text = cells.get(column) or ""
        try:
            if field.type == "bool":
                values[field.name] = {"yes": True, "no": False}[text]
            else:
                values[field.name] = readers[str(field.type)](text)
        except (ValueError, KeyError):
            raise ValueError(f"{column} is '{text}'") from None
    return Row(**values)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the table alone, by a lock that the system lets go if this process is killed."""
    busy = "another evaluation writes the table of accuracies"
    with locked(path.with_name(f".{path.stem}.lock"), path, busy, wait_s=LOCK_WAIT_S):
        yield
