"""Finished tables once more, for programs: JSON lines and Parquet beside the CSV."""

from __future__ import annotations

import itertools
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagesort.common.files import (
    RESULTS_ELSEWHERE,
    flush,
    translate_unreadable,
    translate_unwritable,
    unfinished,
)
from pagesort.common.optional import optional_package
from pagesort.common.pieces import UNDIVIDED, Division, in_pieces
from pagesort.common.tables import (
    CSV,
    JSON_LINES,
    PARQUET,
    header_of,
    number,
    read_column,
    read_rows,
)

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 50_000
CHUNKS_A_FILE = 20
"""A Parquet table of more than a million rows is a folder of files, which readers take for one."""
_PAGE = "PAGE"
_TEXTS = ("FILE", "PATH", "REASON")
_SCORES = re.compile(r"SCORE-\d+|OTHER-SCORE|AGREEMENT")
_RAW = "_RAW.csv"
_LARGEST_INTEGER = 2**63

Row = dict[str, str | int | float | None]
LinesTask = tuple[Path, bool, Path]  # a piece of a table, whether that has all scores, where to


@dataclass(frozen=True)
class FilesTask:
    """Rows that become Parquet files: at most `most` of `sources`, behind some that are `skipped`.

    The first file in `folder` is called by `number`. `is_raw` tells that rows hold all scores.
    """

    folder: Path
    number: int
    sources: Sequence[Path]
    is_raw: bool
    skipped: int
    most: int | None


def check_formats(formats: Sequence[str]) -> None:
    """Refuse, before hours are spent, a format whose package is missing.

    Raises:
        PageSortError: it is not installed.
    """
    if PARQUET in formats:
        _pyarrow()


def write_copies(
    tables: Sequence[Path],
    formats: Sequence[str],
    gone: Sequence[Path],
    division: Division = UNDIVIDED,
) -> list[Path]:
    """Write finished CSV tables in other formats under the same names; returns the new paths.

    PAGE is a whole number, scores are numbers, and the rest is text; a cell without a number is
    null. Memory does not grow with the number of rows.

    Args:
        tables: of the pages' guesses, scores or failures.
        formats: some of `FORMATS`; `csv` is there already.
        gone: tables of an earlier sitting that are there no more, whose copies go, too.
        division: of tables that several processes have written, who write their copies as well.

    Raises:
        PageSortError: a table cannot be read, or a copy cannot be written.
    """
    for table in gone:
        for form in (PARQUET, JSON_LINES):
            _remove(table.with_suffix(f".{form}"))
    writers = {JSON_LINES: _write_json_lines, PARQUET: _write_parquet}
    copies = []
    for form in formats:
        if form == CSV:
            continue
        for table in tables:
            copy = table.with_suffix(f".{form}")
            with translate_unwritable(copy, "the table cannot be written", RESULTS_ELSEWHERE):
                writers[form](table, copy, division)
            copies.append(copy)
    return copies


def _write_json_lines(table: Path, target: Path, division: Division) -> None:
    pieces = division.of(table)
    with in_pieces(target, pieces) as written:
        tasks = ((piece, _is_raw(table), out) for piece, out in zip(pieces, written, strict=True))
        for _ in division.workers.in_order(write_lines, tasks):
            pass


def write_lines(task: LinesTask) -> None:
    """Write the JSON lines of a table of pages, or of a piece of one."""
    table, is_raw, target = task
    with target.open("w", encoding="utf-8", newline="") as file:
        for row in _typed_rows(table, is_raw):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_parquet(table: Path, target: Path, division: Division) -> None:
    """Write one file, or where rows are many a folder of them."""
    with unfinished(target) as partial:
        partial.mkdir()
        files = sum(division.workers.in_order(write_files, _files_tasks(table, partial, division)))
        flush(partial)
        _remove(target)
        (partial if files > 1 else partial / "part-00000.parquet").replace(target)


def _files_tasks(table: Path, folder: Path, division: Division) -> Iterator[FilesTask]:
    """Say which Parquet files a process writes; of a divided table, one at a time."""
    pieces, is_raw = division.of(table), _is_raw(table)
    if len(pieces) == 1:
        yield FilesTask(folder, 0, pieces, is_raw, 0, None)
        return
    rows = list(division.workers.in_order(count_rows, pieces))
    ends = list(itertools.accumulate(rows))
    most = ROWS_AT_ONCE * CHUNKS_A_FILE
    for part, first in enumerate(range(0, max(ends[-1], 1), most)):
        held = [place for place, end in enumerate(ends) if first < end < first + most + rows[place]]
        start = ends[held[0]] - rows[held[0]] if held else 0
        sources = [pieces[place] for place in held] or pieces[:1]
        yield FilesTask(folder, part, sources, is_raw, first - start, most)


def count_rows(table: Path) -> int:
    """How many rows a table of pages has."""
    return sum(1 for _ in read_column(table, "PATH"))


def write_files(task: FilesTask) -> int:
    """Write some rows of a table of pages into Parquet files; how many files that took."""
    pa = _pyarrow()
    import pyarrow.parquet as pq

    types = {int: pa.int64(), float: pa.float64(), str: pa.string()}
    kinds = _kinds(header_of(task.sources[0]), task.is_raw)
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    every = itertools.chain.from_iterable(_typed_rows(each, task.is_raw) for each in task.sources)
    last = None if task.most is None else task.skipped + task.most
    rows = _fitting(itertools.islice(every, task.skipped, last))
    files, chunk = 0, list(itertools.islice(rows, ROWS_AT_ONCE))
    while chunk or not files:
        path = task.folder / f"part-{task.number + files:05d}.parquet"
        with pq.ParquetWriter(path, schema) as writer:
            for _ in range(CHUNKS_A_FILE):
                writer.write_table(pa.Table.from_pylist(chunk, schema))
                chunk = list(itertools.islice(rows, ROWS_AT_ONCE))
                if not chunk:
                    break
        files += 1
    return files


def _fitting(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows whose page numbers fit 64 bits; of a larger one the path still tells."""
    for row in rows:
        page = row.get(_PAGE)
        if isinstance(page, int) and page >= _LARGEST_INTEGER:
            row[_PAGE] = None
        yield row


def _typed_rows(table: Path, is_raw: bool) -> Iterator[Row]:
    kinds: Mapping[str, Callable[[str], Any]] | None = None
    with translate_unreadable(table, "the table cannot be read", also=(ValueError,)):
        for row in read_rows(table):
            kinds = kinds or _kinds(list(row), is_raw)
            yield {name: _typed(cell, kinds[name]) for name, cell in row.items()}


def _typed(cell: str, kind: Callable[[str], Any]) -> str | int | float | None:
    if kind is str:
        return cell
    if not cell:
        return None
    return int(cell) if kind is int else number(cell)


def _is_raw(table: Path) -> bool:
    return table.name.endswith(_RAW)


def _kinds(columns: Sequence[str], is_raw: bool) -> dict[str, type]:
    """What the cells of each column are; in a table of all scores, whatever has no fixed name."""

    def kind(name: str) -> type:
        if name == _PAGE:
            return int
        return float if _SCORES.fullmatch(name) or (is_raw and name not in _TEXTS) else str

    return {name: kind(name) for name in columns}


def _pyarrow() -> Any:
    return optional_package(
        "pyarrow", "writing .parquet", "requirements-parquet.txt", "use --format jsonl"
    )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
