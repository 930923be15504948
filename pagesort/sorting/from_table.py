"""A table of FILE, PAGE, CLASS, as people really write it, and the sorting of pages by it."""

from __future__ import annotations

import codecs
import contextlib
import csv
import filecmp
import io
import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.files import exclusive, readable_folder, unwritable, write_list
from pagesort.common.text import MOST_NAMED
from pagesort.pages.loader import PageRef
from pagesort.sorting.pdf_to_png import ONE_PAGERS
from pagesort.sorting.placer import Placer, SortReport, folder_name_problem, log_report
from utils import IMAGE_SUFFIXES, list_pages, page_name

logger = logging.getLogger(__name__)

PROBLEMS_NAME = "sort_PROBLEMS.csv"
CLASS_COLUMNS = ("CLASS", "CATEGORY", "CLASS-1")  # the first of them that the table has
LINE_END = re.compile(r"\r\n|\r|\n")
DELIMITERS = (",", ";", "\t", "|")
MOST_DIGITS = 1000  # of a page number; no name of a file has more
# Endings that people leave on the names of documents.
DOCUMENT_SUFFIXES = (*IMAGE_SUFFIXES, ".pdf")

Key = tuple[str, int]


@dataclass(frozen=True)
class Row:
    """One line of the table that names a page: `line` counts from 1, the header's."""

    line: int
    file: str
    page: int
    label: str


@dataclass(frozen=True)
class SortJob:
    """What to sort: `link` is copy, hard, sym or move."""

    table: Path
    folder: Path
    out: Path
    link: str
    dry_run: bool


@dataclass
class TableReport:
    """What was done; `problems` are (line, FILE, PAGE, CLASS, what is wrong)."""

    manifest: Path | None = None
    problem_list: Path | None = None
    planned: list[str] = field(default_factory=list)
    problems: list[tuple[object, ...]] = field(default_factory=list)


def sort_by_table(job: SortJob) -> TableReport:
    """Put the pages that a table names into `<out>/<CLASS>/`.

    Rows that contradict one another, name no page or a class that cannot be a folder are left out
    and listed in `<out>/sort_PROBLEMS.csv`.

    Raises:
        PageSortError: the table or a folder cannot be read or written.
    """
    readable_folder(job.folder)
    report = TableReport()
    rows = _settled(read_table(job.table, report), report)
    found = find_pages(rows, job.folder, job.out)
    if job.dry_run:
        for row, source in _choose(rows, found, job, report):
            report.planned.append(f"{source}\t{job.out / row.label / source.name}")
        _log_problems(report)
        return report
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(error, job.out) from error
    done = SortReport()
    with exclusive(job.out):
        with Placer(job.out, job.link, done) as placer:
            for row, source in _choose(rows, found, job, report):
                try:
                    placer.place(PageRef(row.line, source), row.label)
                except PageUnreadableError as error:
                    report.problems.append(_problem(row, error.what))
        header = ("LINE", "FILE", "PAGE", "CLASS", "PROBLEM")
        write_list(job.out / PROBLEMS_NAME, header, report.problems)
    log_report(done, job.out)
    report.manifest = done.manifest
    report.problem_list = job.out / PROBLEMS_NAME if report.problems else None
    _log_problems(report)
    return report


def read_table(path: Path, report: TableReport) -> list[Row]:
    """Read the rows of a table; lines that name no page go to the report.

    UTF-8 with or without a BOM, UTF-16 with one, else Windows-1250; commas, semicolons, tabs or
    bars; any line ends; blanks around cells are dropped. Other columns are passed over.

    Raises:
        PageSortError: it cannot be read, or lacks one of the columns.
    """
    try:
        text = _decode(path.read_bytes())
    except OSError as error:
        raise PageSortError(
            f"cannot read the table ({(error.strerror or '').lower()})", where=path
        ) from error
    first, _, rest = _split_line(text)
    skipped = first.lower().startswith("sep=")  # a hint for Excel
    text = rest if skipped else text
    delimiter, columns = _columns(_split_line(text)[0], path)
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    next(reader)
    rows = []
    try:
        for cells in reader:
            row = _read_row(cells, columns, reader.line_num + skipped, report)
            if row is not None:
                rows.append(row)
    except csv.Error as error:
        raise PageSortError(
            f"the table cannot be read ({error})", where=f"{path}, line {reader.line_num + skipped}"
        ) from error
    return rows


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        logger.info("the table is not UTF-8, so it is read as Windows-1250")
        return data.decode("cp1250", "replace")


