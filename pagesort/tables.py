"""A run that survives a crash: the journal of its pages and scores, on disk batch by batch."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.errors import PageSortError
from pagesort.finished import FinishedTables, TableNames, write_tables
from pagesort.images import WHOLE, Failure, PageRef
from utils import page_name

__all__ = ["Counts", "FinishedTables", "RunJournal"]

logger = logging.getLogger(__name__)

JOURNAL_SUFFIX = ".partial.sqlite"
VERSION = 2  # of the journal's layout
NEW_LOCK_WAIT_S = 5.0  # others may look into a new journal, for milliseconds each
OLD_LOCK_WAIT_S = 0.2  # a journal that stays locked is in use
LARGEST_ATTEMPT = 10_000
# Journals of version 1 knew no documents of several pages.
UPGRADE = "ALTER TABLE pages ADD COLUMN part INTEGER"
KEPT = "What is scored is kept; free some space or reconnect the disk, and go on with --resume"
NO_SCORE = "the model gave no number for this page"

# A page's path, or of a document's page the path and its number (WHOLE: it cannot be opened).
Listed = str | tuple[str, int | None]

SCHEMA = (
    "CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Paths are bytes, as not all are text; page numbers are text, as some do not fit an integer.
    "CREATE TABLE pages "
    "(idx INTEGER PRIMARY KEY, path BLOB NOT NULL, file TEXT NOT NULL, page TEXT NOT NULL, "
    "part INTEGER)",
    "CREATE TABLE scores (idx INTEGER PRIMARY KEY, scores BLOB NOT NULL)",
    "CREATE TABLE failures (idx INTEGER PRIMARY KEY, reason TEXT NOT NULL)",
)


@dataclass(frozen=True)
class Counts:
    """How far a run is: pages listed, scored, failed, and those not looked at yet."""

    total: int
    scored: int
    failed: int

    @property
    def waiting(self) -> int:
        """Pages that are neither scored nor failed."""
        return self.total - self.scored - self.failed


class RunJournal:
    """One run over one folder, in one SQLite file that this process alone holds.

    The file is locked by the operating system for as long as it is open, so that no second process
    can go on with the same run, and a killed process leaves no lock behind. Use `create` or
    `open_for_resume`.

    Attributes:
        path: the journal's file.
        folder: the folder of pages, absolute.
        settings: what a resumed run must repeat.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, run: Mapping[str, Any]) -> None:
        self.path = path
        self.folder = Path(run["folder"])
        self.settings: dict[str, Any] = dict(run["settings"])
        self._names = TableNames(path.parent, run["date_time"], run["base"])
        self._connection = connection
        self._total, self._scored, self._failed = (
            int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
            for table in ("pages", "scores", "failures")
        )

    @classmethod
    def create(
        cls,
        tables_dir: str | Path,
        *,
        folder: str | Path,
        base: str,
        settings: Mapping[str, Any],
        listing: Iterable[Listed],
        now: datetime | None = None,
    ) -> RunJournal:
        """Start a run: reserve its table names and write down its settings and pages.

        Args:
            tables_dir: made where it is missing.
            folder: the folder of pages.
            base: the model's name in table names; letters that no file name takes become `-`.
            settings: JSON values; a resumed run must bring the same.
            listing: the pages' paths, relative to `folder`, with `/`, in the order in which they
                are scored; a page of a document as (path, its number).
            now: names the tables; by default the present minute.

        Raises:
            PageSortError: the folder cannot be written to, or the disk is full.
        """
        tables_dir, folder = Path(tables_dir), Path(folder).resolve()
        date_time = (now or datetime.now()).strftime("%Y%m%d-%H%M")
        base = re.sub(r"[^\w.+@-]+", "-", base).strip("-.") or "model"
        with _told(tables_dir, "The result tables cannot be written"):
            tables_dir.mkdir(parents=True, exist_ok=True)
            path, date_time = _reserve(tables_dir, date_time, base)
        run = {
            "version": VERSION,
            "folder": str(folder),
            "settings": dict(settings),
            "date_time": date_time,
            "base": base,
        }
        connection = None
        try:
            with _told(path, "The result tables cannot be written"):
                connection = _connect(path, NEW_LOCK_WAIT_S)
                _write_start(connection, run, folder, listing)
            return cls(path, connection, run)
        except BaseException:
            # Nothing is scored yet: a half-written listing is worth nothing, and holds a name.
            if connection is not None:
                connection.close()
            _remove(path)
            raise

    @classmethod
    def open_for_resume(
        cls, tables_dir: str | Path, *, folder: str | Path, settings: Mapping[str, Any]
    ) -> RunJournal:
        """Take up the newest interrupted run of a folder that had the same settings.

        Raises:
            PageSortError: there is none; or the interrupted ones had other settings, which are
                named; or a running process holds them.
        """
        folder = Path(folder).resolve()
        wanted = json.loads(json.dumps(dict(settings)))
        refusal: PageSortError | None = None
        with _told(Path(tables_dir), "The result tables cannot be read"):
            paths = _newest_first(Path(tables_dir))
        for path in paths:
            with _told(path, "The interrupted run cannot be taken up"):
                connection, run, problem = _open_existing(path)
            if connection is None or run is None:
                refusal = refusal or problem
                continue
            if Path(run["folder"]) == folder:
                differing = _differences(run["settings"], wanted)
                if not differing:
                    return cls(path, connection, run)
                refusal = PageSortError(
                    f"The interrupted run had other settings ({differing})",
                    where=path,
                    remedy="Give the same settings again, or leave out --resume to start a new run",
                )
            connection.close()
        raise refusal or PageSortError(
            f"There is no interrupted run of {folder}",
            where=tables_dir,
            remedy="Leave out --resume to start one",
        )

    def __enter__(self) -> RunJournal:
        """Hold the journal for a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let the journal go; what is recorded stays."""
        self.close()

    def close(self) -> None:
        """Close and unlock the file, which stays for `open_for_resume`."""
        self._connection.close()

    def counts(self) -> Counts:
        """How far the run is, pages of earlier sittings included."""
        return Counts(self._total, self._scored, self._failed)

    def batches(self, batch_size: int) -> Iterator[list[PageRef]]:
        """Yield the pages that are not scored, failed ones included, in batches.

        Batch k holds rows k*size to (k+1)*size-1 of the listing, less those that are scored, so
        that a page meets the same neighbours whether or not the run was interrupted.
        """
        query = (
            "SELECT p.idx, p.path, p.part FROM pages p LEFT JOIN scores s ON s.idx = p.idx "
            "WHERE p.idx >= ? AND p.idx < ? AND s.idx IS NULL ORDER BY p.idx"
        )
        for start in range(0, self._total, batch_size):
            rows = self._connection.execute(query, (start, start + batch_size)).fetchall()
            if rows:
                yield [
                    PageRef(index, self.folder / os.fsdecode(path), part)
                    for index, path, part in rows
                ]

    def record(
        self,
        scored: Iterable[tuple[int, Sequence[float] | np.ndarray]],
        failures: Iterable[Failure] = (),
    ) -> None:
        """Write one batch to the disk, all of it or nothing.

        Args:
            scored: (listing index, probabilities in label order); rows that hold no number count as
                failed.
            failures: pages that could not be read.

        Raises:
            PageSortError: the disk is full or gone; what was recorded before is kept.
        """
        rows, failed = [], [(failure.ref.index, _printable(failure.reason)) for failure in failures]
        for index, scores in scored:
            values = np.ascontiguousarray(scores, dtype="<f4")
            if np.isfinite(values).all():
                rows.append((int(index), values.tobytes()))
            else:
                failed.append((int(index), NO_SCORE))
        with (
            _told(self.path, "The scores cannot be written", KEPT),
            self._connection as connection,
        ):
            retried = connection.executemany(
                "DELETE FROM failures WHERE idx = ?", [(index,) for index, _ in rows + failed]
            ).rowcount
            connection.executemany("INSERT INTO scores VALUES (?, ?)", rows)
            connection.executemany("INSERT INTO failures VALUES (?, ?)", failed)
        self._scored += len(rows)
        self._failed += len(failed) - max(retried, 0)

    def failures(self) -> Iterator[tuple[str, str]]:
        """Yield (path relative to the folder, reason) of each failed page, in listing order."""
        query = "SELECT path, reason FROM failures JOIN pages USING (idx) ORDER BY idx"
        for path, reason in self._connection.execute(query):
            yield os.fsdecode(path), reason

    def count_new(self, listing: Iterable[Listed]) -> int:
        """How many pages of a fresh listing this run does not know; it goes on without them."""
        connection = self._connection
        connection.execute("DROP TABLE IF EXISTS temp.fresh")
        connection.execute(
            "CREATE TEMP TABLE fresh (path BLOB, part INTEGER, PRIMARY KEY (path, part)) "
            "WITHOUT ROWID"
        )
        rows = ((os.fsencode(path), _stored(part)) for path, part in map(_split, listing))
        connection.executemany("INSERT OR IGNORE INTO fresh VALUES (?, ?)", rows)
        connection.commit()
        query = (
            f"SELECT count(*) FROM fresh WHERE (path, part) NOT IN "
            f"(SELECT path, coalesce(part, {_stored(None)}) FROM pages)"
        )
        return int(connection.execute(query).fetchone()[0])

    def scored(self) -> Iterator[tuple[PageRef, np.ndarray]]:
        """Yield each scored page with its probabilities, float32 (labels,), in listing order."""
        query = "SELECT idx, path, part, scores FROM scores JOIN pages USING (idx) ORDER BY idx"
        for index, path, part, scores in self._connection.execute(query):
            page = PageRef(index, self.folder / os.fsdecode(path), part)
            yield page, np.frombuffer(scores, dtype="<f4")

    def finalise(
        self,
        labels: Sequence[str],
        top_n: int,
        max_categ: int,
        raw: bool = False,
        then: Callable[[], object] | None = None,
    ) -> FinishedTables:
        """Write the finished tables under their final names, then let the journal go.

        It is removed, unless pages could not be read: those `--resume` tries again, and then writes
        the same tables anew. `then` is called in between; if it fails, the journal is kept too.

        Raises:
            PageSortError: the tables cannot be written; the journal is kept, and `--resume` writes
                them.
        """
        with _told(self.path, "The finished tables cannot be written", KEPT):
            finished = write_tables(self._connection, self._names, labels, top_n, max_categ, raw)
        if then is not None:
            then()
        with _told(self.path, "The finished tables cannot be written", KEPT):
            self.close()
            if not self._failed:
                _remove(self.path)
        return finished


