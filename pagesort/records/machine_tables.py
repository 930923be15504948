"""Finished tables once more, for programs: JSON lines and Parquet beside the CSV."""

from __future__ import annotations

import csv
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pagesort.common.errors import PageSortError
from pagesort.common.files import (
    RESULTS_ELSEWHERE,
    flush,
    translate_unwritable,
    unfinished,
    whole_text,
)
from pagesort.common.optional import optional_package
from pagesort.common.tables import header_of, number, read_rows

logger = logging.getLogger(__name__)

CSV, PARQUET, JSON_LINES = "csv", "parquet", "jsonl"
FORMATS = (CSV, PARQUET, JSON_LINES)
ROWS_AT_ONCE = 50_000
CHUNKS_A_FILE = 20
"""A Parquet table of more than a million rows is a folder of files, which readers take for one."""
_PAGE = "PAGE"
_TEXTS = ("FILE", "PATH", "REASON")
_SCORES = re.compile(r"SCORE-\d+|OTHER-SCORE|AGREEMENT")
_RAW = "_RAW.csv"
_LARGEST_INTEGER = 2**63

Row = dict[str, str | int | float | None]


def check_formats(formats: Sequence[str]) -> None:
    """Refuse, before hours are spent, a format whose package is missing.

    Raises:
        PageSortError: it is not installed.
    """
    if PARQUET in formats:
        _pyarrow()


def write_copies(
    tables: Sequence[Path], formats: Sequence[str], gone: Sequence[Path]
) -> list[Path]:
    """Write finished CSV tables in other formats under the same names; returns the new paths.

    PAGE is a whole number, scores are numbers, and the rest is text; a cell without a number is
    null. Memory does not grow with the number of rows.

    Args:
        tables: of the pages' guesses, scores or failures.
        formats: some of `FORMATS`; `csv` is there already.
        gone: tables of an earlier sitting that are there no more, whose copies go, too.

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
                writers[form](table, copy)
            copies.append(copy)
    return copies


def _write_json_lines(table: Path, target: Path) -> None:
    with whole_text(target) as file:
        for row in _typed_rows(table):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_parquet(table: Path, target: Path) -> None:
    """Write one file, or where rows are many a folder of them."""
    pa = _pyarrow()
    import pyarrow.parquet as pq

    types = {int: pa.int64(), float: pa.float64(), str: pa.string()}
    kinds = _kinds(table, header_of(table))
    schema = pa.schema([(name, types[kind]) for name, kind in kinds.items()])
    rows = _fitting(_typed_rows(table))
    parts, chunk = 0, list(islice(rows, ROWS_AT_ONCE))
    with unfinished(target) as partial:
        partial.mkdir()
        while chunk or not parts:
            with pq.ParquetWriter(partial / f"part-{parts:05d}.parquet", schema) as writer:
                for _ in range(CHUNKS_A_FILE):
                    writer.write_table(pa.Table.from_pylist(chunk, schema))
                    chunk = list(islice(rows, ROWS_AT_ONCE))
                    if not chunk:
                        break
            parts += 1
        flush(partial)
        _remove(target)
        (partial if parts > 1 else partial / "part-00000.parquet").replace(target)


def _fitting(rows: Iterator[Row]) -> Iterator[Row]:
    """Rows whose page numbers fit 64 bits; of a larger one the path still tells."""
    for row in rows:
        page = row.get(_PAGE)
        if isinstance(page, int) and page >= _LARGEST_INTEGER:
            row[_PAGE] = None
        yield row


def _typed_rows(table: Path) -> Iterator[Row]:
    kinds: Mapping[str, Callable[[str], Any]] | None = None
    try:
        for row in read_rows(table):
            kinds = kinds or _kinds(table, list(row))
            yield {name: _typed(cell, kinds[name]) for name, cell in row.items()}
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise PageSortError(f"the table cannot be read ({error})", where=table) from error


def _typed(cell: str, kind: Callable[[str], Any]) -> str | int | float | None:
    if kind is str:
        return cell
    if not cell:
        return None
    return int(cell) if kind is int else number(cell)


def _kinds(table: Path, columns: Sequence[str]) -> dict[str, type]:
    """What the cells of each column are; in a table of all scores, whatever has no fixed name."""
    is_raw = table.name.endswith(_RAW)

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
