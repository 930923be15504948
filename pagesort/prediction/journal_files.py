"""The journals' files: their names, their locks, finding and removing them, and what goes wrong."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pagesort.common.addresses import resolved
from pagesort.common.checked_json import Kind, is_of, parse_json, shortened
from pagesort.common.errors import PageSortError
from pagesort.common.files import RESULTS_ELSEWHERE, numbered, reserve, translate_unwritable
from pagesort.prediction.listing import Listed, names_of, split
from pagesort.prediction.result_tables import TableNames

logger = logging.getLogger(__name__)

JOURNAL_SUFFIX = ".partial.sqlite"
FINISHED_SUFFIX = ".scores.sqlite"  # of a run whose tables are complete, kept to be added to
RUN_SHAPE: dict[str, Kind] = {
    "version": int,
    "folder": str,
    "settings": dict,
    "date_time": str,
    "base": str,
}
BESIDE = ("-journal", "-wal", "-shm")  # endings of what SQLite keeps beside a journal
_PROGRESS = ".json"  # and of what its run says of itself
KEPT = "What is scored is kept; free some space or reconnect the disk, and go on with --resume"
VERSION = 3  # of the journal's layout
OLD_LOCK_WAIT_S = 0.2  # a journal that stays locked is in use
SCHEMA = (
    "CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # Paths are bytes, as not all are text; page numbers are text, as some do not fit an integer.
    "CREATE TABLE pages "
    "(idx INTEGER PRIMARY KEY, path BLOB NOT NULL, file TEXT NOT NULL, page TEXT NOT NULL, "
    "part INTEGER)",
    "CREATE TABLE scores (idx INTEGER PRIMARY KEY, scores BLOB NOT NULL, "
    "note TEXT NOT NULL DEFAULT '')",
    "CREATE TABLE failures (idx INTEGER PRIMARY KEY, reason TEXT NOT NULL)",
)
# Journals of version 1 knew no documents of several pages.
UPGRADES = {
    1: "ALTER TABLE pages ADD COLUMN part INTEGER",
    2: "ALTER TABLE scores ADD COLUMN note TEXT NOT NULL DEFAULT ''",  # nor blank pages
}


def reserve_journal(tables_dir: Path, date_time: str, base: str) -> tuple[Path, str]:
    """Make an empty journal of a name that is free for all tables too; with its date-time.

    A folder of that name is what an earlier run of reading wrote, and takes it as tables do.
    """
    for start in numbered(date_time):
        path = tables_dir / f"{start}_{base}{JOURNAL_SUFFIX}"
        if not reserve(path):
            continue
        # Only now: another run removes its journal once its tables stand, so none appears unseen.
        has_folder = (tables_dir / f"{start}_{base}").exists()
        if not has_folder and not TableNames(tables_dir, start, base).taken():
            return path, start
        path.unlink()
    raise PageSortError("There is no free table name for this minute", where=tables_dir)


def connect(path: Path, wait_s: float) -> sqlite3.Connection:
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


def write_start(
    connection: sqlite3.Connection, run: Mapping[str, Any], folder: Path, listing: Iterable[Listed]
) -> None:
    """Write a new run's settings and pages in one transaction: all of them or none."""
    connection.execute("BEGIN")
    for statement in SCHEMA:
        connection.execute(statement)
    write_run(connection, run)
    root = str(folder)
    connection.executemany(
        "INSERT INTO pages VALUES (?, ?, ?, ?, ?)",
        (
            (index, os.fsencode(path), *names_of(f"{root}/{path}", part), part)
            for index, (path, part) in enumerate(map(split, listing))
        ),
    )
    connection.commit()


def write_run(connection: sqlite3.Connection, run: Mapping[str, Any]) -> None:
    """Write what a journal tells of its run."""
    connection.executemany(
        "INSERT INTO run VALUES (?, ?)", [(key, json.dumps(value)) for key, value in run.items()]
    )


def write_ahead(connection: sqlite3.Connection) -> bool:
    """Let a commit append to one file, without waiting for the disk; whether that can be had.

    Once written, a commit outlives the process. It outlives a power cut with the next one that is
    made with `synchronous = FULL`, and the journal is whole in any case.
    """
    return connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal"


def newest_first(tables_dir: Path, finished: bool = False) -> list[Path]:
    """The journals of a folder, with `finished` those of finished runs too, the last one first."""
    suffixes = (JOURNAL_SUFFIX, FINISHED_SUFFIX) if finished else (JOURNAL_SUFFIX,)
    if not tables_dir.is_dir():
        return []
    ages: list[tuple[int, str]] = []
    for path in tables_dir.iterdir():
        if path.name.endswith(suffixes):
            with contextlib.suppress(FileNotFoundError):  # another run has just finished
                ages.append((_age(path), path.name))
    return [tables_dir / name for _, name in sorted(ages, reverse=True)]


def _age(path: Path) -> int:
    """When a journal was last written to, in nanoseconds: it, or what SQLite keeps beside it."""
    ages = [path.stat().st_mtime_ns]
    with contextlib.suppress(FileNotFoundError):
        ages.append(path.with_name(f"{path.name}-wal").stat().st_mtime_ns)
    return max(ages)


def earlier_runs(tables_dir: Path, folder: Path, finished: bool = False) -> list[dict[str, Any]]:
    """What the journals tell of the runs of a folder, newest first; see `newest_first`."""
    found = []
    with contextlib.suppress(OSError, sqlite3.Error):  # taking the run up says what is wrong
        for path in newest_first(tables_dir, finished):
            connection, run, _ = open_existing(path)
            if connection is not None and run is not None:
                connection.close()
                if Path(run["folder"]) == resolved(folder):
                    found.append(run)
    return found


