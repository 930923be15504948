"""CSV tables in two forms: plain, and as the spreadsheet program of this machine opens them."""

from __future__ import annotations

import contextlib
import csv
import locale
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unreadable

CSV, PARQUET, JSON_LINES = "csv", "parquet", "jsonl"
FORMATS = (CSV, PARQUET, JSON_LINES)
"""What a table can be written as; CSV always is."""
FAILED_ENDING = "_FAILED.csv"
"""How the name of a table ends that lists pages which could not be used."""
BOM = "\ufeff"
AS_CSV = "Save it as CSV in UTF-8"
MOST_NUMBERS = 10_000  # that a writer remembers as text; scores have three places
# What a spreadsheet would compute instead of showing it; more apostrophes keep this reversible.
FORMULA = re.compile(r"'*[=+\-@\t\r]")
HIDDEN_FORMULA = re.compile(r"'+[=+\-@\t\r]")
FIRST_CELL = re.compile(r'"?FILE"?(.)', re.DOTALL | re.IGNORECASE)
# Languages that write 0.5, for locales that are named but not installed; the others write 0,5.
POINT_LANGUAGES = ("c", "posix", "en", "zh", "ja", "ko", "th", "he", "ga", "cy", "mt")
WINDOWS_DECIMAL, WINDOWS_LIST = 0x0E, 0x0C


@dataclass(frozen=True)
class TableForm:
    """How a table is written: with `is_for_excel`, it begins with a BOM and holds no formula."""

    delimiter: str = ","
    decimal: str = "."
    is_for_excel: bool = False


PLAIN = TableForm()


def table_form(is_for_excel: bool) -> TableForm:
    """The form of the tables of a run."""
    return excel_form() if is_for_excel else PLAIN


def excel_form() -> TableForm:
    """The form that Excel and LibreOffice of this machine's locale open by a click."""
    if sys.platform == "win32":
        return TableForm(_windows_fact(WINDOWS_LIST), _windows_fact(WINDOWS_DECIMAL), True)
    decimal = _decimal_sign()
    return TableForm(";" if decimal == "," else ",", decimal, True)


def _decimal_sign() -> str:
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, "")
        return str(locale.localeconv()["decimal_point"])
    except locale.Error:
        named = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_NUMERIC", "LANG"))), "C")
        language = re.split(r"[_.@-]", named)[0].lower()
        return "." if language in POINT_LANGUAGES else ","
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


def _windows_fact(number: int) -> str:
    import ctypes

    text = ctypes.create_unicode_buffer(8)
    if sys.platform == "win32":
        ctypes.WinDLL("kernel32").GetLocaleInfoEx(None, number, text, len(text))
    return text.value or (";" if number == WINDOWS_LIST else ",")


class TableWriter:
    """Writes rows to a file that was opened as UTF-8 with `newline=""`."""

    def __init__(self, file: IO[str], form: TableForm = PLAIN) -> None:
        self.form = form
        if form.is_for_excel:
            file.write(BOM)
        self._numbers: dict[object, str] = {}  # rounded scores as text
        self._writer = csv.writer(file, delimiter=form.delimiter, lineterminator="\n")
        self._quoting = csv.writer(
            file, delimiter=form.delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL
        )

    def write(self, row: Iterable[object]) -> None:
        """Write one row; a number keeps all its digits, and NaN is an empty cell."""
        cells = [self._cell(value) for value in row]
        # The csv module reads a carriage return in quotation marks only, and would not write them.
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (self._quoting if has_return else self._writer).writerow(cells)

    def write_columns(self, columns: Sequence[Sequence[object]]) -> None:
        """Write rows that are given by their columns, as `write` does one by one, but faster."""
        cells = [self._column(column) for column in columns]
        if any("\r" in _letters(column) for column in cells):
            for row in zip(*columns, strict=True):
                self.write(row)
        else:
            self._writer.writerows(zip(*cells, strict=True))

    def _column(self, values: Sequence[object]) -> list[object]:
        kinds = set(map(type, values))
        if kinds == {str} and not self.form.is_for_excel:
            return list(values)
        if kinds == {float}:
            known = self._numbers.get
            return [known(value) or self._cell(value) for value in values]
        return [self._cell(value) for value in values]

    def _cell(self, value: object) -> object:
        if isinstance(value, str):
            is_risky = self.form.is_for_excel and FORMULA.match(value) is not None
            return f"'{value}" if is_risky else value
        if isinstance(value, float):
            return self._number(float(value))
        return value

    def _number(self, value: float) -> str:
        if value != value:
            return ""
        text = repr(value).replace(".", self.form.decimal)
        if value and len(self._numbers) < MOST_NUMBERS:  # 0.0 and -0.0 are one key
            self._numbers[value] = text
        return text


