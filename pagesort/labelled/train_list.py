"""Labelled pages as a table names them: path, label and, if a person has split them, the part."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unreadable
from pagesort.common.tables import rows_by_name
from pagesort.labelled.folder import LabelledFolder, checked_folder
from pagesort.labelled.page import LabelledPage, document_of
from pagesort.labelled.sources import read_sources
from pagesort.pages.loader import DEFAULT_MAX_MEGAPIXELS
from utils import IMAGE_SUFFIXES, page_name

PATH, LABEL, PART = "path", "label", "split"
PART_WORDS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
MOST_ROWS = 10_000_000
_REMEDY = "Write a CSV table with the columns path, label and split (train, val or test)"
_NO_LABEL = frozenset("/\\\0\r\n\t")


@dataclass(frozen=True)
class TrainList:
    """The pages of a list; `parts` is page name -> part, None where the list tells none.

    `file` is the list; the folder of `data` is the one that it lies in.
    """

    data: LabelledFolder
    parts: Mapping[str, str] | None
    file: Path


@dataclass(frozen=True)
class _Row:
    line: int
    name: str
    label: str
    part: str | None


def read_train_list(
    file: Path,
    *,
    max_categ: int | None = None,
    safe: bool = False,
    max_megapixels: float = DEFAULT_MAX_MEGAPIXELS,
    corrected: Sequence[tuple[Path, str]] = (),
) -> TrainList:
    """Read a list of labelled pages: columns path, label and, perhaps, split.

    Paths are relative to the folder of the file and lie in it. A page that is not there counts as
    one that cannot be read. A page's document is its FILE, as in a folder of labelled pages.

    Args:
        file: a CSV table, UTF-8, parted by commas, semicolons or tabs.
        max_categ: at most so many pages a label, at even steps; where the list tells the parts, it
            holds for pages that train.
        safe, max_megapixels, corrected: as for `read_labelled_folder`; pages that a person has
            added train.

    Raises:
        PageSortError: the list cannot be read, or a row of it cannot be meant; the message tells
            its line.
    """
    rows = list(_rows(file))
    if not rows:
        raise PageSortError("the list names no page", where=file, remedy=_REMEDY)
    labels = sorted({row.label for row in rows})
    sources = read_sources(file.parent)
    pages = [_page(row, file.parent, labels, sources) for row in rows]
    pages.sort(key=lambda page: (page.label, page.name))
    parts = {row.name: row.part for row in rows if row.part is not None} or None
    data = checked_folder(
        file.parent,
        labels,
        pages,
        max_categ=max_categ,
        always=frozenset(name for name, part in (parts or {}).items() if part != "train"),
        safe=safe,
        max_megapixels=max_megapixels,
        corrected=corrected,
    )
    return TrainList(data, parts, file)


def _rows(file: Path) -> Iterable[_Row]:
    """Read the rows; a page has one row, and all rows tell a part or none does."""
    lines: dict[str, int] = {}
    tells_parts = None
    with (
        translate_unreadable(file, "cannot read the list"),
        file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        for line, cells in rows_by_name(stream, (PATH, LABEL), file, _REMEDY):
            if not any(cells.values()):
                continue
            row = _row(file, line, cells)
            if row.name in lines:
                what = f"line {line} names the page of line {lines[row.name]} again: {row.name}"
                raise PageSortError(what, where=file, remedy="Delete one of the lines")
            if tells_parts not in (None, row.part is not None):
                raise _wrong(file, line, "some lines tell a split and others none")
            lines[row.name], tells_parts = line, row.part is not None
            if len(lines) > MOST_ROWS:
                raise _wrong(file, line, f"the list names more than {MOST_ROWS:,} pages")
            yield row


def _row(file: Path, line: int, cells: Mapping[str, str]) -> _Row:
    path, label = cells[PATH].strip(), normalize("NFC", cells[LABEL].strip())
    root = Path(os.path.abspath(file.parent))  # noqa: PTH100 - links stay as they are written
    inside = Path(os.path.abspath(root / path)) if "\0" not in path else root  # noqa: PTH100
    if not path or not inside.is_relative_to(root) or inside == root:
        raise _wrong(file, line, f"names no page in the folder of the list: {path[:200]!r}")
    if inside.suffix.lower() not in IMAGE_SUFFIXES:
        raise _wrong(file, line, f"names no image: {path[:200]}")
    if not label or label.startswith(".") or _NO_LABEL & set(label):
        raise _wrong(file, line, f"has no label that can be used: {label[:80]!r}")
    said = cells.get(PART, "").strip().lower()
    if said and said not in PART_WORDS:
        raise _wrong(file, line, f"puts a page into the part {said[:40]!r}")
    return _Row(line, inside.relative_to(root).as_posix(), label, PART_WORDS.get(said))


def _wrong(file: Path, line: int, what: str) -> PageSortError:
    return PageSortError(f"line {line}: {what}", where=file, remedy=_REMEDY)


def _page(
    row: _Row, folder: Path, labels: Sequence[str], sources: Mapping[str, str]
) -> LabelledPage:
    path = folder / PurePosixPath(row.name)
    # A folder named like a label is no document, whatever the label of this page.
    is_document = path.stem.isdecimal() and path.parent.name not in labels
    document = page_name(path)[0] if is_document else document_of(path)
    return LabelledPage(path, row.label, document, row.name, sources.get(row.name, ""))
