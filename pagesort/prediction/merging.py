"""Several runs over one folder become one: parts of it that several processes have scored."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pagesort.common.checked_json import Kind, is_of, shortened
from pagesort.common.errors import PageSortError
from pagesort.common.files import flush, unfinished, whole
from pagesort.common.hardware import processors
from pagesort.common.pieces import Division, join
from pagesort.common.tables import PLAIN, TableForm
from pagesort.common.text import MOST_NAMED, counted
from pagesort.common.workers import Workers
from pagesort.prediction.gathering import (
    Named,
    PartFile,
    Plan,
    add_gone,
    attached,
    find_pages,
    open_piece,
    pieces_of,
    sort_keys,
)
from pagesort.prediction.journal import MINUTE, Counts, FinishedTables, RunJournal
from pagesort.prediction.journal_files import (
    FINISHED_SUFFIX,
    JOURNAL_SUFFIX,
    KEPT,
    SCHEMA,
    connect,
    differences,
    open_existing,
    remove,
    reserve_journal,
    translate_faults,
    write_run,
)
from pagesort.prediction.listing import list_folder
from pagesort.prediction.merged_tables import (
    Pieces,
    TablePlan,
    find_names,
    has_rows,
    write_pieces,
)
from pagesort.prediction.result_tables import table_style
from pagesort.prediction.shards import Shard, whole_base
from utils import PassedOver

logger = logging.getLogger(__name__)

PAGES_AT_ONCE = 200_000  # some 100 MiB of memory in a process
_LOCK_WAIT_S = 5.0
_SCRATCH = "merge"  # a hidden folder beside the tables, until they are there
_UNFINISHED = "Finish it with its own command and --resume, then merge again"
# What a part's run must tell, beside what every journal does.
_SHAPE: dict[str, Kind] = {"labels": list, "options": dict}
_TABLES = r"(?:result_{stem}_\d+n_\d+c|{stem}_(?:RAW|FAILED|DOCUMENTS))\.csv"


@dataclass(frozen=True)
class MergeRequest:
    """Which runs become one, and which tables are written.

    `parts` are result tables, or the scores that lie beside them. Each of `beside` is called with
    the finished tables before the scores are put away. `processes` work side by side, each on
    `pages_at_once`; by default as many as there are processors.
    """

    parts: tuple[Path, ...]
    tables: Path
    top_n: int
    raw: bool
    max_categ: int
    absolute_paths: bool = False
    form: TableForm = PLAIN
    beside: tuple[Callable[[FinishedTables], object], ...] = ()
    processes: int | None = None
    pages_at_once: int = PAGES_AT_ONCE


@dataclass(frozen=True)
class Part:
    """A finished run that becomes a part of another one: its journal, and what that tells."""

    path: Path
    run: dict[str, Any]
    pages: int

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

    The pages of the folder are listed anew: each must be in one part, and in no second one. Pages
    that have left the folder since they were scored stay in the tables, as in one run.

    Raises:
        PageSortError: a part is not finished, parts disagree, or a page is missing or there twice;
            nothing is written then.
    """
    parts = [_open_part(path) for path in _journals_of(request.parts)]
    _check_agreement(parts)
    first = parts[0]
    with (
        translate_faults(request.tables, "The parts cannot be merged"),
        contextlib.ExitStack() as held,
    ):
        request.tables.mkdir(parents=True, exist_ok=True)
        for part in parts:  # that nobody changes any meanwhile
            held.enter_context(contextlib.closing(connect(part.path, _LOCK_WAIT_S)))
        scratch = held.enter_context(unfinished(request.tables / _SCRATCH))
        scratch.mkdir()
        workers = held.enter_context(Workers(_processes(request, parts)))
        plan = _plan(request, parts, scratch)
        scores = scratch / f"scores{JOURNAL_SUFFIX}"
        numbers = _gather(plan, request, parts, scores, workers)
        find_names(plan, numbers, workers)
        style = table_style(first.folder, request.form, request.absolute_paths)
        tables = TablePlan(plan, tuple(first.run["labels"]), request.top_n, style)
        pieces = write_pieces(tables, numbers, request.pages_at_once, workers)
        return _finish(request, parts, scores, pieces, workers)


def _processes(request: MergeRequest, parts: Sequence[Part]) -> int:
    """How many processes are worth their start."""
    needed = math.ceil(sum(part.pages for part in parts) / request.pages_at_once)
    return min(request.processes or processors(), needed)


def _plan(request: MergeRequest, parts: Sequence[Part], scratch: Path) -> Plan:
    files = tuple(
        PartFile(
            part.path,
            Shard.parse(part.shard) if part.shard else None,
            scratch / f"part-{place}.npy",
        )
        for place, part in enumerate(parts)
    )
    return Plan(scratch, files, request.raw)