def _letters(cells: Sequence[object]) -> str:
    """All letters of some cells."""
    try:
        return "".join(cells)  # type: ignore[arg-type]
    except TypeError:  # some are no text
        return "".join(cell for cell in cells if isinstance(cell, str))


def read_rows(path: Path, remedy: str = AS_CSV) -> Iterator[dict[str, str]]:
    """Yield the rows of a table of either form, as column -> cell; a short row has empty cells.

    Args:
        path: the table.
        remedy: what to do about one that cannot be read.

    Raises:
        PageSortError: it cannot be read.
    """
    with _opened(path, remedy) as (rows, is_for_excel):
        header = next(rows, [])
        for row in rows:
            if not row:
                continue
            cells = [row[place] if place < len(row) else "" for place in range(len(header))]
            if is_for_excel:
                cells = [restored(cell) for cell in cells]
            yield dict(zip(header, cells, strict=True))


def read_column(path: Path, name: str) -> Iterator[str]:
    """Yield the cells of one column as `read_rows` does, but faster; none where it is missing."""
    with _opened(path) as (rows, is_for_excel):
        header = next(rows, [])
        if name not in header:
            return
        place = header.index(name)
        cells = (row[place] if place < len(row) else "" for row in rows if row)
        yield from map(restored, cells) if is_for_excel else cells


def rows_by_name(
    stream: IO[str], needed: Iterable[str], where: Path, remedy: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line and cells of each row of a person's own table, by column name in small letters.

    Comma, semicolon or tab part the cells, whichever the header has most of; a short row has empty
    cells.

    Args:
        stream: opened as UTF-8 with `newline=""`, before its first line.
        needed: columns that it must have.
        where: the file.
        remedy: what to do about a column that is missing.

    Raises:
        PageSortError: a needed column is missing, or the table is damaged.
    """
    header = stream.readline().removeprefix(BOM)
    delimiter = max(",;\t", key=header.count)
    try:
        first = next(csv.reader([header], delimiter=delimiter), [])
        names = [name.strip().lower() for name in first]
        for name in needed:
            if name not in names:
                raise PageSortError(f"the table has no column {name}", where=where, remedy=remedy)
        rows = csv.reader(stream, delimiter=delimiter)
        for row in rows:
            cells = [row[place] if place < len(row) else "" for place in range(len(names))]
            yield rows.line_num + 1, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        what = f"the table is damaged ({error})"
        raise PageSortError(what, where=where, remedy=AS_CSV) from error


def header_of(path: Path) -> list[str]:
    """The columns of a table of either form; raises as `read_rows` does."""
    with _opened(path) as (rows, _):
        return next(rows, [])


@contextlib.contextmanager
def _opened(path: Path, remedy: str = AS_CSV) -> Iterator[tuple[Iterator[list[str]], bool]]:
    """The rows of a table, its header the first, and whether it was written for Excel."""
    faults = (UnicodeDecodeError, csv.Error)
    with (
        translate_unreadable(path, "the table cannot be read", remedy, faults),
        path.open(encoding="utf-8", newline="") as file,
    ):
        is_for_excel = file.read(1) == BOM
        start = file.tell() if is_for_excel else 0
        file.seek(start)
        first = FIRST_CELL.match(file.read(len('"FILE",')))
        file.seek(start)
        yield csv.reader(file, delimiter=first[1] if first else ","), is_for_excel


def restored(cell: str) -> str:
    """A cell of a table for spreadsheets as it was before it was kept from being a formula."""
    return cell[1:] if HIDDEN_FORMULA.match(cell) else cell


def share(cell: str) -> float | None:
    """The number from 0 to 1 in a cell, which a person may have edited; None for no such."""
    try:
        value = number(cell)
    except ValueError:
        return None
    return value if 0.0 <= value <= 1.0 else None


def number(cell: str) -> float:
    """A cell's number, with either decimal sign.

    Raises:
        ValueError: it holds none.
    """
    return float(cell.replace(",", "."))
