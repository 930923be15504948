"""Lines with their text, to learn from or to measure on: from a table, from XML, or from IAM."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.files import readable_folder, translate_unreadable
from pagesort.pages.image_file import DEFAULT_MAX_MEGAPIXELS, check_page
from pagesort.pages.loader import load_page
from pagesort.reading.alphabet import tidied
from utils import page_name

if TYPE_CHECKING:
    from pagesort.reading.text_line import TextLine

Format = Literal["word", "line", "form"]

LONGEST_TEXT = 10_000
MOST_LINES = 5_000_000
DOCUMENT_COLUMNS = ("document_or_hand", "hand", "writer", "document", "page")
"""What may tell which lines stay together when they are split; the first of them counts."""
REMEDY = (
    "Give a table with the columns path and text, a folder of pages with PAGE or ALTO files, or "
    "the folder of IAM"
)


@dataclass(frozen=True)
class Example:
    """A picture and what it says.

    Attributes:
        name: tells it from all others of its data.
        path: the picture, or the page that it is cut out of.
        text: what it says, as `tidied` leaves it; line breaks part the lines of a form.
        document: the document or hand; whatever is of one stays on one side of a split.
        page: the page; empty where that is not known.
        kind: such as hand, typed or printed; empty where that is not known.
        part: of a split that the data bring along; empty without one.
        line: where it lies on the page; None where the picture is the line.
        page_size: width and height of the page that `line` is of; 0 is the picture's.
    """

    name: str
    path: Path
    text: str
    document: str
    page: str = ""
    kind: str = ""
    part: str = ""
    line: TextLine | None = None
    page_size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Examples:
    """All that was found in one place, and what cannot be used: (name, why)."""

    source: Path
    lines: tuple[Example, ...]
    left_out: tuple[tuple[str, str], ...] = ()


def read_examples(
    data: Path, form: Format = "line", max_megapixels: float = DEFAULT_MAX_MEGAPIXELS
) -> Examples:
    """Read the examples of a table or a folder; what cannot be used is listed, not lost.

    Args:
        data: a CSV with the columns `path` and `text`, or a folder that holds such a table, pages
            with PAGE or ALTO files beside them, or IAM.
        form: what a picture of IAM is.
        max_megapixels: larger pictures are left out.

    Raises:
        PageSortError: there is nothing to learn from.
    """
    from pagesort.reading import iam, xml_pairs

    if data.is_file():
        found = read_table(data)
    else:
        folder = readable_folder(data)
        table = next((each for each in sorted(folder.glob("*.csv")) if is_table(each)), None)
        if table is not None:
            found = read_table(table)
        elif iam.is_iam(folder):
            found = iam.read_iam(folder, form)
        else:
            found = xml_pairs.read_pairs(folder)
    kept, left_out = _usable(found.lines, max_megapixels)
    if not kept:
        reason = f", as in {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise PageSortError(f"there is no line to read{reason}", where=data, remedy=REMEDY)
    return replace(found, lines=kept, left_out=(*found.left_out, *left_out))


def picture_of(example: Example) -> np.ndarray:
    """The grey picture of a line, uint8 (H, W).

    Raises:
        PageUnreadableError: it cannot be read.
    """
    page = grey_page(example.path)
    return page if example.line is None else cut_out(page, example)


def pictures_of(examples: Sequence[Example]) -> Iterator[np.ndarray | PageUnreadableError]:
    """The picture of each example in turn, or what is wrong with it; a page is read only once."""
    path: Path | None = None
    page: np.ndarray | PageUnreadableError = PageUnreadableError("not read")
    for example in examples:
        if example.path != path:
            path = example.path
            try:
                page = grey_page(path)
            except PageUnreadableError as error:
                page = error
        if isinstance(page, PageUnreadableError) or example.line is None:
            yield page
            continue
        try:
            yield cut_out(page, example)
        except PageUnreadableError as error:
            yield error


def grey_page(path: Path) -> np.ndarray:
    """A page in grey, uint8 (H, W), of any size: `read_examples` has left out what is too large.

    Raises:
        PageUnreadableError: it cannot be read.
    """
    return np.asarray(load_page(path, math.inf).convert("L"))


def cut_out(page: np.ndarray, example: Example) -> np.ndarray:
    """The picture of a line on its page.

    Raises:
        PageUnreadableError: it does not lie on the page.
    """
    from pagesort.reading.line_images import cut_line

    assert example.line is not None, "asked of lines of a page only"
    high, wide = page.shape
    width, height = example.page_size
    line = example.line.scaled(wide / (width or wide), high / (height or high))
    try:
        return cut_line(page, line)
    except PageSortError as error:
        raise PageUnreadableError(error.what, where=example.name) from error


def is_table(path: Path) -> bool:
    """Whether a file is a table with the columns `path` and `text`."""
    try:
        return _header(path) is not None
    except (OSError, UnicodeDecodeError, csv.Error):
        return False


def read_table(path: Path) -> Examples:
    """Read a table of lines: `path` relative to it, `text`, perhaps columns that tell documents.

    Raises:
        PageSortError: it is no such table.
    """
    faults = (UnicodeDecodeError, csv.Error)
    with translate_unreadable(path, "the table cannot be read", "Save it as CSV in UTF-8", faults):
        header = _header(path)
        if header is None:
            raise PageSortError(
                "the table has no columns path and text in its first line",
                where=path,
                remedy=REMEDY,
            )
        return _rows(path, *header)


def _header(path: Path) -> tuple[str, dict[str, int]] | None:
    """The sign between the cells of a table of lines, and the place of each column."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        first = file.readline(LONGEST_TEXT)
    for delimiter in ",;\t":
        cells = next(csv.reader([first], delimiter=delimiter), [])
        columns = {cell.strip().casefold(): place for place, cell in enumerate(cells)}
        if {"path", "text"} <= columns.keys():
            return delimiter, columns
    return None


