"""From a journal to the finished CSV tables: names, order, and one row a page."""

from __future__ import annotations

import contextlib
import itertools
import os
import posixpath
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from pagesort.common.addresses import shown_place
from pagesort.common.errors import PageSortError
from pagesort.common.files import whole_text
from pagesort.common.pieces import UNDIVIDED, Division
from pagesort.common.tables import FAILED_ENDING, PLAIN, TableForm, TableWriter
from pagesort.common.text import shown
from utils import guess_columns, round_scores

# Some rows of a table as name -> cells of a column. Data frames would take most of the time.
Columns: TypeAlias = dict[str, Sequence[object]]
# PATHs, FILEs, PAGEs, float32 scores (rows, labels) and NOTEs of some pages.
Chunk: TypeAlias = tuple[list[str], list[str], list[str], np.ndarray, list[str]]

CHUNK_ROWS = 2000
ACCEPT, REVIEW = "ACCEPT", "REVIEW"  # in the column DECISION

# FILE as shown: the plain one, unless several documents have it. A document is a file of several
# pages, or the pages of one FILE in one folder; if such pages share a number, those of one ending.
NAMED = (
    "CREATE TEMP TABLE named AS SELECT idx, file, page, path, document(path, part) AS document "
    "FROM pages WHERE file IN (SELECT file FROM pages GROUP BY file "
    "HAVING count(DISTINCT document(path, part)) > 1 OR count(*) > count(DISTINCT page))"
)
PART_BY_ENDING = (
    "UPDATE named SET document = document || ending(path) WHERE (file, document) IN "
    "(SELECT file, document FROM named GROUP BY file, document HAVING count(*) > "
    "count(DISTINCT page))"
)
DOCUMENTS = (
    "CREATE TEMP TABLE documents AS SELECT file, document, in_folder(file, document) AS shown "
    "FROM (SELECT DISTINCT file, document FROM named) WHERE file IN (SELECT file FROM named "
    "GROUP BY file HAVING count(DISTINCT document) > 1)"
)
ADD_ENDINGS = (
    "UPDATE documents SET shown = with_ending(shown, document) WHERE shown IN "
    "(SELECT shown FROM documents GROUP BY shown HAVING count(*) > 1)"
)
NO_RENAMED = "CREATE TEMP TABLE renamed (idx INTEGER PRIMARY KEY, file TEXT NOT NULL)"
RENAMED = (
    NO_RENAMED,
    "INSERT INTO renamed SELECT idx, shown FROM named JOIN documents USING (file, document)",
)
SCORED = (
    "SELECT pages.path, coalesce(renamed.file, pages.file) AS shown, pages.page, scores.scores, "
    "scores.note FROM scores "
    "JOIN pages USING (idx) LEFT JOIN renamed USING (idx) ORDER BY "
)
FAILED = (
    "SELECT coalesce(renamed.file, pages.file) AS shown, pages.page, failures.reason, pages.path "
    "FROM failures JOIN pages USING (idx) LEFT JOIN renamed USING (idx) ORDER BY "
)
# The first guesses of a second model, where there is one.
SECOND = (
    "CREATE TABLE IF NOT EXISTS second "
    "(idx INTEGER PRIMARY KEY, label TEXT NOT NULL, score REAL NOT NULL)"
)
SECOND_GUESSES = (
    "SELECT second.label, second.score, coalesce(renamed.file, pages.file) AS shown FROM scores "
    "JOIN pages USING (idx) LEFT JOIN renamed USING (idx) LEFT JOIN second USING (idx) ORDER BY "
)
DIFFERS = "yes"  # in the column DISAGREE
# A page number is stored as text without leading zeros, so that no number is too large to sort.
BY_NAME = "shown, length(pages.page), pages.page, pages.path"


@dataclass(frozen=True)
class TableStyle:
    """How the tables of a run are written; `root` stands before PATH, which is relative else.

    `accepts` tells of a first guess and its score, as the table writes it, whether nobody needs to
    look; with it, the table of guesses has a column DECISION.
    """

    form: TableForm = PLAIN
    root: str = ""
    accepts: Callable[[str, float], bool] | None = None


def table_style(
    folder: Path,
    form: TableForm,
    absolute_paths: bool,
    accepts: Callable[[str, float], bool] | None = None,
) -> TableStyle:
    """How tables of pages in a folder are written; see `TableStyle`."""
    root = shown(f"{shown_place(folder).rstrip('/')}/") if absolute_paths else ""
    return TableStyle(form, root, accepts)


