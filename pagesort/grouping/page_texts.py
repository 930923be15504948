"""What a page says, from the file beside it that has its text: ALTO, PAGE XML, or plain text."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pagesort.common.errors import PageUnreadableError
from pagesort.common.text import MOST_NAMED
from pagesort.grouping.text_features import describe_text
from pagesort.pages.loader import PageRef
from pagesort.reading.layout.layout_file import layout_beside
from pagesort.records.layout_files import FOLDERS

logger = logging.getLogger(__name__)

PLAIN_NAMES = ("{stem}.txt", "{name}.txt")
ENDINGS = (".txt", ".xml")
LARGEST = 4_000_000  # bytes of a plain text; a book of 500 pages has some 1.5 million
NEXT_PAGE = "\f"  # as `pdftotext` and Tesseract write it


class PageTexts:
    """Finds the texts of pages, and tells of those that cannot be read, the first ones by name.

    A page without a text, and one whose text cannot be read, are the same to who asks.
    """

    def __init__(self) -> None:
        self._logged = 0
        self._folder: Path | None = None
        self._stems: frozenset[str] = frozenset()
        self._plain: tuple[Path, list[str]] = Path(), []  # a document's is asked for page by page

    def lines(self, ref: PageRef) -> list[str] | None:
        """The lines of a page as they are read, without empty ones; None where no text is."""
        try:
            said = self._found(ref)
        except PageUnreadableError as error:
            self._log(error)
            return None
        lines = [" ".join(line.split()) for line in said or ()]
        return [line for line in lines if line] or None

    def described(self, refs: Iterable[PageRef]) -> np.ndarray:
        """What `describe_text` makes of the texts of some pages: float32 (N, its LENGTH)."""
        return np.stack([describe_text(self.lines(ref)) for ref in refs])

    def _found(self, ref: PageRef) -> Sequence[str] | None:
        if ref.path.parent != self._folder:
            self._folder = ref.path.parent
            self._stems = frozenset(_stems(self._folder))
        if ref.path.stem.partition(".")[0].casefold() not in self._stems:
            return None
        page = layout_beside(ref.path, ref.page)
        if page is not None and any(line.text for line in page.lines):
            return [line.text or "" for line in page.lines]
        return self._plain_beside(ref)

    def _plain_beside(self, ref: PageRef) -> list[str] | None:
        """The lines of the plain text beside a page, if there is one that holds that page."""
        for name in PLAIN_NAMES:
            path = ref.path.with_name(name.format(stem=ref.path.stem, name=ref.path.name))
            if not path.is_file():
                continue
            if path != self._plain[0]:
                self._plain = path, _read_plain(path).rstrip(NEXT_PAGE + "\n").split(NEXT_PAGE)
            pages = self._plain[1]
            if ref.page is None:
                return "\n".join(pages).splitlines()
            if ref.page <= len(pages):
                return pages[ref.page - 1].splitlines()
        return None

    def _log(self, error: PageUnreadableError) -> None:
        if self._logged < MOST_NAMED:
            logger.warning("a text is left aside: %s", error)
        elif self._logged == MOST_NAMED:
            logger.warning("further texts that cannot be read are left aside, too")
        self._logged += 1


def _stems(folder: Path) -> Iterator[str]:
    """What the files are called that may hold texts of a folder's pages, up to the first dot.

    So nothing is asked of the disk page by page where there are no texts.
    """
    for inner in FOLDERS:
        try:
            yield from (
                path.name.partition(".")[0].casefold()
                for path in (folder / inner).iterdir()
                if path.suffix.lower() in ENDINGS
            )
        except OSError:
            continue


def _read_plain(path: Path) -> str:
    """Read a plain text in UTF-8.

    Raises:
        PageUnreadableError: it cannot be read, is too large, or is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise PageUnreadableError(f"it cannot be read ({error.strerror})", where=path) from error
    if len(data) > LARGEST:
        raise PageUnreadableError(f"it has over {LARGEST:,} bytes", where=path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise PageUnreadableError("it is no text in UTF-8", where=path, remedy="Save it as UTF-8")
    return text
