"""From a journal to the finished CSV tables: names, order, and one row a page."""

from __future__ import annotations

import contextlib
import csv
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from pagesort.common.errors import PageSortError
from utils import dataframe_results, round_scores, top_guesses

CHUNK_ROWS = 2000

# FILE as shown: the plain one, unless two pages would share it and PAGE.
RENAMED = (
    "CREATE TEMP TABLE renamed (idx INTEGER PRIMARY KEY, file TEXT NOT NULL, page TEXT NOT NULL)"
)
COLLIDING = (
    "SELECT idx, path, file, page FROM pages JOIN "
    "(SELECT file, page FROM pages GROUP BY file, page HAVING count(*) > 1) USING (file, page)"
)
RENAME_AGAIN = (
    "UPDATE renamed SET file = (SELECT shown(path) FROM pages WHERE pages.idx = renamed.idx) "
    "WHERE idx IN (SELECT idx FROM renamed JOIN "
    "(SELECT file, page FROM renamed GROUP BY file, page HAVING count(*) > 1) USING (file, page))"
)
SCORED = (
    "SELECT pages.path, coalesce(renamed.file, pages.file) AS shown, pages.page, scores.scores "
    "FROM scores "
    "JOIN pages USING (idx) LEFT JOIN renamed USING (idx) ORDER BY "
)
FAILED = (
    "SELECT coalesce(renamed.file, pages.file) AS shown, pages.page, pages.path, failures.reason "
    "FROM failures JOIN pages USING (idx) LEFT JOIN renamed USING (idx) ORDER BY "
)
# A page number is stored as text without leading zeros, so that no number is too large to sort.
BY_NAME = "shown, length(pages.page), pages.page, pages.path"


@dataclass(frozen=True)
class FinishedTables:
    """The tables of a finished run; `raw` and `failures` are None where there is none.

    `categories` counts the scored pages by their first guess, in label order.
    """

    result: Path
    raw: Path | None
    failures: Path | None
    categories: dict[str, int]


@dataclass(frozen=True)
class TableNames:
    """How the tables of one run are called; `date_time` may carry a number, `20260101-1200-2`."""

    folder: Path
    date_time: str
    base: str

    def result(self, top_n: int, max_categ: int) -> Path:
        """The table of guesses."""
        return self.folder / f"result_{self.date_time}_{self.base}_{top_n}n_{max_categ}c.csv"

    def raw(self) -> Path:
        """The table of all scores."""
        return self.folder / f"{self.date_time}_{self.base}_RAW.csv"

    def failures(self) -> Path:
        """The table of pages that could not be read."""
        return self.folder / f"{self.date_time}_{self.base}_FAILED.csv"

    def taken(self) -> bool:
        """Whether some table of an earlier run has one of these names."""
        result = f"result_{self.date_time}_{self.base}_"
        return (
            self.raw().exists()
            or self.failures().exists()
            or any(entry.name.startswith(result) for entry in os.scandir(self.folder))
        )


def write_tables(
    connection: sqlite3.Connection,
    names: TableNames,
    labels: Sequence[str],
    top_n: int,
    max_categ: int,
    raw: bool,
) -> FinishedTables:
    """Write all tables of a run beside their final names, then move them there together.

    Rows stream from the journal, so that memory does not grow with the number of pages.

    Raises:
        OSError, sqlite3.Error: nothing but half-written temporary files was made, and those are
        removed.
        PageSortError: the journal's rows hold another number of scores than there are labels.
    """
    _rename_collisions(connection)
    categories: Counter[str] = Counter()
    result, raw_path = names.result(top_n, max_categ), names.raw() if raw else None
    (failed,) = connection.execute("SELECT count(*) FROM failures").fetchone()
    failures_path = names.failures() if failed else None
    writers: dict[Path, Callable[[IO[str]], None]] = {
        result: lambda file: _write_result(connection, file, labels, top_n, categories)
    }
    if raw_path:
        writers[raw_path] = lambda file: _write_raw(connection, file, labels)
    if failures_path:
        writers[failures_path] = lambda file: _write_failures(connection, file)
    temporary = {path: path.with_name(f".{path.name}.tmp") for path in writers}
    try:
        for path, write in writers.items():
            with temporary[path].open("w", encoding="utf-8", newline="") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        for path, written in temporary.items():
            written.replace(path)
        if not failed:  # an earlier sitting of this run may have left one
            names.failures().unlink(missing_ok=True)
        _sync_folder(names.folder)
    finally:
        for written in temporary.values():
            with contextlib.suppress(OSError):
                written.unlink()
    counts = {label: categories[label] for label in labels}
    return FinishedTables(result, raw_path, failures_path, counts)


