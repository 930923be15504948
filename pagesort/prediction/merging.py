"""Several runs over one folder become one: parts of it that several processes have scored."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagesort.common.checked_json import Kind, is_of, shortened
from pagesort.common.errors import PageSortError
from pagesort.common.tables import PLAIN, TableForm
from pagesort.common.text import MOST_NAMED, counted
from pagesort.prediction.journal import Counts, FinishedTables, RunJournal
from pagesort.prediction.journal_files import (
    FINISHED_SUFFIX,
    JOURNAL_SUFFIX,
    connect,
    differences,
    open_existing,
    remove,
    translate_faults,
)
from pagesort.prediction.listing import list_folder, names_of
from pagesort.prediction.shards import whole_base
from utils import PassedOver

logger = logging.getLogger(__name__)

_LOCK_WAIT_S = 5.0
_UNFINISHED = "Finish it with its own command and --resume, then merge again"
# What a part's run must tell, beside what every journal does.
_SHAPE: dict[str, Kind] = {"labels": list, "options": dict}
_TABLES = r"(?:result_{stem}_\d+n_\d+c|{stem}_(?:RAW|FAILED|DOCUMENTS))\.csv"


@dataclass(frozen=True)
class MergeRequest:
    """Which runs become one, and which tables are written.

    `parts` are result tables, or the scores that lie beside them. Each of `beside` is called with
    the finished tables before the scores are put away.
    """

    parts: tuple[Path, ...]
    tables: Path
    top_n: int
    raw: bool
    max_categ: int
    absolute_paths: bool = False
    form: TableForm = PLAIN
    beside: tuple[Callable[[FinishedTables], object], ...] = ()


@dataclass(frozen=True)
class Part:
    """A finished run that becomes a part of another one: its journal and what that tells."""

    path: Path
    run: dict[str, Any]

    @property
    def folder(self) -> Path:
        """The folder of its pages."""
        return Path(self.run["folder"])

    @property
    def settings(self) -> dict[str, Any]:
        """What decides its scores."""
        return {**self.run["settings"], "shard": None}

    @property
    def shard(self) -> str:
        """Which part it is, as `2/8`; empty for a run over all pages."""
        return str(self.run["settings"].get("shard") or "")


@dataclass(frozen=True)
class Merged:
    """What a merge has written."""

    tables: tuple[Path, ...]
    failed: int


def merge_parts(request: MergeRequest) -> Merged:
    """Write the tables of one run out of those of its parts, as one process would have.

    The pages of the folder are listed anew: each must be in one part, and in no second one.

    Raises:
        PageSortError: a part is not finished, parts disagree, or a page is missing or there twice;
            nothing is written then.
    """
    parts = [_open_part(path) for path in _journals_of(request.parts)]
    _check_agreement(parts)
    first = parts[0]
    passed = PassedOver()
    journal = RunJournal.create(
        request.tables,
        folder=first.folder,
        base=whole_base(first.run["base"]),
        settings=first.settings,
        labels=first.run["labels"],
        options=first.run["options"],
        listing=_listing(first, passed),
    )
    path = journal.path
    journal.close()
    try:
        _take_over(path, parts)
    except BaseException:
        remove(path)
        raise
    connection, run, problem = open_existing(path)
    if connection is None or run is None:
        raise problem or PageSortError("the merged scores were removed meanwhile", where=path)
    with RunJournal(path, connection, run) as journal:
        counts = journal.counts()
        finished = journal.write_tables(
            first.run["labels"],
            request.top_n,
            request.max_categ,
            raw=request.raw,
            absolute_paths=request.absolute_paths,
            form=request.form,
        )
        for write in request.beside:
            write(finished)
        journal.put_away()
    _log_merged(parts, counts, finished)
    tables = (finished.result, finished.raw, finished.failures)
    return Merged(tuple(filter(None, tables)), counts.failed)


def options_of(paths: Sequence[Path]) -> dict[str, Any]:
    """The options that the first of some parts was run with: name -> (JSON value, flag).

    Raises:
        PageSortError: the part cannot be used.
    """
    return dict(_open_part(_journals_of(paths[:1])[0]).run["options"])


def _journals_of(tables: Sequence[Path]) -> list[Path]:
    """The journals of some tables, each once, in the order of the tables.

    Raises:
        PageSortError: a table is missing, or its scores are no longer beside it.
    """
    found: dict[Path, None] = {}
    journals: dict[Path, dict[str, Path]] = {}
    for table in tables:
        if not table.is_file():
            raise PageSortError(
                "there is no such table", where=table, remedy="Name the tables of the parts"
            )
        if table.parent not in journals:
            journals[table.parent] = _journals_in(table.parent)
        found[_journal_of(table, journals[table.parent])] = None
    return list(found)


def _journals_in(folder: Path) -> dict[str, Path]:
    """The journals of a folder of tables by what the names of their tables hold."""
    return {
        entry.name.removesuffix(suffix): Path(entry.path)
        for suffix in (JOURNAL_SUFFIX, FINISHED_SUFFIX)
        for entry in os.scandir(folder)
        if entry.name.endswith(suffix)
    }


def _journal_of(table: Path, journals: dict[str, Path]) -> Path:
    if table in journals.values():
        return table
    for stem, path in journals.items():
        if re.fullmatch(_TABLES.format(stem=re.escape(stem)), table.name):
            return path
    raise PageSortError(
        f"the scores of this table ({FINISHED_SUFFIX}) are not beside it",
        where=table,
        remedy="Name a result table of --shard in the folder in which it was written",
    )


def _open_part(path: Path) -> Part:
    """Read what a part's journal tells, and refuse one that is not finished."""
    with translate_faults(path, "A part cannot be read"):
        connection, run, problem = open_existing(path)
    if connection is None or run is None:
        raise problem or PageSortError("a part's run has not begun", where=path, remedy=_UNFINISHED)
    with RunJournal(path, connection, run) as journal:
        waiting = journal.counts().waiting
    for key, kind in _SHAPE.items():
        if not is_of(run.get(key), kind):
            raise PageSortError(
                f"the scores of this part cannot be used ('{key}' is {shortened(run.get(key))})",
                where=path,
                remedy="Score the part again with this version of the program",
            )
    part = Part(path, run)
    if waiting:
        what = f"{counted(waiting)} of part {part.shard or '1/1'} are not scored yet"
        raise PageSortError(what, where=path, remedy=_UNFINISHED)
    return part


