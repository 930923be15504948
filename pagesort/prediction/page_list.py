"""The pages of a run as a file names them: one path a line, or a table with a column of paths."""

from __future__ import annotations

import io
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pagesort.common.addresses import absolute, has_secret, is_remote, read_path
from pagesort.common.errors import PageSortError
from pagesort.common.files import translate_unreadable
from pagesort.common.tables import rows_by_name
from pagesort.pages.places import open_page_file

STANDARD_INPUT = Path("-")
_BOM = "\ufeff"
_TABLES = (".csv", ".tsv")
_COLUMN = "path"
NAMES_AT_ONCE = 50_000
_REMEDY = "Write one path a line, or a CSV table with a column path"


def list_named(
    file: Path, folder: Path, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[str]:
    """Yield the pages that a list names, each once, in its order: their paths below the folder.

    Paths are relative to `folder` or absolute. Nothing is said here of pages that do not exist:
    they cannot be read, and end up in the table of failures.

    Args:
        file: UTF-8, other bytes of names are kept; a table if its name ends so. `-` is standard
            input, a path a line.
        folder: that all pages lie in.
        wanted: which of the paths are asked for; the others take no memory.

    Raises:
        PageSortError: the list cannot be read, has no column of paths, or names a page outside of
            the folder.
    """
    is_here = not is_remote(folder) and os.sep == "/"
    names = (
        text if is_here and _is_plain(text) else _name_below(folder, text, file, line)
        for line, text in _named(file)
    )
    return _each_once(filter(wanted, names))


def _each_once(names: Iterator[str]) -> Iterator[str]:
    """Leave out names that came before, told by hashes: eight bytes a name are remembered."""
    known: list[np.ndarray] = []  # sorted hashes; each array is longer than the next one
    while some := list(itertools.islice(names, NAMES_AT_ONCE)):
        hashed = (hash(os.path.normcase(name)) for name in some)
        keys, places = np.unique(np.fromiter(hashed, np.int64), return_index=True)
        is_new = np.ones(len(keys), bool)
        for earlier in known:
            at = np.searchsorted(earlier, keys)
            is_new &= np.take(earlier, at, mode="clip") != keys
        yield from (some[place] for place in np.sort(places[is_new]).tolist())
        keys = keys[is_new]
        if not len(keys):
            continue
        while known and len(known[-1]) <= len(keys):
            keys = np.concatenate([known.pop(), keys])
            keys.sort(kind="stable")  # of sorted parts, which takes little
        known.append(keys)


def _is_plain(text: str) -> bool:
    """Whether a path leads into the folder as it stands; all but a few do, and this is quick."""
    is_inside = text[0] not in "/." and ":" not in text
    return is_inside and os.path.normpath(text) == text


def _name_below(folder: Path, text: str, file: Path, line: int) -> str:
    """The path below a folder that a line means."""
    root = absolute(folder)
    inside = absolute(read_path(text) if is_remote(text) else root / text)
    if has_secret(inside):
        raise PageSortError(
            f"line {line} names an address with a password or a query, which tables would show",
            where=file,
            remedy="Leave it out; what reads such places takes keys from its own settings",
        )
    if not inside.is_relative_to(root) or inside == root:
        raise PageSortError(
            f"line {line} names no page in {folder}: {text[:200]}",
            where=file,
            remedy="Name with -d the folder that all pages of the list lie in",
        )
    return inside.relative_to(root).as_posix()


def _named(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the number of each line that names a page, and the path as it is written."""
    if file == STANDARD_INPUT:
        if sys.stdin is None or sys.stdin.isatty():
            raise PageSortError("nobody writes a list to the standard input", remedy=_REMEDY)
        yield from _lines(io.TextIOWrapper(sys.stdin.buffer, "utf-8", "surrogateescape"))
        return
    if is_remote(file):
        content = io.TextIOWrapper(open_page_file(file), "utf-8", "surrogateescape", newline="")
        yield from _cells(content, file) if file.suffix.lower() in _TABLES else _lines(content)
        return
    with (
        translate_unreadable(file, "cannot read the list"),
        file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        yield from _cells(stream, file) if file.suffix.lower() in _TABLES else _lines(stream)


def _lines(stream: io.TextIOWrapper) -> Iterator[tuple[int, str]]:
    for number, text in enumerate(stream, 1):
        path = text.rstrip("\r\n").removeprefix(_BOM if number == 1 else "")
        if path:
            yield number, path


def _cells(stream: io.TextIOWrapper, file: Path) -> Iterator[tuple[int, str]]:
    """Yield the cells of the column of paths; comma, semicolon or tab part them."""
    for line, row in rows_by_name(stream, (_COLUMN,), file, _REMEDY):
        if row[_COLUMN]:
            yield line, row[_COLUMN]
