"""Every PDF of a folder to PNG pages, `<name>/<name>-<page>.png`: the job `pdf2png`."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pagesort.common.errors import PageUnreadableError, Stopped
from pagesort.common.files import exclusive, readable_folder, unwritable, write_list
from pagesort.common.parallel import in_order
from pagesort.common.progress import Progress
from pagesort.common.tables import FAILED_ENDING
from pagesort.common.text import MOST_NAMED
from pagesort.pages.pdf_renderers import PdfRenderers
from utils import list_pages

logger = logging.getLogger(__name__)

FAILED_NAME = f"pdf2png{FAILED_ENDING}"
ONE_PAGERS = "onepagers"
TEMPORARY = ".pagesort-{number}.part"
# What a folder's name is to blame for; all else is the disk's fault and ends the run.
NAME_FAULTS = {errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EINVAL}
STAMP_VERSION = 1


@dataclass(frozen=True)
class Conversion:
    """What to convert and how.

    `out` gets one folder for each PDF. `remove` deletes a PDF once each of its pages was written
    and read back. Pages above `max_megapixels` or with a side above `max_side` pixels are refused.
    """

    folder: Path
    out: Path
    dpi: float
    cropbox: bool
    remove: bool
    max_megapixels: float
    max_side: int
    workers: int


@dataclass(frozen=True)
class Document:
    """A PDF that can be opened: its number of pages, and a hash of its content."""

    path: Path
    pages: int
    digest: str
    status: tuple[int, int]

    def page_file(self, out: Path, number: int) -> Path:
        """Where page `number` (from 1) goes; one of a single page may have moved to `onepagers`."""
        name = f"{self.path.stem}-{number:0{len(str(self.pages))}d}.png"
        if self.pages == 1 and (out / ONE_PAGERS / name).exists():
            return out / ONE_PAGERS / name
        return out / self.path.stem / name


@dataclass(frozen=True)
class Problem:
    """A PDF, or one page of it (from 1), that could not be converted."""

    path: Path
    page: int | None
    reason: str


@dataclass
class Report:
    """What a run did, or with a dry run would do; `failed` is the list of problems, on disk."""

    documents: list[Document] = field(default_factory=list)
    written: int = 0
    present: int = 0
    removed: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    failed: Path | None = None


def survey_folder(job: Conversion) -> Report:
    """Open every PDF of the folder and count its pages; nothing is written.

    Raises:
        PageSortError: the folder cannot be read.
    """
    report = Report()
    with PdfRenderers() as renderers:
        _survey(job, renderers, report)
    return report


def convert_folder(job: Conversion) -> Report:
    """Convert what is not converted yet; what cannot be is in `problems` and in a list on disk.

    A page has its final name only once it is whole. Nothing is overwritten.

    Raises:
        PageSortError: the folder cannot be read or written, the disk is full, or another run is at
            work in it.
        Stopped: the run was stopped; what is written is kept.
    """
    readable_folder(job.folder)
    try:
        job.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(error, job.out) from error
    report = Report()
    with exclusive(job.out), PdfRenderers() as renderers:
        _survey(job, renderers, report)
        try:
            _convert(job, renderers, report)
        except KeyboardInterrupt:
            raise Stopped(
                f"{report.written} pages are written and kept; the same command goes on"
            ) from None
        rows = [
            (problem.path.name, problem.page or "", problem.reason) for problem in report.problems
        ]
        write_list(job.out / FAILED_NAME, ("FILE", "PAGE", "REASON"), rows)
        report.failed = job.out / FAILED_NAME if rows else None
    return report


def _survey(job: Conversion, renderers: PdfRenderers, report: Report) -> None:
    """Count the pages of all PDFs; those of one name but for the ending's case are told."""
    paths = list(list_pages(readable_folder(job.folder), "pdf"))
    owners: dict[str, Path] = {}

    def look(path: Path) -> Document | str:
        try:
            status = path.stat()
            pages, digest = renderers.survey(path, digest=True)
            return Document(path, pages, digest, (status.st_mtime_ns, status.st_size))
        except PageUnreadableError as error:
            return error.what
        except OSError as error:
            return f"the file cannot be read ({(error.strerror or '').lower()})"

    with contextlib.closing(in_order(paths, look, job.workers)) as looked:
        for path, found in looked:
            owner = owners.setdefault(path.stem, path)
            if owner != path:
                _log_problem(
                    report, Problem(path, None, f"{owner.name} has the same name for its pages")
                )
            elif isinstance(found, str):
                _log_problem(report, Problem(path, None, found))
            else:
                report.documents.append(found)