def _check_agreement(parts: Sequence[Part]) -> None:
    """Refuse parts of different folders, models or settings."""
    first = parts[0]
    for part in parts[1:]:
        wanted = {"folder": str(first.folder), "labels": first.run["labels"], **first.settings}
        saved = {"folder": str(part.folder), "labels": part.run["labels"], **part.settings}
        differing = differences(wanted, saved)
        if differing:
            raise PageSortError(
                f"the parts do not belong together: {first.path.name} and this one differ "
                f"({differing.replace('then ', '').replace('now ', '')})",
                where=part.path,
                remedy="Merge tables of one folder, model and settings",
            )


def _listing(part: Part, passed: PassedOver) -> Iterator[tuple[str, int | None]]:
    """Yield the pages of the folder as one process would list them now."""
    formats = tuple(str(part.settings["files_format"]).split(","))
    try:
        yield from list_folder(
            part.folder,
            formats,
            bool(part.settings["inner"]),
            passed,
            named=Path(part.settings["list"]) if part.settings.get("list") else None,
        )
    except OSError as error:
        raise PageSortError(
            f"cannot list the pages again ({(error.strerror or '').lower()})",
            where=part.folder,
            remedy="Merge where the pages can be reached",
        ) from error


def _take_over(path: Path, parts: Sequence[Part]) -> None:
    """Put the scores of all parts into a new journal, and check that no page is missing.

    Pages that have left the folder since they were scored stay in the tables, as in one run.
    """
    with (
        translate_faults(path, "The parts cannot be merged"),
        contextlib.closing(connect(path, _LOCK_WAIT_S)) as connection,
    ):
        connection.execute("CREATE INDEX by_path ON pages (path, part)")
        for part in parts:
            connection.execute("ATTACH ? AS part", (f"{part.path}",))
            _check_doubled(connection, part)
            _add_part(connection, part)
            connection.commit()
            connection.execute("DETACH part")
        _check_missing(connection, parts)
        connection.execute("DROP INDEX by_path")
        connection.commit()