@dataclass(frozen=True)
class FinishedTables:
    """The tables of a finished run; `raw` and `failures` are None where there is none.

    `categories` counts the scored pages by their first guess, in label order. `stem` begins the
    names of what else is written beside them, and `folder` is that of the pages. `models` are those
    that voted. `to_review` counts the pages whose DECISION is to look at them, `differing` those on
    which a second model differs; each is None where the table has no such column. `division` tells
    of tables that several processes have written.
    """

    result: Path
    raw: Path | None
    failures: Path | None
    categories: dict[str, int]
    stem: str
    folder: Path
    models: tuple[Path, ...] = ()
    to_review: int | None = None
    differing: int | None = None
    division: Division = UNDIVIDED

    @property
    def documents(self) -> Path:
        """Where the table of documents is written."""
        return self.result.with_name(f"{self.stem}_DOCUMENTS.csv")


@dataclass(frozen=True)
class TableNames:
    """How the tables of one run are called; `date_time` may carry a number, `20260101-1200-2`."""

    folder: Path
    date_time: str
    base: str

    def result(self, top_n: int, max_categ: int) -> Path:
        """The table of guesses."""
        return self.folder / f"result_{self.date_time}_{self.base}_{top_n}n_{max_categ}c.csv"

    @property
    def stem(self) -> str:
        """How the names of the other tables begin."""
        return f"{self.date_time}_{self.base}"

    def raw(self) -> Path:
        """The table of all scores."""
        return self.folder / f"{self.stem}_RAW.csv"

    def failures(self) -> Path:
        """The table of pages that could not be read."""
        return self.folder / f"{self.stem}{FAILED_ENDING}"

    def lines(self) -> Path:
        """The table of the lines that were read."""
        return self.folder / f"{self.stem}_LINES.csv"

    def taken(self) -> bool:
        """Whether some table of an earlier run has one of these names."""
        result = f"result_{self.date_time}_{self.base}_"
        return (
            self.raw().exists()
            or self.failures().exists()
            or any(entry.name.startswith(result) for entry in os.scandir(self.folder))
        )