def _convert(job: Conversion, renderers: PdfRenderers, report: Report) -> None:
    """Write all pages, document by document, each document finished as soon as its pages are."""
    numbers = itertools.count()

    def save(task: tuple[Document, int]) -> str | PageUnreadableError:
        document, number = task
        temporary = job.out / document.path.stem / _temporary_name(next(numbers))
        try:
            return renderers.save(
                document.path,
                number,
                document.page_file(job.out, number).absolute(),
                temporary.absolute(),
                dpi=job.dpi,
                cropbox=job.cropbox,
                stamp=_stamp(job, document, number),
                most_pixels=int(job.max_megapixels * 1e6),
                longest_side=job.max_side,
                verify=job.remove,
            )
        except PageUnreadableError as error:
            return error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()

    total = sum(document.pages for document in report.documents)
    results = in_order(_tasks(job, report), save, job.workers, renderers.close)
    with Progress(total, 0) as progress, contextlib.closing(results) as done:
        states: list[str] = []
        for (document, number), state in done:
            if isinstance(state, PageUnreadableError):
                _log_problem(report, Problem(document.path, number, state.what))
                state = "failed"
            report.written += state == "written"
            report.present += state in ("there", "foreign")
            states.append(state)
            progress.advance(1, f"{document.path.name}, page {number}")
            if number == document.pages:
                _finish(job, document, states, report)
                states = []


def _tasks(job: Conversion, report: Report) -> Iterator[tuple[Document, int]]:
    """Yield each page of each document, its folder made ready."""
    for document in report.documents:
        folder = job.out / document.path.stem
        if document.page_file(job.out, 1).parent == folder and not _make_folder(folder):
            reason = "the folder for its pages cannot be made; is a file of its name in the way?"
            _log_problem(report, Problem(document.path, None, reason))
            continue
        for number in range(1, document.pages + 1):
            yield document, number


def _make_folder(folder: Path) -> bool:
    """Make a document's folder and clear it of what a killed run left half-written."""
    try:
        folder.mkdir(exist_ok=True)
        for left in folder.glob(TEMPORARY.format(number="*")):
            left.unlink()
    except OSError as error:
        if error.errno in NAME_FAULTS:
            return False
        raise unwritable(error, folder) from error
    return True


def _temporary_name(number: int) -> str:
    return TEMPORARY.format(number=f"{os.getpid()}-{number}")


def _stamp(job: Conversion, document: Document, number: int) -> dict[str, object]:
    """What a page's PNG notes, by which a later run knows it again."""
    return {
        "version": STAMP_VERSION,
        "pdf": document.digest,
        "page": number,
        "pages": document.pages,
        "dpi": job.dpi,
        "box": "crop" if job.cropbox else "media",
    }


def _finish(job: Conversion, document: Document, states: Sequence[str], report: Report) -> None:
    """Tidy up after a document's last page; remove the PDF if that was asked for and is safe."""
    with contextlib.suppress(OSError):
        (job.out / document.path.stem).rmdir()  # only if no page could be written
    if not job.remove or "failed" in states:
        return
    if "foreign" in states:
        reason = "kept, as pages that are there already are not known to be from this PDF"
        _log_problem(report, Problem(document.path, None, reason))
        return
    try:
        status = document.path.stat()
        if (status.st_mtime_ns, status.st_size) != document.status:
            reason = "kept, as it was changed in the meantime"
            _log_problem(report, Problem(document.path, None, reason))
            return
        document.path.unlink()
    except OSError as error:
        _log_problem(report, Problem(document.path, None, f"cannot be removed ({error.strerror})"))
        return
    report.removed.append(document.path)


def _log_problem(report: Report, problem: Problem) -> None:
    """Note a problem, and name it on the console if it is one of the first."""
    report.problems.append(problem)
    page = f", page {problem.page}" if problem.page else ""
    if len(report.problems) <= MOST_NAMED:
        logger.warning("%s%s: %s", problem.path.name, page, problem.reason)
    elif len(report.problems) == MOST_NAMED + 1:
        logger.warning("further problems are only listed in %s", FAILED_NAME)