def _reserve(tables_dir: Path, date_time: str, base: str) -> tuple[Path, str]:
    """Make an empty journal of a name that is free for all tables too; with its date-time."""
    for attempt in range(1, LARGEST_ATTEMPT):
        numbered = date_time if attempt == 1 else f"{date_time}-{attempt}"
        path = tables_dir / f"{numbered}_{base}{JOURNAL_SUFFIX}"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        # Only now: another run removes its journal once its tables stand, so none appears unseen.
        if not TableNames(tables_dir, numbered, base).taken():
            return path, numbered
        path.unlink()
    raise PageSortError("There is no free table name for this minute", where=tables_dir)


def _connect(path: Path, wait_s: float) -> sqlite3.Connection:
    """Open a journal and lock it until the connection is closed or its process ends."""
    connection = sqlite3.connect(path, timeout=wait_s)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN EXCLUSIVE")
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _write_start(
    connection: sqlite3.Connection, run: Mapping[str, Any], folder: Path, listing: Iterable[Listed]
) -> None:
    """Write a new run's settings and pages in one transaction: all of them or none."""
    connection.execute("BEGIN")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO run VALUES (?, ?)", [(key, json.dumps(value)) for key, value in run.items()]
    )
    root = str(folder)
    connection.executemany(
        "INSERT INTO pages VALUES (?, ?, ?, ?, ?)",
        (
            (index, os.fsencode(path), *_named(f"{root}/{path}", part), part)
            for index, (path, part) in enumerate(map(_split, listing))
        ),
    )
    connection.commit()


