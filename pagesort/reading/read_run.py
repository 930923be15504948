"""A run of reading: pages to lines, lines to text, a file or several a page, and a table."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pagesort.common.errors import PageUnreadableError, Stopped
from pagesort.common.files import (
    file_digest,
    translate_unreadable,
    translate_unwritable,
    write_whole,
)
from pagesort.common.progress import Progress
from pagesort.common.tables import PLAIN, TableForm
from pagesort.common.text import counted
from pagesort.pages.loader import DEFAULT_MAX_MEGAPIXELS, Failure, PageRef
from pagesort.prediction.journal import JOURNAL_SUFFIX, RunJournal
from pagesort.prediction.listing import Listed
from pagesort.prediction.scoring import FailureLog, ScoredPage
from pagesort.reading.both_ways import ReadsLines, read_found_lines, read_lines
from pagesort.reading.decoding import Reading
from pagesort.reading.layout.layout_file import layout_beside
from pagesort.reading.layout.writers import FORMATS, ReadPage
from pagesort.reading.line_images import Grey
from pagesort.reading.page_images import PageImages
from pagesort.reading.text_line import PageText, TextLine

logger = logging.getLogger(__name__)

PAGE = "page"
DATA_FORMATS = (PAGE, "word", "line", "form")
COLUMNS = ("FILE", "PAGE", "LINE", "TEXT", "CONFIDENCE", "PATH")
DECIMALS = 3
PART_DIGITS = 4  # of the number of a document's page in a file's name
LONGEST_NAME = 180  # bytes of a name before its ending
CHUNK = 16  # pages that are taken from the journal at once
MOST_SKEWED = 0.03  # of the sides' ratio, that a layout file's page may differ from the image

FindLines = Callable[[Grey], Sequence[TextLine]]


class LineReader(ReadsLines, Protocol):
    """What a run needs of a reader: its name and what it reads, besides."""

    name: str
    formats: tuple[str, ...]


@dataclass(frozen=True)
class ReadRequest:
    """What is read, and where it is written.

    `listing` are the pages as a journal holds them: paths in `folder`, and numbers in documents.
    `kinds` are names in `FORMATS`; `data_format` says what an image is, one of `DATA_FORMATS`.
    `reader_digest` tells readers apart when a run is gone on with.
    """

    folder: Path
    listing: Iterable[Listed]
    texts: Path
    tables: Path
    kinds: tuple[str, ...] = ("txt", "page")
    data_format: str = PAGE
    resume: bool = False
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS
    absolute_paths: bool = False
    form: TableForm = PLAIN
    reader_digest: str = ""


@dataclass(frozen=True)
class ReadOutcome:
    """What was written: the folder of texts, and the tables of lines and of failed pages.

    `failed` and `read` count pages; `files` are those of the pages of this sitting, in its order,
    kept for a run of few pages only.
    """

    folder: Path
    table: Path
    failures: Path | None
    read: int
    failed: int
    files: tuple[Path, ...]


def digest_of_reader(path: Path) -> str:
    """What tells a reader from others: a hash of its file, or of the files of its folder.

    Raises:
        PageSortError: it cannot be read.
    """
    sha = hashlib.sha256()
    with translate_unreadable(path, "the reader cannot be read"):
        for each in sorted(path.iterdir()) if path.is_dir() else [path]:
            if each.suffix in (".json", ".safetensors") or each == path:
                sha.update(f"{each.name} {file_digest(each)}\n".encode())
    return sha.hexdigest()


def read_pages(reader: LineReader, find_lines: FindLines, request: ReadRequest) -> ReadOutcome:
    """Read pages, write their texts and the tables, going on with an interrupted run if asked.

    A page's files are written whole, then the journal notes it: what is noted is on the disk.

    Args:
        reader: reads the lines.
        find_lines: finds the lines of pages that have no layout file.

    Raises:
        PageSortError: there is no run to go on with, or something cannot be written.
        Stopped: it was stopped, and what is read is kept.
    """
    with _journal(reader, request) as journal:
        run = _Run(reader, find_lines, request, journal)
        try:
            run.read()
            table, failures = journal.write_lines(
                request.tables,
                COLUMNS,
                _rows,
                absolute_paths=request.absolute_paths,
                form=request.form,
            )
        except KeyboardInterrupt:
            counts = journal.counts()
            raise Stopped(
                f"{counts.scored} of {counts.total} pages are read and kept in {run.folder}",
                f"To go on: run.py --read {request.folder} --resume",
            ) from None
        counts = journal.counts()
        journal.discard()
    logger.info("%s read, %d could not be: %s", counted(counts.scored), counts.failed, run.folder)
    return ReadOutcome(run.folder, table, failures, counts.scored, counts.failed, tuple(run.files))


def _journal(reader: LineReader, request: ReadRequest) -> RunJournal:
    settings = {
        "reader": request.reader_digest,
        "data_format": request.data_format,
        "read_format": ",".join(request.kinds),
    }
    if request.resume:
        journal = RunJournal.open_for_resume(
            request.texts, folder=request.folder, settings=settings
        )
        counts = journal.counts()
        logger.info("going on: %d of %d pages are read already", counts.scored, counts.total)
        return journal
    return RunJournal.create(
        request.texts,
        folder=request.folder,
        base=reader.name,
        settings=settings,
        listing=request.listing,
    )


class _Run:
    """Reads the pages of a journal that are not read yet."""

    MOST_FILES = 100  # that are remembered

    def __init__(
        self,
        reader: LineReader,
        find_lines: FindLines,
        request: ReadRequest,
        journal: RunJournal,
    ) -> None:
        self.reader, self.request, self.journal = reader, request, journal
        self.folder = journal.path.with_name(journal.path.name.removesuffix(JOURNAL_SUFFIX))
        self.files: list[Path] = []
        self._find_lines = find_lines

    def read(self) -> None:
        """Read, write and note page by page."""
        counts = self.journal.counts()
        with translate_unwritable(self.folder):
            self.folder.mkdir(exist_ok=True)  # which keeps the name from runs of the same minute
        names = Names(self.journal.pages())
        log = FailureLog()
        with (
            Progress(counts.total, counts.scored) as progress,
            PageImages(self.request.max_megapixels) as images,
        ):
            for batch in self.journal.batches(CHUNK):
                for ref in batch:
                    try:
                        result: ScoredPage | Failure = self._page(ref, images, names)
                    except PageUnreadableError as error:
                        where = error.where
                        here = where is None or str(where) == str(ref.path)
                        result = Failure(ref, error.what if here else f"{error.what}: {where}")
                    if isinstance(result, Failure):
                        log.add([result])
                    self.journal.record([result])
                    progress.advance(1, ref.path.name)

    def _page(self, ref: PageRef, images: PageImages, names: Names) -> ScoredPage:
        grey = images.grey(ref)
        text, readings = self._read(ref, grey)
        inside = ref.path.relative_to(self.journal.folder)
        confidences = tuple(reading.confidence for reading in readings)
        page = ReadPage(text, confidences, ref.path.name, datetime.now())
        for kind in self.request.kinds:
            ending, content = FORMATS[kind]
            target = (
                self.folder / inside.parent / f"{names.of(inside.as_posix(), ref.page)}{ending}"
            )
            with translate_unwritable(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, content(page))
            if len(self.files) < self.MOST_FILES:
                self.files.append(target)
        lines = json.dumps([line.text for line in text.lines])
        return ScoredPage(ref, np.array(confidences, dtype=np.float32), lines)

    def _read(self, ref: PageRef, grey: Grey) -> tuple[PageText, list[Reading]]:
        """The lines of a page with their texts, and how sure they are."""
        if self.request.data_format != PAGE:
            return _whole_image(ref, grey, self.reader.read([grey])[0])
        text = self._known_lines(ref, grey)
        if text is not None:
            read = read_lines(self.reader, grey, text.lines, str(ref))
        else:
            high, wide = grey.shape
            text = PageText(ref.path, wide, high, ())
            read = read_found_lines(self.reader, grey, self._find_lines(grey), str(ref))
        lines = tuple(line for line, _ in read)
        return replace(text, lines=lines), [reading for _, reading in read]

    def _known_lines(self, ref: PageRef, grey: Grey) -> PageText | None:
        """The lines of a page from the layout file beside it, if there is one."""
        high, wide = grey.shape
        known = layout_beside(ref.path, ref.page)
        if known is None:
            return None
        if known.width and known.height:
            ratio = (known.width / known.height) / (wide / high)
            if abs(ratio - 1) > MOST_SKEWED:
                raise PageUnreadableError(
                    f"the layout file is of an image of {known.width} x {known.height} pixels, and "
                    f"the page has {wide} x {high}",
                    where=known.path,
                )
        return known.fitted(wide, high)


def _whole_image(ref: PageRef, grey: Grey, reading: Reading) -> tuple[PageText, list[Reading]]:
    """What an image says that is one word, one line or one form."""
    high, wide = grey.shape
    outline = ((0.0, 0.0), (float(wide), 0.0), (float(wide), float(high)), (0.0, float(high)))
    baseline = ((0.0, 0.75 * high), (float(wide), 0.75 * high))
    texts = reading.text.split("\n")
    lines = tuple(
        TextLine(f"line_{number}", baseline, outline, text)
        for number, text in enumerate(texts, start=1)
    )
    return PageText(ref.path, wide, high, lines), [reading] * len(lines)


def _rows(confidences: np.ndarray, note: str) -> Iterator[tuple[Any, ...]]:
    """The cells LINE, TEXT and CONFIDENCE of a page's lines."""
    texts = json.loads(note) if note else []
    pairs = zip(texts, confidences.tolist(), strict=True)
    for number, (text, confidence) in enumerate(pairs, start=1):
        yield number, text, round(confidence, DECIMALS)


class Names:
    """How the files of pages are called, without their endings.

    As the page, with its number in a document. Where two pages of one folder would get one name,
    each keeps the ending of its own file in it.

    Args:
        pages: paths in the folder, and numbers in documents.
    """

    def __init__(self, pages: Iterable[tuple[str, int | None]]) -> None:
        self._counts = Counter(_key(_named(Path(path).stem, part), path) for path, part in pages)

    def of(self, path: str, part: int | None) -> str:
        """The name of a page."""
        inside = Path(path)
        name = _named(inside.stem, part)
        if self._counts[_key(name, path)] > 1:
            name = _named(inside.name, part)
        return name if len(os.fsencode(name)) <= LONGEST_NAME else _shortened(name)


def _named(stem: str, part: int | None) -> str:
    return stem if part is None else f"{stem}-{part:0{PART_DIGITS}}"


def _key(name: str, path: str) -> str:
    # Where letters' case does not count, two names would be one file.
    return f"{Path(path).parent.as_posix()}/{name}".casefold()


def _shortened(name: str) -> str:
    data = os.fsencode(name)
    digest = hashlib.sha256(data).hexdigest()[:8]
    return f"{data[: LONGEST_NAME - 9].decode('utf-8', 'ignore')}-{digest}"