def _sync_folder(folder: Path) -> None:
    """Make renames last through a power cut, where folders can be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _rename_collisions(connection: sqlite3.Connection) -> None:
    """Tell pages of one FILE and PAGE apart: by their folder, or else by their whole path."""
    connection.execute("DROP TABLE IF EXISTS temp.renamed")
    connection.execute(RENAMED)
    rows = connection.execute(COLLIDING)
    connection.executemany(
        "INSERT INTO renamed VALUES (?, ?, ?)",
        ((index, _in_folder(_shown(path), file), page) for index, path, file, page in rows),
    )
    connection.create_function("shown", 1, _shown, deterministic=True)
    connection.execute(RENAME_AGAIN)
    connection.commit()


def _in_folder(path: str, file: str) -> str:
    folder = PurePosixPath(path).parent.as_posix()
    return file if folder == "." else f"{folder}/{file}"


def _shown(path: bytes) -> str:
    """A stored path as text that any reader of UTF-8 takes."""
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode("utf-8")


def _chunks(
    connection: sqlite3.Connection, order: str, labels: Sequence[str]
) -> Iterator[tuple[list[str], list[str], list[str], np.ndarray]]:
    """Yield (paths, shown FILEs, PAGEs, float32 scores (rows, labels)) of some pages at a time."""
    cursor = connection.execute(SCORED + order)
    while rows := cursor.fetchmany(CHUNK_ROWS):
        scores = [np.frombuffer(row[3], dtype="<f4") for row in rows]
        wrong = next((len(each) for each in scores if len(each) != len(labels)), None)
        if wrong is not None:
            raise PageSortError(
                f"The journal holds {wrong} scores a page, for {len(labels)} labels"
            )
        paths = [os.fsdecode(row[0]) for row in rows]
        yield paths, [row[1] for row in rows], [row[2] for row in rows], np.stack(scores)


def _write_result(
    connection: sqlite3.Connection,
    file: IO[str],
    labels: Sequence[str],
    top_n: int,
    categories: Counter[str],
) -> None:
    table, _ = dataframe_results([], [], labels, top_n)
    table.to_csv(file, index=False, lineterminator="\n")
    for paths, files, pages, scores in _chunks(connection, BY_NAME, labels):
        guesses = [top_guesses(row, top_n) for row in scores]
        table, _ = dataframe_results(paths, guesses, labels, top_n)
        table["FILE"], table["PAGE"] = files, pages
        table.to_csv(file, index=False, header=False, lineterminator="\n")
        categories.update(table["CLASS-1"])


def _write_raw(connection: sqlite3.Connection, file: IO[str], labels: Sequence[str]) -> None:
    connection.create_function("raw_key", 1, _raw_key, deterministic=True)
    empty = np.empty((0, len(labels)))
    _, table = dataframe_results([], [], labels, 1, raw_scores=empty)
    table.to_csv(file, index=False, lineterminator="\n")
    for paths, files, pages, scores in _chunks(
        connection, f"raw_key(scores.scores), {BY_NAME}", labels
    ):
        best = scores.argmax(axis=1)
        _, table = dataframe_results(paths, best, labels, 1, raw_scores=scores)
        table["FILE"], table["PAGE"] = files, pages
        table.to_csv(file, index=False, header=False, lineterminator="\n")


def _raw_key(scores: bytes) -> bytes:
    """Bytes that sort as the rounded scores do, column after column, descending."""
    thousandths = np.rint(round_scores(np.frombuffer(scores, dtype="<f4")) * 1000.0)
    return (30000 - thousandths).astype(">u2").tobytes()


def _write_failures(connection: sqlite3.Connection, file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["FILE", "PAGE", "PATH", "REASON"])
    for shown, page, path, reason in connection.execute(FAILED + BY_NAME):
        writer.writerow([shown, page, _shown(path), reason])