def _split(listed: Listed) -> tuple[str, int | None]:
    """A listed page as its path and its number in a document."""
    return (listed, None) if isinstance(listed, str) else listed


def _stored(part: int | None) -> int:
    """A page's number in its document for a comparison, in which NULL equals nothing."""
    return -1 if part is None else part


def _named(path: str, part: int | None) -> tuple[str, str]:
    """FILE and PAGE: by its own name, or in a document that document's name and its number."""
    if part is None:
        file, page = page_name(path)
        return file, str(page)
    file = Path(path).stem.encode("utf-8", "backslashreplace").decode("utf-8")
    return file, "" if part == WHOLE else str(part)


def _newest_first(tables_dir: Path) -> list[Path]:
    if not tables_dir.is_dir():
        return []
    ages: list[tuple[int, str]] = []
    for path in tables_dir.iterdir():
        if path.name.endswith(JOURNAL_SUFFIX):
            with contextlib.suppress(FileNotFoundError):  # another run has just finished
                ages.append((path.stat().st_mtime_ns, path.name))
    return [tables_dir / name for _, name in sorted(ages, reverse=True)]


def _open_existing(
    path: Path,
) -> tuple[sqlite3.Connection | None, dict[str, Any] | None, PageSortError | None]:
    """Lock and read a journal: (connection, run, None), or (None, None, why not)."""
    if not path.exists():  # its run has just finished; connecting would make a new file
        return None, None, None
    try:
        connection = _connect(path, OLD_LOCK_WAIT_S)
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        return None, None, _refusal("Another process is working on this run", path)
    except sqlite3.DatabaseError as error:
        return None, None, _refusal(f"The journal of an interrupted run is damaged ({error})", path)
    problem = None
    try:
        rows = connection.execute("SELECT key, value FROM run").fetchall()
        run = {key: json.loads(value) for key, value in rows}
        if run["version"] == 1:
            _upgrade(connection, run)
        if run["version"] == VERSION:
            return connection, run, None
        problem = _refusal("The interrupted run is of another version of this program", path)
    except sqlite3.OperationalError as error:
        logger.debug("%s holds no run: %s", path, error)  # killed before its listing was complete
    except (sqlite3.DatabaseError, ValueError, KeyError) as error:
        problem = _refusal(f"The journal of an interrupted run is damaged ({error})", path)
    connection.close()
    return None, None, problem