def _rows(path: Path, delimiter: str, columns: dict[str, int]) -> Examples:
    root = path.parent.resolve()
    lines: list[Example] = []
    left_out: list[tuple[str, str]] = []
    seen: set[str] = set()
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter)
        next(reader)
        for row in reader:
            if not row:
                continue
            if len(lines) + len(left_out) >= MOST_LINES:
                raise PageSortError(f"the table has more than {MOST_LINES:,} lines", where=path)
            cells = {name: row[place] for name, place in columns.items() if place < len(row)}
            name = cells.get("path", "").strip()
            if name in seen:
                left_out.append(
                    (name, f"it stands in the table twice, again in line {reader.line_num}")
                )
                continue
            seen.add(name)
            try:
                lines.append(_row(cells, name, root))
            except ValueError as error:
                left_out.append((name or f"line {reader.line_num}", str(error)))
    return Examples(path, tuple(lines), tuple(left_out))


def _row(cells: dict[str, str], name: str, root: Path) -> Example:
    """One row of a table.

    Raises:
        ValueError: it tells no picture in the table's folder.
    """
    if not name or "\0" in name:
        raise ValueError("the row tells no picture")
    picture = root / name
    if root not in picture.resolve().parents:
        raise ValueError("the picture lies outside of the table's folder")
    document = next((cells[each] for each in DOCUMENT_COLUMNS if cells.get(each)), "")
    if not document:
        document = f"{Path(name).parent.as_posix()}/{page_name(Path(name))[0]}"
    # One name may be a hand of two sets of data.
    return Example(
        name=name,
        path=picture,
        text=cells.get("text", ""),
        document="/".join(filter(None, (cells.get("dataset", ""), document))),
        page=cells.get("page", ""),
        kind=cells.get("kind", ""),
    )


def _usable(
    lines: Sequence[Example], max_megapixels: float
) -> tuple[tuple[Example, ...], tuple[tuple[str, str], ...]]:
    """The examples that have a text and a picture, and the others with the reason."""
    kept: list[Example] = []
    left_out: list[tuple[str, str]] = []
    checked: dict[Path, str] = {}
    for example in lines:
        text = tidied(example.text)
        reason = "" if text else "it has no text"
        if len(text) > LONGEST_TEXT:
            reason = f"its text has more than {LONGEST_TEXT:,} characters"
        if not reason:
            if example.path not in checked:
                checked[example.path] = _fault(example.path, max_megapixels)
            reason = checked[example.path]
        if reason:
            left_out.append((example.name, reason))
        else:
            kept.append(replace(example, text=text))
    return tuple(kept), tuple(left_out)


def _fault(path: Path, max_megapixels: float) -> str:
    """Why a picture cannot be used, as far as its first bytes tell; empty if it can."""
    try:
        check_page(path, max_megapixels)
    except PageUnreadableError as error:
        return error.what
    return ""