def _split_line(text: str) -> tuple[str, str, str]:
    """Split off the first line: the line, its end, and the rest."""
    end = LINE_END.search(text)
    return (text, "", "") if end is None else (text[: end.start()], end[0], text[end.end() :])


def _columns(header: str, path: Path) -> tuple[str, tuple[int, int, int]]:
    """Tell the delimiter and the places of FILE, PAGE and CLASS from the first line."""
    for delimiter in DELIMITERS:
        names = []
        with contextlib.suppress(csv.Error):  # a cell longer than any name
            names = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        names = [name.strip().upper() for name in names]
        label = next((name for name in CLASS_COLUMNS if name in names), None)
        if label is not None and {"FILE", "PAGE"} <= set(names):
            return delimiter, (names.index("FILE"), names.index("PAGE"), names.index(label))
    raise PageSortError(
        "the table's first line does not name the columns FILE, PAGE and CLASS",
        where=path,
        remedy=f"It reads: {header.strip()[:60]!r}" if header.strip() else "The table is empty",
    )


def _read_row(
    cells: list[str], columns: tuple[int, int, int], line: int, report: TableReport
) -> Row | None:
    if not any(cell.strip() for cell in cells):
        return None
    file, page, label = (
        unicodedata.normalize("NFC", cells[place].strip()) if place < len(cells) else ""
        for place in columns
    )
    problem = folder_name_problem(label)
    number: int | None = None
    if LINE_END.search(file + label):
        problem = "a quotation mark opens and is not closed; the lines up to it were not read"
    elif not file:
        problem = "FILE is empty"
    elif not page:
        # The name of a page's own file, or of a document of one page.
        has_ending = Path(file).suffix.lower() in IMAGE_SUFFIXES
        file, number = page_name(file) if has_ending else (file, 1)
    else:
        number = _number(page)
        if number is None:
            problem = "PAGE is not a whole number"
    if problem is not None or number is None:
        report.problems.append((line, file, page, label, problem))
        return None
    return Row(line, file, number, label)


def _number(text: str) -> int | None:
    """Read a page number, with leading zeros, or with `.0` as spreadsheets like to write it."""
    whole, point, rest = text.partition(".")
    digits = whole.lstrip("0") or whole[:1]
    if not whole.isascii() or not whole.isdigit() or (point and rest.strip("0")):
        return None
    return int(digits) if len(digits) <= MOST_DIGITS else None


def _settled(rows: Iterable[Row], report: TableReport) -> list[Row]:
    """Leave one row a page; doubles are listed, and of contradicting ones none is left."""
    by_page: dict[Key, list[Row]] = {}
    for row in rows:
        by_page.setdefault((_without_ending(row.file), row.page), []).append(row)
    settled = []
    for same in by_page.values():
        if len({row.label for row in same}) > 1:
            labels = ", ".join(f"{row.label} (line {row.line})" for row in same)
            report.problems += [_problem(row, f"contradiction: {labels}") for row in same]
            continue
        settled.append(same[0])
        double = f"double of line {same[0].line}"
        report.problems += [_problem(row, double) for row in same[1:]]
    return settled