def _upgrade(connection: sqlite3.Connection, run: dict[str, Any]) -> None:
    """Bring a journal of an earlier version up to date."""
    connection.execute("BEGIN")
    connection.execute(UPGRADE)
    connection.execute("UPDATE run SET value = ? WHERE key = 'version'", (json.dumps(VERSION),))
    connection.commit()
    run["version"] = VERSION


def _refusal(what: str, path: Path) -> PageSortError:
    return PageSortError(what, where=path, remedy="Leave out --resume to start a new run")


def _differences(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Name the settings that differ, as `top_N: then 3, now 1`; empty where none do."""
    return "; ".join(
        f"{key}: then {_short(saved.get(key))}, now {_short(wanted.get(key))}"
        for key in sorted(saved.keys() | wanted.keys())
        if saved.get(key) != wanted.get(key)
    )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:12] + "…" if re.fullmatch(r"[0-9a-f]{32,}", text) else text


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _remove(path: Path) -> None:
    """Remove a journal with whatever SQLite keeps beside it."""
    for name in (path.name, f"{path.name}-journal"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(name).unlink()


@contextlib.contextmanager
def _told(where: Path, what: str, remedy: str | None = None) -> Iterator[None]:
    """Turn what the disk or SQLite reports into one line for a person."""
    try:
        yield
    except sqlite3.Error as error:
        raise PageSortError(
            f"{what} ({error})", where=where, remedy=remedy or _remedy(error)
        ) from error
    except OSError as error:
        where = Path(error.filename) if isinstance(error.filename, str) else where
        reason = (error.strerror or str(error)).lower()
        raise PageSortError(
            f"{what} ({reason})", where=where, remedy=remedy or _remedy(error)
        ) from error


def _remedy(error: sqlite3.Error | OSError) -> str:
    if "full" in str(error) or "space" in str(error):
        return "Free some space, or let [OUTPUT] FOLDER_RESULTS name a folder on another disk"
    return "Let [OUTPUT] FOLDER_RESULTS name a folder that you may write to"