class SecondModel:
    """The guesses of a second model, in the order of the result table.

    Attributes:
        differing: on how many pages so far it differs from the first.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursor: sqlite3.Cursor | None = None
        self.differing = 0

    def beside(self, guesses: Sequence[object]) -> Columns:
        """The columns OTHER-CLASS, OTHER-SCORE and DISAGREE of the next rows, by their CLASS-1."""
        if self._cursor is None:
            self._cursor = self._connection.execute(SECOND_GUESSES + BY_NAME)
        rows = self._cursor.fetchmany(len(guesses)) if guesses else []
        labels = [row[0] for row in rows]
        differs = [
            DIFFERS if label is not None and label != first else ""
            for label, first in zip(labels, guesses, strict=True)
        ]
        self.differing += differs.count(DIFFERS)
        scores = round_scores([row[1] for row in rows]).tolist()
        return {"OTHER-CLASS": labels, "OTHER-SCORE": scores, "DISAGREE": differs}


def write_tables(
    connection: sqlite3.Connection,
    names: TableNames,
    labels: Sequence[str],
    top_n: int,
    max_categ: int,
    raw: bool,
    style: TableStyle,
    folder: Path,
) -> FinishedTables:
    """Write all tables of a run beside their final names, then move them there together.

    Rows stream from the journal, so that memory does not grow with the number of pages.

    Raises:
        OSError, sqlite3.Error: nothing but half-written temporary files was made, and those are
        removed.
        PageSortError: the journal's rows hold another number of scores than there are labels.
    """
    distinguish_documents(connection)
    categories: Counter[str] = Counter()
    decisions: Counter[str] = Counter()
    (others,) = connection.execute("SELECT count(*) FROM second").fetchone()
    second = SecondModel(connection) if others else None
    result, raw_path = names.result(top_n, max_categ), names.raw() if raw else None
    (failed,) = connection.execute("SELECT count(*) FROM failures").fetchone()
    failures_path = names.failures() if failed else None
    tables: dict[Path, Iterable[Columns]] = {
        result: _result_rows(connection, labels, top_n, style, categories, decisions, second),
    }
    if raw_path:
        tables[raw_path] = _raw_rows(connection, labels, style.root)
    if failures_path:
        tables[failures_path] = _failures(connection, style.root)
    with contextlib.ExitStack() as stack:
        for path, rows in tables.items():
            file = stack.enter_context(whole_text(path))
            _write(file, rows, style.form)
            file.flush()
            os.fsync(file.fileno())  # a full disk is told before the first gets its name
    if not failed:  # an earlier sitting of this run may have left one
        names.failures().unlink(missing_ok=True)
    counts = {label: categories[label] for label in labels}
    return FinishedTables(
        result,
        raw_path,
        failures_path,
        counts,
        names.stem,
        folder,
        to_review=None if style.accepts is None else decisions[REVIEW],
        differing=None if second is None else second.differing,
    )


def write_guesses(
    connection: sqlite3.Connection,
    result: Path,
    failures: Path,
    labels: Sequence[str],
    top_n: int,
    style: TableStyle,
) -> Counter[str]:
    """Write the table of guesses and that of failures of pages whose FILE is as it is shown.

    Returns:
        The pages by their first guess.
    """
    categories: Counter[str] = Counter()
    connection.execute(NO_RENAMED)
    rows = _result_rows(connection, labels, top_n, style, categories, Counter(), None)
    for path, pieces in ((result, rows), (failures, _failures(connection, style.root))):
        with path.open("w", encoding="utf-8", newline="") as file:
            _write(file, pieces, style.form)
    return categories


def write_raw(
    connection: sqlite3.Connection, raw: Path, labels: Sequence[str], style: TableStyle
) -> None:
    """Write the table of all scores of pages whose FILE is as it is shown."""
    connection.execute(NO_RENAMED)
    with raw.open("w", encoding="utf-8", newline="") as file:
        _write(file, _raw_rows(connection, labels, style.root), style.form)


def write_line_table(
    connection: sqlite3.Connection,
    names: TableNames,
    columns: Sequence[str],
    rows_of: Callable[[np.ndarray, str], Iterable[Sequence[object]]],
    style: TableStyle,
) -> tuple[Path, Path | None]:
    """Write the table of lines of a run, and that of its failed pages; see `RunJournal`.

    Raises:
        OSError, sqlite3.Error: neither table has been written.
    """
    distinguish_documents(connection)
    failures = list(_failures(connection, style.root))
    with whole_text(names.lines()) as file:
        writer = TableWriter(file, style.form)
        writer.write(columns)
        for path, name, page, scores, note in connection.execute(SCORED + BY_NAME):
            for cells in rows_of(np.frombuffer(scores, dtype="<f4"), note):
                writer.write((name, page, *cells, style.root + _shown(path)))
    if not failures[1:]:
        names.failures().unlink(missing_ok=True)
        return names.lines(), None
    with whole_text(names.failures()) as file:
        _write(file, failures, style.form)
    return names.lines(), names.failures()


def distinguish_documents(connection: sqlite3.Connection) -> None:
    """Put their folder before FILE where documents share it; those of one folder get endings.

    What FILE becomes is in the table `renamed` then, by the pages' numbers.
    """
    for name, arity, function in (
        ("document", 2, document_of),
        ("ending", 1, ending_of),
        ("in_folder", 2, _in_folder),
        ("with_ending", 2, _with_ending),
    ):
        connection.create_function(name, arity, function, deterministic=True)
    for table in ("named", "documents", "renamed"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
    for statement in (NAMED, PART_BY_ENDING, DOCUMENTS, ADD_ENDINGS, *RENAMED):
        connection.execute(statement)
    connection.commit()


def document_of(path: bytes, part: int | None) -> str:
    """What tells a page's document from others of its FILE: its folder, and for a file its ending.

    A line break parts the two, as no ending holds one.
    """
    shown = _shown(path)
    ending = "" if part is None else posixpath.splitext(shown)[1]  # noqa: PTH122 - for a million
    return f"{shown.rpartition('/')[0]}\n{ending}"


def ending_of(path: bytes) -> str:
    """The ending of a page's name, in small letters."""
    return posixpath.splitext(_shown(path))[1].lower()  # noqa: PTH122


def _in_folder(file: str, document: str) -> str:
    folder = document.rpartition("\n")[0]
    return f"{folder}/{file}" if folder else file


def _with_ending(shown: str, document: str) -> str:
    return shown + document.rpartition("\n")[2]


def _shown(path: bytes) -> str:
    """A stored path as text that any reader of UTF-8 takes."""
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        return os.fsdecode(path).encode("utf-8", "backslashreplace").decode("utf-8")


def _chunks(
    connection: sqlite3.Connection, order: str, labels: Sequence[str], root: str
) -> Iterator[Chunk]:
    """Yield the scored pages, some at a time."""
    cursor = connection.execute(SCORED + order)
    while rows := cursor.fetchmany(CHUNK_ROWS):
        stored, files, pages, scores, notes = map(list, zip(*rows, strict=True))
        yield [root + _shown(path) for path in stored], files, pages, _matrix(scores, labels), notes


