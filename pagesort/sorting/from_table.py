"""The sorting of pages into folders by a table that names them."""

from __future__ import annotations

import filecmp
import logging
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pagesort.common.errors import PageUnreadableError
from pagesort.common.files import exclusive, readable_folder, unwritable, write_list
from pagesort.common.text import MOST_NAMED
from pagesort.pages.documents import write_page_png
from pagesort.pages.loader import DEFAULT_MAX_MEGAPIXELS, PageRef
from pagesort.pages.pdf_renderers import PdfRenderers
from pagesort.sorting.manifests import placed
from pagesort.sorting.named_pages import PageFinder, Place, rivals
from pagesort.sorting.placer import Placer, SortReport, log_report
from pagesort.sorting.table_rows import CLASS_COLUMNS, Problem, Row, read_table

logger = logging.getLogger(__name__)

PROBLEMS_NAME = "sort_PROBLEMS.csv"

_Unsorted = tuple[Row, PageRef, Path | None]  # the last: where it lies as another class


@dataclass(frozen=True)
class SortJob:
    """What to sort: `link` is copy, hard, sym or move; `columns` as `read_table` wants them."""

    table: Path
    folder: Path
    out: Path
    link: str
    dry_run: bool
    columns: tuple[str, ...] = CLASS_COLUMNS


@dataclass
class TableReport:
    """What was done; `planned` has a line for each page that a dry run would sort."""

    manifest: Path | None = None
    problem_list: Path | None = None
    planned: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def sort_by_table(job: SortJob) -> TableReport:
    """Put the pages that a table names into `<out>/<CLASS>/`; those of documents as PNG.

    A page that an earlier sorting put into another class's folder is moved from there. Rows that
    contradict one another, name no page or a class that cannot be a folder are left out
    and listed in `<out>/sort_PROBLEMS.csv`.

    Raises:
        PageSortError: the table or a folder cannot be read or written.
    """
    readable_folder(job.folder)
    rows, problems = read_table(job.table, job.columns)
    report, done = TableReport(problems=problems), SortReport()
    moved = _moved(job.out)
    with PdfRenderers() as renderers:
        found = PageFinder(job.folder, job.out, moved, renderers).find(rows)
        pages = list(_settled(_chosen(rows, found, job, report), report))
        if job.dry_run:
            with Placer(job.out, job.link, done, dry_run=True) as placer:
                report.planned += _planned(_unsorted(pages, placer, moved), job.out)
            _log_problems(report)
            return report
        try:
            job.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(error, job.out) from error
        with exclusive(job.out):
            with Placer(job.out, job.link, done) as placer:
                _place(_unsorted(pages, placer, moved), placer, renderers, report)
            report.problems.sort(key=lambda problem: problem[0])
            header = ("LINE", "FILE", "PAGE", "CLASS", "PROBLEM")
            write_list(job.out / PROBLEMS_NAME, header, report.problems)
    log_report(done, job.out)
    report.manifest = done.manifest
    report.problem_list = job.out / PROBLEMS_NAME if report.problems else None
    _log_problems(report)
    return report


def _planned(pages: Iterable[_Unsorted], out: Path) -> Iterator[str]:
    """Yield a line for each page that would be put somewhere: where it is and where it would be."""
    for row, ref, earlier in pages:
        name = ref.path.name if ref.page is None else f"{ref.path.stem}-{ref.page}.png"
        now = earlier or ref.path
        yield f"{now}\t{out / row.label / (earlier.name if earlier else name)}"


def _place(
    pages: Iterable[_Unsorted], placer: Placer, renderers: PdfRenderers, report: TableReport
) -> None:
    def draw(ref: PageRef, target: Path) -> None:
        write_page_png(ref, target, renderers, DEFAULT_MAX_MEGAPIXELS)

    for row, ref, earlier in pages:
        if earlier is not None:
            reason = placer.move_earlier(earlier, row.label)
            if reason is not None:
                report.problems.append(row.problem(reason))
            continue
        try:
            placer.place(ref, row.label, draw)
        except PageUnreadableError as error:
            report.problems.append(row.problem(error.what))


def _moved(out: Path) -> set[str]:
    """Where pages were that were moved into a folder and are there, as absolute paths."""
    if not out.is_dir():
        return set()
    return {
        str(entry.source)
        for entry in placed(out)
        if entry.action == "move" and not os.path.lexists(entry.source) and entry.target.exists()
    }


def _chosen(
    rows: Sequence[Row], found: Mapping[Row, Sequence[Place]], job: SortJob, report: TableReport
) -> Iterator[tuple[Row, Place]]:
    """Yield each row with its page; a row without one, or with several, goes to the report."""
    for row in rows:
        places = found.get(row, ())
        if not places:
            report.problems.append(row.problem("page not found"))
            continue
        first, *others = places[0], *rivals(places)
        if any(not _is_same(first, other) for other in others):
            names = " and ".join(str(path.relative_to(job.folder)) for path, _ in (first, *others))
            report.problems.append(row.problem(f"several pages have this name: {names}"))
            continue
        yield row, first


def _is_same(one: Place, other: Place) -> bool:
    try:
        return one[1] == other[1] and filecmp.cmp(one[0], other[0], shallow=False)
    except OSError:  # one of them was moved
        return False


def _settled(
    chosen: Iterable[tuple[Row, Place]], report: TableReport
) -> Iterator[tuple[Row, Place]]:
    """Yield one row a page; doubles are listed, and of contradicting ones none is left."""
    by_page: dict[Place, list[Row]] = {}
    for row, place in chosen:
        by_page.setdefault(place, []).append(row)
    for place, same in by_page.items():
        if len({row.label for row in same}) > 1:
            labels = ", ".join(f"{row.label} (line {row.line})" for row in same)
            report.problems += [row.problem(f"contradiction: {labels}") for row in same]
            continue
        yield same[0], place
        double = f"double of line {same[0].line}"
        report.problems += [row.problem(double) for row in same[1:]]


def _unsorted(
    pages: Iterable[tuple[Row, Place]], placer: Placer, moved: Container[str]
) -> Iterator[_Unsorted]:
    """Yield the pages that are not moved into their class's folder already.

    With one that an earlier sorting put into another class's folder comes where it is there.
    """
    placer.read_earlier()
    for row, (path, part) in pages:
        ref = PageRef(row.line, path, part)
        earlier = placer.earlier_place(ref)
        if earlier is not None and earlier.parent.name != row.label:
            yield row, ref, earlier
        elif os.path.abspath(path) not in moved:  # noqa: PTH100 - as manifests name it
            yield row, ref, None


def _log_problems(report: TableReport) -> None:
    report.problems.sort(key=lambda problem: problem[0])
    for line, file, page, label, problem in report.problems[:MOST_NAMED]:
        logger.warning("line %s (%s, %s, %s): %s", line, file, page, label, problem)
    if len(report.problems) > MOST_NAMED:
        logger.warning("and %d more", len(report.problems) - MOST_NAMED)
