"""The rows of a table of FILE, PAGE, CLASS and perhaps PATH, as people really write it."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unreadable
from pagesort.common.tables import BOM, number, restored
from pagesort.sorting.destination import folder_name_problem
from utils import IMAGE_SUFFIXES, page_name

logger = logging.getLogger(__name__)

CLASS_COLUMNS = ("CLASS", "CATEGORY", "CLASS-1", "VOTE")  # the first of them that the table has
NO_SCORES = ("FILE", "PAGE", "NOTE", "PATH")  # columns of a RAW table that are no class's
LINE_END = re.compile(r"\r\n|\r|\n")
DELIMITERS = (",", ";", "\t", "|")
MOST_DIGITS = 1000  # of a page number; no name of a file has more

Problem = tuple[int, str, object, str, str]  # line, FILE, PAGE, CLASS, and what is wrong


@dataclass(frozen=True)
class Row:
    """One line of the table that names a page: `line` counts from 1, the header's.

    `path` is "" where the table has no column PATH, or nothing in it; so is `folder`.
    """

    line: int
    file: str
    page: int
    label: str
    path: str = ""
    folder: str = ""

    def problem(self, what: str) -> Problem:
        """What a list of problems says of the row."""
        return self.line, self.file, self.page, self.label, what


def read_table(
    path: Path, wanted: Sequence[str] = CLASS_COLUMNS
) -> tuple[list[Row], list[Problem]]:
    """Read the rows of a table, and the problems of lines that name no page.

    UTF-8 with or without a BOM, UTF-16 with one, else Windows-1250; commas, semicolons, tabs or
    bars; any line ends; blanks around cells are dropped, but for PATH. Other columns are passed
    over.

    Args:
        path: the table.
        wanted: the first of these columns that the table has is taken for a page's label.

    Raises:
        PageSortError: it cannot be read, or lacks one of the columns.
    """
    with translate_unreadable(path, "cannot read the table"):
        text = _decode(path.read_bytes())
    is_for_excel, text = text.startswith(BOM), text.removeprefix(BOM)
    first, _, rest = _split_line(text)
    skipped = first.lower().startswith("sep=")  # a hint for Excel
    text = rest if skipped else text
    columns = _columns(_split_line(text)[0], path, wanted)
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=columns.delimiter,
        # Our own tables have none between cells, and a path may begin with one.
        skipinitialspace="PATH" not in columns.places,
    )
    next(reader)
    rows: list[Row] = []
    problems: list[Problem] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            cells = [restored(cell) for cell in cells] if is_for_excel else cells
            row = _read_row(columns.named(cells), reader.line_num + skipped)
            rows.append(row) if isinstance(row, Row) else problems.append(row)
    except csv.Error as error:
        raise PageSortError(
            f"the table cannot be read ({error})", where=f"{path}, line {reader.line_num + skipped}"
        ) from error
    return rows, problems


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        logger.info("the table is not UTF-8, so it is read as Windows-1250")
        return data.decode("cp1250", "replace")


def _split_line(text: str) -> tuple[str, str, str]:
    """Split off the first line: the line, its end, and the rest."""
    end = LINE_END.search(text)
    return (text, "", "") if end is None else (text[: end.start()], end[0], text[end.end() :])


@dataclass(frozen=True)
class _Columns:
    """Where a table's cells are; of one with a score for each class, `scores` are their columns."""

    delimiter: str
    places: dict[str, int]
    scores: dict[str, int]

    def named(self, cells: Sequence[str]) -> dict[str, str]:
        """A row's FILE, PAGE, CLASS, PATH and FOLDER; cells that it lacks are empty."""

        def cell(place: int) -> str:
            return cells[place] if place < len(cells) else ""

        row = {name: cell(place) for name, place in self.places.items()}
        if self.scores:
            with contextlib.suppress(ValueError):  # no number: no class
                row["CLASS"] = max(self.scores, key=lambda name: number(cell(self.scores[name])))
        return row


def _columns(header: str, path: Path, wanted: Sequence[str]) -> _Columns:
    """Tell the delimiter and the places of the columns from the first line."""
    for delimiter in DELIMITERS:
        given: list[str] = []
        with contextlib.suppress(csv.Error):  # a cell longer than any name
            given = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        names = [name.strip().upper() for name in given]
        if not {"FILE", "PAGE"} <= set(names):
            continue
        places = {name: names.index(name) for name in ("FILE", "PAGE")}
        if "PATH" in names:
            places["PATH"] = len(names) - 1 - names[::-1].index("PATH")
        if "FOLDER" in names:
            places["FOLDER"] = names.index("FOLDER")
        label = next((name for name in wanted if name in names), None)
        if label is not None:
            return _Columns(delimiter, places | {"CLASS": names.index(label)}, {})
        scores = {given[place]: place for place, name in enumerate(names) if name not in NO_SCORES}
        is_raw = "PATH" in names and "REASON" not in names and CLASS_COLUMNS[0] in wanted
        if scores and is_raw:
            return _Columns(delimiter, places, scores)
    raise PageSortError(
        f"the table's first line does not name the columns FILE, PAGE and {wanted[0]}",
        where=path,
        remedy=f"It reads: {header.strip()[:60]!r}" if header.strip() else "The table is empty",
    )


def _read_row(cells: Mapping[str, str], line: int) -> Row | Problem:
    file, page, label = (
        unicodedata.normalize("NFC", cells.get(name, "").strip())
        for name in ("FILE", "PAGE", "CLASS")
    )
    path = cells.get("PATH", "")
    problem = folder_name_problem(label)
    page_number: int | None = None
    if not path and LINE_END.search(file + label):
        problem = "a quotation mark opens and is not closed; the lines up to it were not read"
    elif not (file or path):
        problem = "FILE is empty"
    elif not page:
        # The name of a page's own file, or of a document of one page.
        has_ending = Path(file).suffix.lower() in IMAGE_SUFFIXES
        page_number = page_name(file)[1] if has_ending else 1
    else:
        page_number = _page_number(page)
        if page_number is None:
            problem = "PAGE is not a whole number"
    if problem is not None or page_number is None:
        return line, file, page, label, problem or ""
    return Row(line, file, page_number, label, path, cells.get("FOLDER", ""))


def _page_number(text: str) -> int | None:
    """Read a page number, with leading zeros, or with `.0` as spreadsheets like to write it."""
    whole, _, rest = text.replace(",", ".").partition(".")
    digits = whole.lstrip("0") or whole[:1]
    if not whole.isascii() or not whole.isdigit() or rest.strip("0"):
        return None
    return int(digits) if len(digits) <= MOST_DIGITS else None
