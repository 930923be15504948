"""The page that each row of a table names: by path, or by FILE and PAGE whatever the padding."""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pagesort.pages.documents import DOCUMENT_SUFFIXES, parts_of
from pagesort.pages.pdf_renderers import PdfRenderers
from pagesort.pages.places import exists
from pagesort.sorting.pdf_to_png import ONE_PAGERS
from pagesort.sorting.table_rows import Row
from utils import SCAN_SUFFIXES, list_pages, page_name

NO_UTF8 = re.compile(r"\\udc([89a-f][0-9a-f])")  # how tables write a byte that is not UTF-8

Key = tuple[str, int]  # FILE and PAGE
Place = tuple[Path, int | None]  # a page's file, and its number in a document


@dataclass(frozen=True)
class _Wish:
    """A row that looks for a page by name, in a file with this ending if it gives one."""

    row: Row
    ending: str

    def takes(self, path: Path, part: int | None) -> bool:
        """Whether a page of the wished name may be meant: of a PDF, a PNG made of it, too."""
        suffix = path.suffix.lower()
        is_drawn = self.ending == ".pdf" and suffix == ".png" and part is None
        return is_drawn or self.ending in ("", suffix)


class PageFinder:
    """Finds pages in a folder and its subfolders; those in `out` are left out.

    Args:
        folder: where to look.
        out: where pages are sorted into.
        moved: absolute paths of pages that were moved there; they are found where they were.
        renderers: look into PDFs.
    """

    def __init__(
        self, folder: Path, out: Path, moved: Collection[str], renderers: PdfRenderers
    ) -> None:
        self.folder = folder
        self._out = out.resolve()
        self._moved = moved
        self._renderers = renderers
        self._parts: dict[Path, Sequence[int | None]] = {}
        self._resolved: dict[Path, Path] = {}  # folders, as each step of a path asks the system

    def find(self, rows: Sequence[Row]) -> dict[Row, list[Place]]:
        """The page of each row; several where pages have one name, the likeliest first.

        Of pages of one name, those in a folder of the document's name come first, then others, then
        those in `onepagers`, then pages of documents.
        """
        found: dict[Row, list[Place]] = {}
        wanted: dict[Key, list[_Wish]] = {}
        for row in rows:
            place = self._named_place(row)
            if place is not None:
                found[row] = [place]
            elif not row.path:
                for key, ending in _wishes(row):
                    wanted.setdefault(key, []).append(_Wish(row, ending))
        if wanted:
            for place, keys in self._pages({name for name, _ in wanted}):
                wishes = next((taken for key in keys if (taken := _taken(wanted, key, place))), [])
                for wish in wishes:
                    found.setdefault(wish.row, []).append(place)
        for places in found.values():
            places.sort(key=_rank)
        return found

    def _named_place(self, row: Row) -> Place | None:
        """The page of a row that gives a path, or the name of a file in the folder itself."""
        is_path = "/" in row.file or "\\" in row.file or _ending(row.file)
        cell = row.path or (row.file if is_path else "")
        path = self._existing(cell) if cell else None
        if path is None or self._is_sorted(path):
            return None
        if not path.exists():
            return path, None  # it was moved
        parts = self._parts_of(path)
        if None not in parts:
            return (path, row.page) if row.page in parts else None
        return (path, None) if row.page in (1, page_name(path)[1]) else None

    def _existing(self, cell: str) -> Path | None:
        """A file in the folder, or one that was moved out of it."""
        return page_file(self.folder, cell, self._moved)

    def _pages(self, names: Collection[str]) -> Iterator[tuple[Place, list[Key]]]:
        """Yield the pages that may have one of these names, each with its names, best first."""
        endings = [suffix.lstrip(".") for suffix in SCAN_SUFFIXES]
        listed = list_pages(self.folder, endings, inner=True)
        root = Path(os.path.abspath(self.folder))  # noqa: PTH100
        moved = (Path(path) for path in self._moved)
        gone = (self.folder / path.relative_to(root) for path in moved if path.is_relative_to(root))
        for path in itertools.chain(listed, gone):
            inside = path.parent.relative_to(self.folder).as_posix()
            stem = _name(path.stem)
            keys = list(_page_keys(path, stem))
            every = {stem, *(name for name, _ in keys)}
            if not any(each in names or _name(f"{inside}/{each}") in names for each in every):
                continue
            if self._is_sorted(path):
                continue
            parts: Sequence[int | None] = self._parts_of(path) if path.exists() else (None,)
            for part in parts:
                own = keys if part is None else [(stem, part)]
                yield (path, part), [(_name(f"{inside}/{name}"), page) for name, page in own] + own

    def _parts_of(self, path: Path) -> Sequence[int | None]:
        if path.suffix.lower() not in DOCUMENT_SUFFIXES:
            return (None,)
        if path not in self._parts:
            self._parts[path] = parts_of(path, self._renderers)
        return self._parts[path]

    def _is_sorted(self, path: Path) -> bool:
        """Whether a file lies where pages are sorted into."""
        if path.parent not in self._resolved:
            self._resolved[path.parent] = path.parent.resolve()
        real = path.resolve() if path.is_symlink() else self._resolved[path.parent] / path.name
        return self._out in real.parents