def _gather(
    plan: Plan, request: MergeRequest, parts: Sequence[Part], scores: Path, workers: Workers
) -> list[int]:
    """Put the scores of all parts into a journal, `scores`; the numbers of the listing's pieces.

    Raises:
        PageSortError: a page is missing, or there twice.
    """
    tasks = ((part.path, part.keys) for part in plan.parts)
    known = list(workers.in_order(sort_keys, tasks))
    pieces = pieces_of(plan, _listing(parts[0], PassedOver()), request.pages_at_once)
    missing, doubled, numbers = Named(), [Named() for _ in parts], []
    with contextlib.closing(open_piece(scores)) as connection:
        for statement in SCHEMA:
            connection.execute(statement)
        for found in workers.in_order(find_pages, pieces):
            missing.join(found.missing)
            for place, pages in found.doubled.items():
                doubled[place].join(pages)
            known = [left - here for left, here in zip(known, found.counts, strict=True)]
            _append(connection, plan, found.number)
            numbers.append(found.number)
        if any(known):
            query = "SELECT coalesce(max(idx) + 1, 0) FROM pages"
            (total,) = connection.execute(query).fetchone()
            gone = add_gone(plan, total, numbers, known, doubled)
            _append(connection, plan, gone)
            numbers.append(gone)
    _refuse(doubled, missing, parts)
    for left in filter(None, known):
        logger.warning(
            "%s of the parts no longer in the folder: what is known of them stays in the tables",
            counted(left),
        )
    return numbers


def _append(connection: sqlite3.Connection, plan: Plan, number: int) -> None:
    """Add a piece of the listing to the journal of the whole."""
    with attached(connection, plan.piece(number), "piece"):
        for table in ("pages", "scores", "failures"):
            connection.execute(f"INSERT INTO main.{table} SELECT * FROM piece.{table}")


def _finish(
    request: MergeRequest, parts: Sequence[Part], scores: Path, pieces: Pieces, workers: Workers
) -> Merged:
    """Give the tables and the journal of the whole their names, the tables last."""
    first = parts[0]
    base = whole_base(first.run["base"])
    path, date_time = reserve_journal(request.tables, datetime.now().strftime(MINUTE), base)
    try:
        keys = ("version", "folder", "labels", "options")
        run = {key: first.run[key] for key in keys} | {
            "settings": first.settings,
            "date_time": date_time,
            "base": base,
        }
        with contextlib.closing(open_piece(scores)) as connection:
            write_run(connection, run)
            connection.commit()
        flush(scores)
        scores.replace(path)
    except BaseException:
        remove(path)
        raise
    locked, facts, problem = open_existing(path)
    if locked is None or facts is None:
        raise problem or PageSortError("the merged scores were removed meanwhile", where=path)
    with RunJournal(path, locked, facts) as journal:
        counts = journal.counts()
        finished = _write_tables(request, journal, pieces, workers, first.run["labels"])
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
        counts = journal.counts()
    for key, kind in _SHAPE.items():
        if not is_of(run.get(key), kind):
            raise PageSortError(
                f"the scores of this part cannot be used ('{key}' is {shortened(run.get(key))})",
                where=path,
                remedy="Score the part again with this version of the program",
            )
    part = Part(path, run, counts.total)
    if counts.waiting:
        what = f"{counted(counts.waiting)} of part {part.shard or '1/1'} are not scored yet"
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


def _absent_shards(parts: Sequence[Part]) -> list[str]:
    """The shards that are missing beside those that are there, as `3/8`; [] where none has any."""
    present = {part.shard for part in parts if part.shard}
    counts = {shard.partition("/")[2] for shard in present}
    every = {f"{number}/{n}" for n in counts for number in range(1, int(n) + 1)}
    return sorted(every - present)[:MOST_NAMED]


def _refuse(doubled: Sequence[Named], missing: Named, parts: Sequence[Part]) -> None:
    """Name the pages that several parts have, or that none has, if there are any, in an error."""
    for pages, part in zip(doubled, parts, strict=True):
        if pages.count:
            raise PageSortError(
                f"{counted(pages.count)} in part {part.shard or part.path.name} and in another "
                f"one, too: {pages}",
                where=part.path,
                remedy="Name every part once, and parts of one division only",
            )
    if missing.count:
        absent = _absent_shards(parts)
        which = f" (missing: part {', '.join(absent)})" if absent else ""
        raise PageSortError(
            f"{counted(missing.count)} in none of the tables{which}: {missing}",
            where=parts[0].folder,
            remedy="Name the tables of all parts; of pages that came since, each part's command "
            "takes its own with --update",
        )


def _write_tables(
    request: MergeRequest,
    journal: RunJournal,
    pieces: Pieces,
    workers: Workers,
    labels: Sequence[str],
) -> FinishedTables:
    """Put the pieces of all tables together under the names of the merged run."""
    names = journal.names
    result = names.result(request.top_n, request.max_categ)
    raw = names.raw() if request.raw else None
    failures = names.failures() if has_rows(pieces.failures) else None
    tables = [(result, pieces.results), (raw, pieces.raws), (failures, pieces.failures)]
    with (
        translate_faults(journal.path, "The finished tables cannot be written", KEPT),
        contextlib.ExitStack() as stack,
    ):
        for path, parts in tables:
            if path is not None:
                join(parts, stack.enter_context(whole(path)))
    categories = {label: pieces.categories[label] for label in labels}
    division = Division(workers, {path: parts for path, parts in tables if path is not None})
    return FinishedTables(
        result, raw, failures, categories, names.stem, journal.folder, division=division
    )


def _log_merged(parts: Sequence[Part], counts: Counts, finished: FinishedTables) -> None:
    logger.info(
        "%s of %d parts merged, %d could not be read",
        counted(counts.scored),
        len(parts),
        counts.failed,
    )
    logger.info("result table: %s", finished.result)
