"""The table of documents: one row each, with its kinds of pages and what to do with them."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pagesort.common.files import RESULTS_ELSEWHERE, translate_unwritable
from pagesort.common.pieces import UNDIVIDED, Division, in_pieces
from pagesort.common.tables import PLAIN, TableForm, TableWriter, number, read_rows

COLUMNS = ("FILE", "PAGES", "KINDS", "REVIEW", "REVIEW-PAGES", "NEXT", "UNREAD-PAGES", "PATH")
UNSET, NONE = "unset", "none"
# In the column NOTE; nobody reads such a page, whatever its category is.
NOTHING_TO_READ = ("blank", "colour target")
REVIEW = "REVIEW"  # in the column DECISION
LONGEST_CELL = 30_000  # letters; spreadsheet programs take 32,767

# FILE, then PAGE as a number: the order of all tables, whose page numbers have no leading zeros.
Key = tuple[str, int, str]
Row = dict[str, str]


@dataclass(frozen=True)
class DocumentRules:
    """What is to be done with pages.

    `routes` is the next tool of each category, whose case does not matter; that of blank pages and
    colour targets is `none`. A page is to be reviewed where its DECISION says so; in a table
    without that column, where its score is below `review_below`.
    """

    routes: Mapping[str, str]
    review_below: float = 0.0


@dataclass
class DocumentCounts:
    """How many documents there are, pages to review and unread ones; `unset` lacks a route."""

    documents: int = 0
    review: int = 0
    unread: int = 0
    unset: set[str] = field(default_factory=set)

    def add(self, others: DocumentCounts) -> None:
        """Count the documents of another piece of the tables."""
        self.documents += others.documents
        self.review += others.review
        self.unread += others.unread
        self.unset |= others.unset


@dataclass(frozen=True)
class DocumentsTask:
    """A piece of the table of documents: from which pieces of the other tables, and where to."""

    result: Path
    failures: Path | None
    target: Path
    rules: DocumentRules
    form: TableForm


class Runs:
    """Pages in order as text, such as `TEXT_T 1–4, 6, PHOTO 7`; a name stands where it changes.

    Of a document with very many runs the last ones are counted only, so that the text fits a cell.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._left_out = 0
        self._written: str | None = None
        self._run: tuple[str, int, int] | None = None

    def add(self, page: int, name: str = "") -> None:
        """Add the next page."""
        if self._run is not None:
            before, first, last = self._run
            if name == before and last <= page <= last + 1:
                self._run = before, first, page
                return
            self._close(self._run)
        self._run = name, page, page

    def __str__(self) -> str:
        if self._run is not None:
            self._close(self._run)
            self._run = None
        more = [f"and {self._left_out} more runs"] if self._left_out else []
        return ", ".join(self._parts + more)

    def _close(self, run: tuple[str, int, int]) -> None:
        name, first, last = run
        pages = str(first) if first == last else f"{first}–{last}"
        part = f"{name} {pages}" if name and name != self._written else pages
        if self._left_out or self._length + len(part) > LONGEST_CELL:
            self._left_out += 1
            return
        self._written = name
        self._length += len(part) + 2
        self._parts.append(part)


def write_documents(
    result: Path,
    failures: Path | None,
    target: Path,
    rules: DocumentRules,
    form: TableForm = PLAIN,
    division: Division = UNDIVIDED,
) -> DocumentCounts:
    """Write the table of documents from the finished tables of a run or of a vote.

    Both tables are read once, side by side, and one document is in memory at a time. Of divided
    tables, each process takes pieces, as these hold whole documents.

    Args:
        result: the table of guesses or of votes, as it was written.
        failures: the table of pages that could not be read; None where there is none.
        target: replaced when the new table is complete.

    Raises:
        PageSortError: a table cannot be read, or `target` cannot be written.
    """
    counts = DocumentCounts()
    results = division.of(result)
    failed: Sequence[Path | None] = division.of(failures) if failures else [None] * len(results)
    with (
        translate_unwritable(target, "the table of documents cannot be written", RESULTS_ELSEWHERE),
        in_pieces(target, results) as written,
    ):
        tasks = (
            DocumentsTask(*files, rules, form)
            for files in zip(results, failed, written, strict=True)
        )
        for piece in division.workers.in_order(write_piece, tasks):
            counts.add(piece)
    return counts


def write_piece(task: DocumentsTask) -> DocumentCounts:
    """Write the table of documents of a piece of the tables, or of all of them."""
    counts = DocumentCounts()
    routes = {label.casefold(): tool for label, tool in task.rules.routes.items()}
    rows = heapq.merge(_rows(task.result), _rows(task.failures), key=_key)
    with task.target.open("w", encoding="utf-8", newline="") as file:
        writer = TableWriter(file, task.form)
        writer.write(COLUMNS)
        for name, pages in itertools.groupby(rows, key=lambda row: row["FILE"]):
            writer.write([name, *_cells(pages, routes, task.rules.review_below, counts)])
            counts.documents += 1
    return counts


def _cells(
    rows: Iterable[Row], routes: Mapping[str, str], review_below: float, counts: DocumentCounts
) -> list[object]:
    """The cells of one document behind its name."""
    kinds, review, tools, unread = Runs(), Runs(), Runs(), Runs()
    is_closed, path = False, ""
    pages = to_review = 0
    for row in _without_doubles(rows):
        path = path or row.get("PATH", "")
        if not row["PAGE"]:  # a document that could not be opened
            is_closed = True
            counts.unread += 1
            continue
        page = int(row["PAGE"])
        pages += 1
        if "REASON" in row:
            unread.add(page)
            counts.unread += 1
            continue
        label = row.get("CLASS-1") or row["VOTE"]
        tool = _tool(label, row.get("NOTE", ""), routes)
        if tool == UNSET:
            counts.unset.add(label)
        kinds.add(page, label)
        tools.add(page, tool)
        if _needs_review(row, review_below):
            review.add(page)
            to_review += 1
    counts.review += to_review
    gone = "all" if is_closed else str(unread)
    return [pages, str(kinds), to_review, str(review), str(tools), gone, path]


def _without_doubles(rows: Iterable[Row]) -> Iterator[Row]:
    """Leave out that one of several models could not read a page that another one has read."""
    read: tuple[str, str] | None = None
    for row in rows:
        place = row["PAGE"], row.get("PATH", "")
        if "REASON" in row and place == read:
            continue
        read = None if "REASON" in row else place
        yield row


def _tool(label: str, note: str, routes: Mapping[str, str]) -> str:
    if note in NOTHING_TO_READ:
        return NONE
    return routes.get(label.casefold(), UNSET)


def _needs_review(row: Row, review_below: float) -> bool:
    if "DECISION" in row:
        return row["DECISION"] == REVIEW
    return number(row.get("SCORE-1") or row["AGREEMENT"]) < review_below


def _key(row: Row) -> Key:
    return row["FILE"], len(row["PAGE"]), row["PAGE"]


def _rows(path: Path | None) -> Generator[Row]:
    """Yield the rows of a table that was just written."""
    if path is not None:
        yield from read_rows(path)