def folder_of_table(table: Path, run_name: str) -> Path | None:
    """The folder of the run that wrote a table, as the journal beside it tells; else None."""
    run = run_of_table(table, run_name)
    return None if run is None else Path(run["folder"])


def run_of_table(table: Path, run_name: str) -> dict[str, Any] | None:
    """What the journal beside a table tells of its run; None if there is none.

    Args:
        run_name: date-time and model, which begin the journal's name.
    """
    for suffix in (FINISHED_SUFFIX, JOURNAL_SUFFIX):
        path = table.with_name(run_name + suffix)
        with contextlib.suppress(OSError, sqlite3.Error):  # a locked one is in use; another may do
            connection, run, _ = open_existing(path)
            if connection is not None and run is not None:
                connection.close()
                return run
    return None


def open_existing(
    path: Path,
) -> tuple[sqlite3.Connection | None, dict[str, Any] | None, PageSortError | None]:
    """Lock and read a journal: (connection, run, None), or (None, None, why not)."""
    if not path.exists():  # its run has just finished; connecting would make a new file
        return None, None, None
    try:
        connection = connect(path, OLD_LOCK_WAIT_S)
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        return None, None, _refusal("Another process is working on this run", path)
    except sqlite3.DatabaseError as error:
        return None, None, _refusal(f"The journal of an interrupted run is damaged ({error})", path)
    problem = None
    try:
        rows = connection.execute("SELECT key, value FROM run").fetchall()
        run = _checked_run(rows, path)
        if run["version"] in UPGRADES:
            _upgrade(connection, run)
        if run["version"] == VERSION:
            return connection, run, None
        problem = _refusal("The interrupted run is of another version of this program", path)
    except sqlite3.OperationalError as error:
        logger.debug("%s holds no run: %s", path, error)  # killed before its listing was complete
    except (sqlite3.DatabaseError, PageSortError) as error:
        problem = _refusal(f"The journal of an interrupted run is damaged ({error})", path)
    connection.close()
    return None, None, problem


def _checked_run(rows: list[tuple[Any, Any]], path: Path) -> dict[str, Any]:
    """Read what a journal says of its run.

    Raises:
        PageSortError: it says what none can.
    """
    run = {key: parse_json(str(value), path) for key, value in rows}
    for key, kind in RUN_SHAPE.items():
        if not is_of(run.get(key), kind):
            raise PageSortError(f"'{key}' is {shortened(run.get(key))}")
    for key in ("date_time", "base"):  # which name its tables
        if Path(run[key]).name != run[key]:
            raise PageSortError(f"'{key}' is {shortened(run[key])}")
    return run


def _upgrade(connection: sqlite3.Connection, run: dict[str, Any]) -> None:
    """Bring a journal of an earlier version up to date."""
    connection.execute("BEGIN")
    for version in range(run["version"], VERSION):
        connection.execute(UPGRADES[version])
    connection.execute("UPDATE run SET value = ? WHERE key = 'version'", (json.dumps(VERSION),))
    connection.commit()
    run["version"] = VERSION


def _refusal(what: str, path: Path) -> PageSortError:
    return PageSortError(what, where=path, remedy="Leave out --resume to start a new run")


def progress_file(path: Path) -> Path:
    """Where the run of a journal says how far it is."""
    return path.with_name(f"{path.name}{_PROGRESS}")


def put_away(path: Path) -> Path:
    """Give the closed journal of a run its name as a finished one."""
    progress_file(path).unlink(missing_ok=True)
    return path.replace(path.with_name(path.name.removesuffix(JOURNAL_SUFFIX) + FINISHED_SUFFIX))


def take_out(path: Path) -> Path:
    """Give the closed journal of a finished run its name as one that is worked on."""
    if not path.name.endswith(FINISHED_SUFFIX):
        return path
    return path.replace(path.with_name(path.name.removesuffix(FINISHED_SUFFIX) + JOURNAL_SUFFIX))


def remove(path: Path) -> None:
    """Remove a journal with whatever SQLite keeps beside it."""
    for name in (path.name, *(f"{path.name}{ending}" for ending in (*BESIDE, _PROGRESS))):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(name).unlink()


def translate_faults(
    where: Path, what: str, remedy: str | None = None
) -> contextlib.AbstractContextManager[None]:
    """Turn what the disk or SQLite reports into one line for a person."""
    return translate_unwritable(where, what, RESULTS_ELSEWHERE, remedy, also=(sqlite3.Error,))


@contextlib.contextmanager
def translate_reading(path: Path) -> Iterator[None]:
    """Turn what SQLite reports of a journal that is read into one line for a person."""
    try:
        yield
    except sqlite3.OperationalError as error:
        what = f"The pages of this run cannot be read ({error})"
        raise PageSortError(what, where=path, remedy=KEPT) from error
    except sqlite3.DatabaseError as error:
        raise PageSortError(
            f"The journal of this run is damaged ({error})",
            where=path,
            remedy="Leave out --resume to start a new run",
        ) from error


def differences(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Name the settings that differ, as `top_N: then 3, now 1`; empty where none do."""
    return "; ".join(
        f"{key}: then {_short(saved.get(key))}, now {_short(wanted.get(key))}"
        for key in sorted(wanted)
        if saved.get(key) != wanted.get(key)
    )


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:12] + "…" if re.fullmatch(r"[0-9a-f]{32,}", text) else text