def find_pages(rows: Iterable[Row], folder: Path, out: Path) -> dict[Key, list[Path]]:
    """Look for the rows' pages in a folder and its subfolders, whatever the padding of numbers.

    Pages in `out` are left out. Of several, those in a folder of the document's name come first,
    those in `onepagers` last.
    """
    wanted = {}
    for row in rows:
        wanted[row.file, row.page] = (row.file, row.page)
        wanted.setdefault((_without_ending(row.file), row.page), (row.file, row.page))
    found: dict[Key, list[Path]] = {}
    root = out.resolve()
    resolved: dict[Path, Path] = {}  # folders, as each step of a path asks the file system
    endings = [suffix.lstrip(".") for suffix in IMAGE_SUFFIXES]
    for path in list_pages(folder, endings, inner=True):
        inside = path.parent.relative_to(folder).as_posix()
        inside = unicodedata.normalize("NFC", inside)
        keys = list(_keys(path))
        # A result table tells pages of one FILE and PAGE apart by their folder.
        keys = [(f"{inside}/{file}", page) for file, page in keys] + keys
        key = next((wanted[key] for key in keys if key in wanted), None)
        if key is None:
            continue
        if path.parent not in resolved:
            resolved[path.parent] = path.parent.resolve()
        real = path.resolve() if path.is_symlink() else resolved[path.parent] / path.name
        if root not in real.parents:
            found.setdefault(key, []).append(path)
    for paths in found.values():
        paths.sort(key=_rank)
    return found


def _without_ending(file: str) -> str:
    """The name of a document, where a table gives that of its file."""
    ending = Path(file).suffix.lower()
    return file[: -len(ending)] if ending in DOCUMENT_SUFFIXES else file


def _keys(path: Path) -> Iterator[Key]:
    """What a table may call a page: by its number, or as the only page of a document."""
    stem = unicodedata.normalize("NFC", path.stem)
    file, page = page_name(path.with_name(stem + path.suffix))
    yield file, page
    # `report-24` is page 24 of a report for sure, but `CTX1932` may be a document of one page.
    if len(stem) > len(file) and stem[len(file)].isdigit():
        yield stem, 1


def _rank(path: Path) -> tuple[bool, bool, bool]:
    folder = path.parent.name
    return (folder == ONE_PAGERS, not path.stem.startswith(folder), path.suffix.lower() != ".png")


def _choose(
    rows: Iterable[Row], found: dict[Key, list[Path]], job: SortJob, report: TableReport
) -> Iterator[tuple[Row, Path]]:
    """Yield each row with its page; a row without one, or with several, goes to the report."""
    moved = find_pages(rows, job.out, job.out / "-") if job.out.is_dir() else {}
    for row in rows:
        paths = found.get((row.file, row.page), [])
        before = moved.get((row.file, row.page), [])
        if not paths:
            places = {path.parent.name for path in before}
            if row.label not in places:
                problem = "page not found" if not places else f"sorted before, as {min(places)}"
                report.problems.append(_problem(row, problem))
            continue
        others = {
            path.parent.name
            for path in before
            if path.parent.name != row.label and filecmp.cmp(path, paths[0], shallow=False)
        }
        if others:
            problem = f"sorted before, as {min(others)}; take that back with --undo, or remove it"
            report.problems.append(_problem(row, problem))
            continue
        rivals = [path for path in paths[1:] if _rank(path) == _rank(paths[0])]
        if any(path.read_bytes() != paths[0].read_bytes() for path in rivals):
            names = " and ".join(str(path.relative_to(job.folder)) for path in (paths[0], *rivals))
            report.problems.append(_problem(row, f"several pages have this name: {names}"))
            continue
        yield row, paths[0]


def _problem(row: Row, problem: str) -> tuple[object, ...]:
    return row.line, row.file, row.page, row.label, problem


def _log_problems(report: TableReport) -> None:
    report.problems.sort(key=lambda problem: int(str(problem[0])))
    for line, file, page, label, problem in report.problems[:MOST_NAMED]:
        logger.warning("line %s (%s, %s, %s): %s", line, file, page, label, problem)
    if len(report.problems) > MOST_NAMED:
        logger.warning("and %d more", len(report.problems) - MOST_NAMED)