# A page of the part (`their`) with the same page of the whole (`our`).
_SAME = (
    "part.pages AS their JOIN main.pages AS our ON our.path = their.path AND our.part IS their.part"
)
_IS_DONE = (
    "(our.idx IN (SELECT idx FROM main.scores) OR our.idx IN (SELECT idx FROM main.failures))"
)


def _check_doubled(connection: sqlite3.Connection, part: Part) -> None:
    """Refuse a part that has a page of an earlier one."""
    query = f"SELECT our.path, our.part FROM {_SAME} WHERE {_IS_DONE} ORDER BY our.idx"
    doubled = connection.execute(query)
    what = f"in part {part.shard or part.path.name} and in another one, too"
    _refuse(doubled, what, part.path, "Name every part once, and parts of one division only")


def _add_part(connection: sqlite3.Connection, part: Part) -> None:
    """Copy scores and failures of an attached part; its pages that are gone come last."""
    gone = connection.execute(
        "SELECT path, part FROM part.pages AS their WHERE NOT EXISTS (SELECT 1 FROM main.pages AS "
        "our WHERE our.path = their.path AND our.part IS their.part) ORDER BY idx"
    ).fetchall()
    if gone:
        logger.warning(
            "%s of the parts no longer in the folder: what is known of them stays in the tables",
            counted(len(gone)),
        )
    (total,) = connection.execute("SELECT coalesce(max(idx) + 1, 0) FROM main.pages").fetchone()
    root = str(part.folder)
    connection.executemany(
        "INSERT INTO main.pages VALUES (?, ?, ?, ?, ?)",
        (
            (total + place, path, *names_of(f"{root}/{os.fsdecode(path)}", number), number)
            for place, (path, number) in enumerate(gone)
        ),
    )
    for table, columns in (("scores", "their_scores.scores, note"), ("failures", "reason")):
        connection.execute(
            f"INSERT INTO main.{table} SELECT our.idx, {columns} FROM {_SAME} "
            f"JOIN part.{table} AS their_{table} ON their_{table}.idx = their.idx"
        )


def _check_missing(connection: sqlite3.Connection, parts: Sequence[Part]) -> None:
    """Refuse to go on while pages of the folder are in no part."""
    query = f"SELECT path, part FROM main.pages AS our WHERE NOT {_IS_DONE} ORDER BY idx"
    absent = _absent_shards(parts)
    which = f" (missing: part {', '.join(absent)})" if absent else ""
    _refuse(
        connection.execute(query),
        f"in none of the tables{which}",
        parts[0].folder,
        "Name the tables of all parts; of pages that came since, each part's command takes its own "
        "with --update",
    )


def _absent_shards(parts: Sequence[Part]) -> list[str]:
    """The shards that are missing beside those that are there, as `3/8`; [] where none has any."""
    present = {part.shard for part in parts if part.shard}
    counts = {shard.partition("/")[2] for shard in present}
    every = {f"{number}/{n}" for n in counts for number in range(1, int(n) + 1)}
    return sorted(every - present)[:MOST_NAMED]


def _refuse(pages: sqlite3.Cursor, what: str, where: Path, remedy: str) -> None:
    """Name the pages that a query finds, if it finds any, in an error."""
    found = pages.fetchmany(MOST_NAMED)
    if not found:
        return
    number = len(found) + sum(1 for _ in pages)
    names = [os.fsdecode(path) + (f", page {part}" if part else "") for path, part in found[:3]]
    more = ", …" if number > len(names) else ""
    raise PageSortError(
        f"{counted(number)} {what}: {'; '.join(names)}{more}",
        where=where,
        remedy=remedy,
    )


def _log_merged(parts: Sequence[Part], counts: Counts, finished: FinishedTables) -> None:
    logger.info(
        "%s of %d parts merged, %d could not be read",
        counted(counts.scored),
        len(parts),
        counts.failed,
    )
    logger.info("result table: %s", finished.result)