def page_file(folder: Path, cell: str, moved: Collection[str] = ()) -> Path | None:
    """The file in a folder that a cell of a table names, however its letters are composed.

    A path that leads out of the folder names none.

    Args:
        cell: PATH, or a file's name in the folder itself.
        moved: absolute paths of files that count as there.
    """
    spellings = [cell, NO_UTF8.sub(lambda byte: chr(int(f"dc{byte[1]}", 16)), cell)]
    spellings += [unicodedata.normalize(form, cell) for form in ("NFC", "NFD")]
    for spelling in dict.fromkeys([*spellings, cell.replace("\\", "/")]):
        inside = Path(spelling)
        if inside.is_absolute():
            roots = (folder.resolve(), Path(os.path.abspath(folder)))  # noqa: PTH100
            root = next((root for root in roots if inside.is_relative_to(root)), None)
            if root is None:
                continue
            inside = inside.relative_to(root)
        if ".." in inside.parts:
            continue
        path = folder / inside
        absolute = os.path.abspath(path)  # noqa: PTH100 - as manifests name it
        if absolute in moved or (exists(path) and not path.is_dir()):
            return path
    return None


def _taken(wanted: Mapping[Key, list[_Wish]], key: Key, place: Place) -> list[_Wish]:
    return [wish for wish in wanted.get(key, ()) if wish.takes(*place)]


def _name(text: str) -> str:
    """A name as it is compared: tables lose blanks at its ends."""
    return unicodedata.normalize("NFC", text).strip()


def _ending(file: str) -> str:
    """The ending of a page or document, if FILE has one."""
    ending = Path(file).suffix.lower()
    return ending if ending in SCAN_SUFFIXES else ""


def _wishes(row: Row) -> Iterator[tuple[Key, str]]:
    """The names that a row may mean, each with the ending that the file must have."""
    file, ending = _name(row.file), _ending(row.file)
    yield (file, row.page), ""
    if ending:
        yield (_name(file[: -len(ending)]), row.page), ending
        folder, slash, last = file.rpartition("/")
        name, number = page_name(last)
        if number == row.page and name != last[: -len(ending)]:
            yield (_name(f"{folder}{slash}{name}"), number), ending


def _page_keys(path: Path, stem: str) -> Iterator[Key]:
    """What a table may call a page: by its number, or as the only page of a document."""
    file, page = page_name(path.with_name(stem + path.suffix))
    yield _name(file), page
    # `report-24` is page 24 of a report for sure, but `CTX1932` may be a document of one page.
    if len(stem) > len(file) and stem[len(file)].isdigit():
        yield stem, 1


def _rank(place: Place) -> tuple[bool, bool, bool, bool]:
    path, part = place
    folder = path.parent.name
    is_apart = not path.stem.startswith(folder)
    return part is not None, folder == ONE_PAGERS, is_apart, path.suffix.lower() != ".png"


def rivals(places: Sequence[Place]) -> list[Place]:
    """The places that are as likely as the first."""
    return [place for place in places[1:] if _rank(place) == _rank(places[0])]
