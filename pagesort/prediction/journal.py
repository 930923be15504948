"""A run that survives a crash: the journal of its pages and scores, on disk batch by batch."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pagesort.common.addresses import resolved
from pagesort.common.closing import Closing
from pagesort.common.errors import PageSortError
from pagesort.common.tables import PLAIN, TableForm
from pagesort.common.text import shown
from pagesort.pages.loader import WHOLE, Failure, PageRef
from pagesort.prediction.journal_files import (
    FINISHED_SUFFIX,
    JOURNAL_SUFFIX,
    KEPT,
    VERSION,
    connect,
    differences,
    newest_first,
    open_existing,
    put_away,
    remove,
    reserve_journal,
    take_out,
    translate_faults,
    translate_reading,
    write_ahead,
    write_start,
)
from pagesort.prediction.listing import Listed, Stored, compared, hashes, names_of, what_holds
from pagesort.prediction.result_tables import (
    SECOND,
    FinishedTables,
    TableNames,
    TableStyle,
    table_style,
    write_line_table,
    write_tables,
)
from pagesort.prediction.scoring import ScoredPage

__all__ = ["FINISHED_SUFFIX", "JOURNAL_SUFFIX", "Counts", "FinishedTables", "RunJournal"]

logger = logging.getLogger(__name__)

MINUTE = "%Y%m%d-%H%M"  # in the names of tables
NEW_LOCK_WAIT_S = 5.0  # others may look into a new journal, for milliseconds each
SYNC_INTERVAL_S = 5.0  # what a power cut may cost at most; a killed process loses nothing
GONE = "The journal of the run was removed while it ran, so nothing is kept: start it again"


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


class RunJournal(Closing):
    """One run over one folder, in one SQLite file that this process alone holds.

    The file is locked by the operating system for as long as it is open, so that no second process
    can go on with the same run, and a killed process leaves no lock behind. Use `create` or
    `open_for_resume`.

    Attributes:
        path: the journal's file.
        folder: the folder of pages, absolute.
        settings: what a resumed run must repeat.
        names: how its tables are called.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, run: Mapping[str, Any]) -> None:
        self.path = path
        self.folder = Path(run["folder"])
        self.settings: dict[str, Any] = dict(run["settings"])
        self.names = TableNames(path.parent, run["date_time"], run["base"])
        self._connection = connection
        with translate_reading(path):
            # Pages are numbered from 0 without gaps, so that a million of them need not be counted.
            self._total, self._scored, self._failed = (
                int(connection.execute(f"SELECT {number} FROM {table}").fetchone()[0])
                for number, table in (
                    ("coalesce(max(idx) + 1, 0)", "pages"),
                    ("count(*)", "scores"),
                    ("count(*)", "failures"),
                )
            )
        with translate_faults(path, "The scores cannot be written"):
            connection.execute(SECOND)  # earlier versions knew no second model
            self._is_ahead = write_ahead(connection)
        self._synced = -SYNC_INTERVAL_S  # the first batch is brought to the disk

    @classmethod
    def create(
        cls,
        tables_dir: str | Path,
        *,
        folder: str | Path,
        base: str,
        settings: Mapping[str, Any],
        listing: Iterable[Listed],
        labels: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        now: datetime | None = None,
    ) -> RunJournal:
        """Start a run: reserve its table names and write down its settings and pages.

        Each page gets its FILE and PAGE, by `listing.names_of`; documents that share FILE are told
        apart when tables are written.

        Args:
            tables_dir: made where it is missing.
            folder: the folder of pages.
            base: the model's name in table names; letters that no file name takes become `-`.
            settings: JSON values that decide scores; a resumed run must bring the same.
            listing: the pages' paths, relative to `folder`, with `/`, in the order in which they
                are scored; a page of a document as (path, its number).
            labels: the categories, in the order of the scores.
            options: JSON values that a resumed run may take up.
            now: names the tables; by default the present minute.

        Raises:
            PageSortError: the folder cannot be written to, or the disk is full.
        """
        tables_dir, folder = Path(tables_dir), resolved(Path(folder))
        date_time = (now or datetime.now()).strftime(MINUTE)
        base = re.sub(r"[^\w.+@-]+", "-", base).strip("-.") or "model"
        with translate_faults(tables_dir, "The result tables cannot be written"):
            tables_dir.mkdir(parents=True, exist_ok=True)
            path, date_time = reserve_journal(tables_dir, date_time, base)
        run = {
            "version": VERSION,
            "folder": str(folder),
            "settings": dict(settings),
            "labels": list(labels),
            "options": dict(options or {}),
            "date_time": date_time,
            "base": base,
        }
        connection = None
        try:
            with translate_faults(path, "The result tables cannot be written"):
                connection = connect(path, NEW_LOCK_WAIT_S)
                write_start(connection, run, folder, listing)
            return cls(path, connection, run)
        except BaseException:
            # Nothing is scored yet: a half-written listing is worth nothing, and holds a name.
            if connection is not None:
                connection.close()
            remove(path)
            raise

    @classmethod
    def open_for_resume(
        cls,
        tables_dir: str | Path,
        *,
        folder: str | Path,
        settings: Mapping[str, Any],
        finished: bool = False,
    ) -> RunJournal:
        """Take up the newest interrupted run of a folder whose scores the same settings decide.

        With `finished` also a finished run, which counts as interrupted from then on.

        Raises:
            PageSortError: there is none; or the earlier ones had other settings, which are named;
                or a running process holds them.
        """
        kind, flag = ("earlier", "--update") if finished else ("interrupted", "--resume")
        folder = resolved(Path(folder))
        wanted = json.loads(json.dumps(dict(settings)))
        refusal: PageSortError | None = None
        with translate_faults(Path(tables_dir), "The result tables cannot be read"):
            paths = newest_first(Path(tables_dir), finished)
        for path in paths:
            with translate_faults(path, f"The {kind} run cannot be taken up"):
                connection, run, problem = open_existing(path)
            if connection is None or run is None:
                refusal = refusal or problem
                continue
            if Path(run["folder"]) == folder:
                differing = differences(run["settings"], wanted)
                if not differing:
                    try:
                        if path.name.endswith(FINISHED_SUFFIX):
                            return cls._taken_out(path, connection, run)
                        return cls(path, connection, run)
                    except PageSortError as error:
                        refusal = refusal or error
                        connection.close()
                        continue
                refusal = PageSortError(
                    f"The {kind} run had other settings ({differing})",
                    where=path,
                    remedy=f"Give the same settings again, or leave out {flag} to start a new run",
                )
            connection.close()
        raise refusal or PageSortError(
            f"There is no {kind} run of {folder}",
            where=tables_dir,
            remedy=f"Leave out {flag} to start one",
        )

    @classmethod
    def _taken_out(
        cls, path: Path, connection: sqlite3.Connection, run: Mapping[str, Any]
    ) -> RunJournal:
        """Open a finished run's journal under the name of one that is worked on."""
        with translate_faults(path, "The earlier run cannot be taken up"):
            connection.close()
            path = take_out(path)
            return cls(path, connect(path, NEW_LOCK_WAIT_S), run)

    def close(self) -> None:
        """Close and unlock the file, which stays for `open_for_resume`."""
        self._connection.close()

    def keep(self) -> bool:
        """Write the journal anew if somebody has removed it while it ran; whether it is there."""
        try:
            if not self.path.exists():
                self._write_anew()
                logger.warning(
                    "the journal of this run was removed, and is written anew: %s", self.path
                )
        except (OSError, sqlite3.Error) as error:
            logger.debug("the journal cannot be written anew: %s", error)
            return False
        return True

    def _write_anew(self) -> None:
        """Copy what the open file still holds to where the journal was."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        try:
            with contextlib.closing(sqlite3.connect(temporary)) as copy:
                self._connection.backup(copy)
            self._connection.close()
            temporary.replace(self.path)
        finally:
            remove(temporary)
        self._connection = connect(self.path, NEW_LOCK_WAIT_S)
        self._is_ahead = write_ahead(self._connection)

    @property
    def _remedy(self) -> str:
        """What to do if this run cannot go on: nothing is promised that is gone."""
        with contextlib.suppress(OSError):
            return KEPT if self.path.exists() else GONE
        return GONE

    def counts(self) -> Counts:
        """How far the run is, pages of earlier sittings included."""
        return Counts(self._total, self._scored, self._failed)

    def batches(self, batch_size: int) -> Iterator[list[PageRef]]:
        """Yield the pages that are not scored, failed ones included, in batches.

        Batch k holds rows k*size to (k+1)*size-1 of the listing, less those that are scored, so
        that a page meets the same neighbours whether or not the run was interrupted.
        """
        waiting = (
            "FROM pages p LEFT JOIN scores s ON s.idx = p.idx "
            "WHERE p.idx >= ? AND p.idx < ? AND s.idx IS NULL ORDER BY p.idx"
        )
        find = f"SELECT p.idx {waiting} LIMIT 1"
        start = 0
        # Fetched to their ends, as an open query would let the journal grow with every commit.
        while first := self._rows(find, (start, self._total)):
            start = first[0][0] // batch_size * batch_size
            rows = self._rows(
                f"SELECT p.idx, p.path, p.part {waiting}", (start, start + batch_size)
            )
            yield [
                PageRef(index, self.folder / os.fsdecode(path), part) for index, path, part in rows
            ]
            start += batch_size

    def _rows(self, query: str, values: tuple[int, ...]) -> list[tuple[Any, ...]]:
        with translate_reading(self.path):
            return self._connection.execute(query, values).fetchall()

    def record(self, results: Iterable[ScoredPage | Failure]) -> None:
        """Write one batch, all of it or nothing.

        From then on it outlives this process; the disk is waited for every five seconds only, which
        is what a power cut may cost.

        Raises:
            PageSortError: the disk is full or gone; what was recorded before is kept.
        """
        rows, failed, others = [], [], []
        for result in results:
            if isinstance(result, Failure):
                failed.append((result.ref.index, shown(result.reason)))
            else:
                values = np.ascontiguousarray(result.scores, dtype="<f4")
                rows.append((result.ref.index, values.tobytes(), result.note))
                if result.second is not None:
                    others.append((result.ref.index, *result.second))
        with (
            translate_faults(self.path, "The scores cannot be written", self._remedy),
            self._commit() as connection,
        ):
            retried = connection.executemany(
                "DELETE FROM failures WHERE idx = ?", [(index,) for index, *_ in rows + failed]
            ).rowcount
            connection.executemany("INSERT INTO scores VALUES (?, ?, ?)", rows)
            connection.executemany("INSERT INTO failures VALUES (?, ?)", failed)
            connection.executemany("INSERT OR REPLACE INTO second VALUES (?, ?, ?)", others)
        self._scored += len(rows)
        self._failed += len(failed) - max(retried, 0)

    @contextlib.contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        """A transaction, and now and then a wait for the disk with it and all those before."""
        now = time.monotonic()
        is_due = not self._is_ahead or now - self._synced >= SYNC_INTERVAL_S
        if is_due:
            self.keep()
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if is_due else 'NORMAL'}")
        with self._connection as connection:
            yield connection
        if is_due:
            self._synced = now

    def failed(self) -> Iterator[PageRef]:
        """Yield each page that could not be read, in listing order."""
        query = "SELECT idx, path, part FROM failures JOIN pages USING (idx) ORDER BY idx"
        with translate_reading(self.path):
            for index, path, part in self._connection.execute(query):
                yield PageRef(index, self.folder / os.fsdecode(path), part)

    def count_new(self, listing: Iterable[Listed]) -> int:
        """How many pages of a fresh listing this run does not know; it goes on without them."""
        return len(compared(listing, self._known())[0])

    def add(self, listing: Iterable[Listed]) -> tuple[int, int]:
        """Add the pages of a fresh listing that this run does not know, after all others.

        A document or folder that could not be opened before gives way to its pages.

        Returns:
            How many pages are new, and how many known ones are not listed any more.

        Raises:
            PageSortError: they cannot be written.
        """
        closed = dict(self._rows("SELECT path, idx FROM pages WHERE part = ?", (WHOLE,)))
        root, first, opened = str(self.folder), self._total, 0
        new, gone = compared(listing, self._known())
        with (
            translate_faults(self.path, "The new pages cannot be written", self._remedy),
            self._connection as connection,
        ):
            for path, part in new:
                values = (*names_of(f"{root}/{os.fsdecode(path)}", part), part)
                index = closed.pop(what_holds(path, closed), None) if part != WHOLE else None
                if index is not None:
                    change = "UPDATE pages SET path = ?, file = ?, page = ?, part = ? WHERE idx = ?"
                    connection.execute(change, (path, *values, index))
                    opened += 1
                else:
                    insert = "INSERT INTO pages VALUES (?, ?, ?, ?, ?)"
                    connection.execute(insert, (self._total, path, *values))
                    self._total += 1
        return self._total - first + opened, gone - opened

    def forget(self, pages: Collection[Stored]) -> int:
        """Let pages wait for scores again; returns how many of them had some.

        Raises:
            PageSortError: that cannot be written.
        """
        query = "SELECT idx, path, part FROM scores JOIN pages USING (idx)"
        with (
            translate_faults(self.path, "The pages cannot be scored anew", self._remedy),
            self._connection as connection,
        ):
            scored = connection.execute(query) if pages else ()
            rows = [(index,) for index, path, part in scored if (path, part) in pages]
            for table in ("scores", "second"):
                connection.executemany(f"DELETE FROM {table} WHERE idx = ?", rows)
        self._scored -= len(rows)
        return len(rows)

    @property
    def stem(self) -> str:
        """How the names of the run's tables begin."""
        return self.names.stem

    def _known(self) -> np.ndarray:
        with translate_reading(self.path):
            return hashes(self._connection.execute("SELECT path, part FROM pages"))

    def scored(self) -> Iterator[tuple[PageRef, np.ndarray]]:
        """Yield each scored page with its probabilities, float32 (labels,), in listing order."""
        query = "SELECT idx, path, part, scores FROM scores JOIN pages USING (idx) ORDER BY idx"
        with translate_reading(self.path):
            for index, path, part, scores in self._connection.execute(query):
                page = PageRef(index, self.folder / os.fsdecode(path), part)
                yield page, np.frombuffer(scores, dtype="<f4")

    def write_tables(
        self,
        labels: Sequence[str],
        top_n: int,
        max_categ: int,
        raw: bool = False,
        absolute_paths: bool = False,
        form: TableForm = PLAIN,
        accepts: Callable[[str, float], bool] | None = None,
    ) -> FinishedTables:
        """Write the finished tables, as `result_tables.write_tables` does; the journal stays.

        See `TableStyle` for `accepts`.

        Raises:
            PageSortError: the tables cannot be written; the journal is kept, and `--resume` writes
                them.
        """
        style = table_style(self.folder, form, absolute_paths, accepts)
        self.keep()
        with translate_faults(self.path, "The finished tables cannot be written", self._remedy):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            how = (labels, top_n, max_categ, raw, style, self.folder)
            return write_tables(self._connection, self.names, *how)

    def pages(self) -> Iterator[tuple[str, int | None]]:
        """Yield each page of the run: its path in the folder, and its number in a document."""
        with translate_reading(self.path):
            for path, part in self._connection.execute("SELECT path, part FROM pages"):
                yield os.fsdecode(path), part

    def write_lines(
        self,
        tables: Path,
        columns: Sequence[str],
        rows_of: Callable[[np.ndarray, str], Iterable[Sequence[object]]],
        absolute_paths: bool = False,
        form: TableForm = PLAIN,
    ) -> tuple[Path, Path | None]:
        """Write a table of what `rows_of` makes of scores and notes, and that of failed pages."""
        root = shown(f"{self.folder.as_posix().rstrip('/')}/") if absolute_paths else ""
        names = TableNames(tables, self.names.date_time, self.names.base)
        self.keep()
        with translate_faults(tables, "The finished tables cannot be written", self._remedy):
            tables.mkdir(parents=True, exist_ok=True)
            style = TableStyle(form, root)
            return write_line_table(self._connection, names, columns, rows_of, style)

    def put_away(self) -> None:
        """Keep the scores of a run whose tables are written, for pages that are added later.

        Unless pages could not be read: those `--resume` tries again, and then writes the same
        tables anew.

        Raises:
            PageSortError: the journal cannot be given another name.
        """
        with translate_faults(self.path, "The scores cannot be kept", self._remedy):
            self.close()
            if not self._failed:
                put_away(self.path)

    def discard(self) -> None:
        """Remove the journal of a run whose tables are written, where `put_away` would keep it.

        Raises:
            PageSortError: it cannot be removed.
        """
        with translate_faults(self.path, "The finished tables cannot be written", self._remedy):
            self.close()
            if not self._failed:
                remove(self.path)
