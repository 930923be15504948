"""The tables of gathered pages: pieces of them by several processes, then one below the other."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.common.workers import Workers
from pagesort.prediction.gathering import Plan, attached, open_piece, start_piece
from pagesort.prediction.result_tables import (
    TableStyle,
    distinguish_documents,
    raw_keys,
    write_guesses,
    write_raw,
)

SAMPLED = 1000  # of so many rows one says where the tables can be cut

UnclearTask = tuple[Plan, int]
SortTask = tuple["TablePlan", int]
Bounds = tuple[Any, Any]  # the first key of a piece of a table, and that of the next piece


@dataclass(frozen=True)
class TablePlan:
    """How the tables are written."""

    plan: Plan
    labels: tuple[str, ...]
    top_n: int
    style: TableStyle


@dataclass(frozen=True)
class Samples:
    """Some keys of a piece of the listing in the order of each table, its first and last too."""

    files: list[str]
    scores: list[bytes]


@dataclass(frozen=True)
class TableTask:
    """A piece of a table: its number, where it lies, and which pieces of the listing it is from."""

    tables: TablePlan
    number: int
    bounds: Bounds
    sources: tuple[int, ...]
    is_raw: bool

    @property
    def result(self) -> Path:
        """The piece of the table of guesses, or of all scores."""
        kind = "raw" if self.is_raw else "result"
        return self.tables.plan.scratch / f"{kind}-{self.number}.csv"

    @property
    def failures(self) -> Path:
        """The piece of the table of pages that could not be read."""
        return self.tables.plan.scratch / f"failures-{self.number}.csv"


@dataclass(frozen=True)
class Pieces:
    """The finished pieces of the tables, in order; the first one of each is its header only."""

    results: list[Path]
    raws: list[Path]
    failures: list[Path]
    categories: Counter[str]


def find_names(plan: Plan, pieces: Sequence[int], workers: Workers) -> None:
    """Find what FILE is shown as, of all documents that share it with another one.

    Each document is looked at by one of its pages. Only where files of one name and folder differ
    in kind, all of their pages are, as they may share numbers.
    """
    with contextlib.closing(open_piece(plan.names)) as connection:
        connection.execute(
            "CREATE TABLE found (file TEXT, folder TEXT, document TEXT, ending TEXT, path BLOB, "
            "page TEXT, part INTEGER)"
        )
        for number in pieces:
            with attached(connection, plan.piece(number), "piece"):
                connection.execute(
                    "INSERT INTO found SELECT file, folder, document, ending, path, page, part "
                    "FROM piece.documents"
                )
        connection.execute("CREATE INDEX by_file ON found (file, folder, document, ending)")
        connection.execute(
            "CREATE TABLE unclear AS SELECT file, folder FROM (SELECT DISTINCT file, folder, "
            "document, ending FROM found) GROUP BY file, folder HAVING count(*) > 1"
        )
        connection.execute("CREATE UNIQUE INDEX by_name ON unclear (file, folder)")
        connection.execute(
            "CREATE TEMP TABLE pages (idx INTEGER PRIMARY KEY, path BLOB, file TEXT, page TEXT, "
            "part INTEGER)"
        )
        insert = "INSERT INTO temp.pages (path, file, page, part) "
        connection.execute(
            f"{insert} SELECT min(path), file, page, part FROM found WHERE (file, folder) NOT IN "
            "(SELECT file, folder FROM unclear) GROUP BY file, folder, document, ending"
        )
        connection.commit()
        if connection.execute("SELECT 1 FROM unclear").fetchone():
            for rows in workers.in_order(unclear_pages, ((plan, number) for number in pieces)):
                connection.executemany(f"{insert} VALUES (?, ?, ?, ?)", rows)
        distinguish_documents(connection)
        connection.execute(
            "CREATE TABLE shown (file TEXT, document TEXT, ending TEXT, shown TEXT, "
            "PRIMARY KEY (file, document, ending)) WITHOUT ROWID"
        )
        connection.execute(
            "INSERT OR IGNORE INTO shown SELECT pages.file, document(path, part), ending(path), "
            "renamed.file FROM pages JOIN renamed USING (idx) WHERE renamed.file != pages.file"
        )
        connection.commit()


def unclear_pages(task: UnclearTask) -> list[tuple[bytes, str, str, int | None]]:
    """The pages of a piece whose documents the names of others decide on."""
    plan, number = task
    with (
        contextlib.closing(open_piece(plan.piece(number))) as connection,
        attached(connection, plan.names, "names"),
    ):
        query = "SELECT id FROM documents JOIN names.unclear USING (file, folder)"
        unclear = [document for (document,) in connection.execute(query)]
        pages, documents = np.load(plan.members(number))
        query = "SELECT path, file, page, part FROM pages WHERE idx = ?"
        return [
            connection.execute(query, (idx,)).fetchone()
            for idx in pages[np.isin(documents, unclear)].tolist()
        ]


def sort_piece(task: SortTask) -> Samples:
    """Say how the keys of a piece of the listing are spread; those of scores are written, too."""
    tables, number = task
    plan = tables.plan
    shown, (_, documents) = _shown_documents(plan, number), np.load(plan.members(number))
    files = sorted(shown[document] for document in documents.tolist())
    if not plan.raw:
        return Samples(_sampled(files), [])
    with contextlib.closing(open_piece(plan.piece(number))) as connection:
        keys = sorted((key, idx) for idx, key in raw_keys(connection, tables.labels))
        connection.execute(
            "CREATE TABLE raw (key BLOB, idx INTEGER, PRIMARY KEY (key, idx)) WITHOUT ROWID"
        )
        connection.executemany("INSERT INTO raw VALUES (?, ?)", keys)
        connection.commit()
    return Samples(_sampled(files), _sampled([key for key, _ in keys]))


def _sampled(keys: list[Any]) -> list[Any]:
    return [*keys[::SAMPLED], *keys[-1:]]


def _shown_documents(plan: Plan, number: int) -> list[str]:
    """FILE as it is shown of the documents of a piece, by their numbers."""
    with (
        contextlib.closing(open_piece(plan.piece(number))) as connection,
        attached(connection, plan.names, "names"),
    ):
        query = (
            "SELECT coalesce(shown, file) FROM documents LEFT JOIN names.shown "
            "USING (file, document, ending) ORDER BY id"
        )
        return [shown for (shown,) in connection.execute(query)]


def write_pieces(tables: TablePlan, pieces: Sequence[int], size: int, workers: Workers) -> Pieces:
    """Write all tables in pieces of some `size` rows, each of whole documents."""
    plan = tables.plan
    samples = list(workers.in_order(sort_piece, ((tables, number) for number in pieces)))
    step = max(1, size // SAMPLED)
    tasks = [*_tasks(tables, pieces, [each.files for each in samples], step, is_raw=False)]
    if plan.raw:
        tasks += _tasks(tables, pieces, [each.scores for each in samples], step, is_raw=True)
    categories: Counter[str] = Counter()
    for counted in workers.in_order(write_piece, tasks):
        categories.update(counted)
    guesses = [task for task in tasks if not task.is_raw]
    return Pieces(
        [task.result for task in guesses],
        [task.result for task in tasks if task.is_raw],
        [task.failures for task in guesses],
        categories,
    )


def _tasks(
    tables: TablePlan, pieces: Sequence[int], samples: Sequence[list[Any]], step: int, is_raw: bool
) -> Iterator[TableTask]:
    """Cut a table where samples say; the first piece is empty."""
    every = sorted(itertools.chain.from_iterable(samples))
    cuts = sorted(set(every[step::step]))
    lowest: Any = b"" if is_raw else ""
    yield TableTask(tables, 0, (lowest, lowest), (), is_raw)
    for number, (low, high) in enumerate(zip([lowest, *cuts], [*cuts, None], strict=True), 1):
        sources = tuple(
            piece
            for piece, keys in zip(pieces, samples, strict=True)
            if keys and keys[-1] >= low and (high is None or keys[0] < high)
        )
        yield TableTask(tables, number, (low, high), sources, is_raw)


def write_piece(task: TableTask) -> Counter[str]:
    """Write a piece of the table of guesses and that of failures, or of all scores."""
    tables = task.tables
    path = tables.plan.scratch / f"{task.result.stem}.sqlite"
    with contextlib.closing(open_piece(path)) as connection:
        start_piece(connection)
        connection.execute("CREATE TEMP TABLE ours (idx INTEGER PRIMARY KEY, file TEXT NOT NULL)")
        for number in task.sources:
            _copy_range(connection, task, number)
        if task.is_raw:
            write_raw(connection, task.result, tables.labels, tables.style)
            counted: Counter[str] = Counter()
        else:
            counted = write_guesses(
                connection, task.result, task.failures, tables.labels, tables.top_n, tables.style
            )
    path.unlink()
    return counted


def _copy_range(connection: sqlite3.Connection, task: TableTask, number: int) -> None:
    """Copy the pages of a piece of a table from one of the listing."""
    plan = task.tables.plan
    shown, (pages, documents) = _shown_documents(plan, number), np.load(plan.members(number))
    low, high = task.bounds
    with attached(connection, plan.piece(number), "piece"):
        if task.is_raw:
            where = "key >= ?" if high is None else "key >= ? AND key < ?"
            values = (low,) if high is None else (low, high)
            found = connection.execute(f"SELECT idx FROM piece.raw WHERE {where}", values)
            chosen = np.searchsorted(pages, [idx for (idx,) in found])
        else:
            is_inside = [low <= name and (high is None or name < high) for name in shown]
            chosen = np.flatnonzero(np.array(is_inside, bool)[documents])
        files = (shown[document] for document in documents[chosen].tolist())
        connection.execute("DELETE FROM ours")
        connection.executemany(
            "INSERT INTO ours VALUES (?, ?)", zip(pages[chosen].tolist(), files, strict=True)
        )
        tables = {"pages": "path, ours.file, page, part", "scores": "scores, note"}
        for table, columns in (tables if task.is_raw else tables | {"failures": "reason"}).items():
            connection.execute(
                f"INSERT INTO main.{table} SELECT idx, {columns} FROM ours "
                f"JOIN piece.{table} USING (idx)"
            )


def has_rows(pieces: Iterable[Path]) -> bool:
    """Whether pieces of a table hold more than its header."""
    first, *others = (piece.stat().st_size for piece in pieces)
    return any(size > first for size in others)