def _write(file: IO[str], pieces: Iterable[Columns], form: TableForm) -> None:
    """Write the pieces of a table below one another, with the header of the first."""
    writer = TableWriter(file, form)
    for place, piece in enumerate(pieces):
        if place == 0:
            writer.write(piece)
        writer.write_columns(list(piece.values()))


def _result_rows(
    connection: sqlite3.Connection,
    labels: Sequence[str],
    top_n: int,
    style: TableStyle,
    categories: Counter[str],
    decisions: Counter[str],
    second: SecondModel | None,
) -> Iterator[Columns]:
    """Yield the table of guesses in pieces, the first one empty; counts guesses and decisions."""
    nothing: Chunk = ([], [], [], np.empty((0, len(labels)), np.float32), [])
    chunks = _chunks(connection, BY_NAME, labels, style.root)
    for paths, files, pages, scores, notes in itertools.chain([nothing], chunks):
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top_n]  # as `utils.top_guesses`
        values = np.take_along_axis(scores, best, axis=1)
        guesses = guess_columns(best.T.tolist(), values.T, labels)
        categories.update(guesses["CLASS-1"])
        others: Columns = {} if second is None else second.beside(guesses["CLASS-1"])
        decided = _decided(guesses, style)
        decisions.update(decided.get("DECISION", ()))
        table: Columns = {"FILE": files, "PAGE": pages, **guesses, **others, **decided}
        yield table | {"NOTE": notes, "PATH": paths}


def _decided(guesses: dict[str, list[Any]], style: TableStyle) -> dict[str, list[str]]:
    """The column DECISION of a table of guesses; none where nothing is decided."""
    if style.accepts is None:
        return {}
    first = zip(guesses["CLASS-1"], guesses["SCORE-1"], strict=True)
    return {"DECISION": [ACCEPT if style.accepts(*guess) else REVIEW for guess in first]}


def _raw_rows(
    connection: sqlite3.Connection, labels: Sequence[str], root: str
) -> Iterator[Columns]:
    """Yield the table of all scores in pieces, the first one empty."""
    yield {name: [] for name in ("FILE", "PAGE", *labels, "PATH")}
    connection.execute("DROP TABLE IF EXISTS temp.raw_keys")
    connection.execute("CREATE TEMP TABLE raw_keys (idx INTEGER PRIMARY KEY, key BLOB NOT NULL)")
    connection.executemany("INSERT INTO raw_keys VALUES (?, ?)", raw_keys(connection, labels))
    connection.commit()
    order = f"(SELECT key FROM raw_keys WHERE raw_keys.idx = scores.idx), {BY_NAME}"
    for paths, files, pages, scores, _ in _chunks(connection, order, labels, root):
        columns = dict(zip(labels, round_scores(scores).T.tolist(), strict=True))
        yield {"FILE": files, "PAGE": pages, **columns, "PATH": paths}


def raw_keys(connection: sqlite3.Connection, labels: Sequence[str]) -> Iterator[tuple[int, bytes]]:
    """Yield bytes for each page that sort as its rounded scores do, descending, column by column.

    Raises:
        PageSortError: a page has another number of scores than there are labels.
    """
    cursor = connection.execute("SELECT idx, scores FROM scores ORDER BY idx")
    while rows := cursor.fetchmany(CHUNK_ROWS):
        matrix = _matrix([scores for _, scores in rows], labels)
        thousandths = np.rint(round_scores(matrix) * 1000.0)
        keys = (30000 - thousandths).astype(">u2")
        yield from ((idx, key.tobytes()) for (idx, _), key in zip(rows, keys, strict=True))


def _matrix(scores: Sequence[bytes], labels: Sequence[str]) -> np.ndarray:
    """Stored scores as float32 (pages, labels)."""
    wrong = next((len(each) // 4 for each in scores if len(each) != 4 * len(labels)), None)
    if wrong is not None:
        raise PageSortError(f"The journal holds {wrong} scores a page, for {len(labels)} labels")
    return np.frombuffer(b"".join(scores), dtype="<f4").reshape(len(scores), len(labels))


def _failures(connection: sqlite3.Connection, root: str) -> Iterator[Columns]:
    """Yield the table of pages that could not be read in pieces, the first one empty."""
    yield {name: [] for name in ("FILE", "PAGE", "REASON", "PATH")}
    cursor = connection.execute(FAILED + BY_NAME)
    while rows := cursor.fetchmany(CHUNK_ROWS):
        files, pages, reasons, stored = map(list, zip(*rows, strict=True))
        paths = [root + _shown(path) for path in stored]
        yield {"FILE": files, "PAGE": pages, "REASON": reasons, "PATH": paths}
