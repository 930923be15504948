"""The pages of a run as a file names them: one path a line, or a table with a column of paths."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from pagesort.common.addresses import absolute, has_secret, is_remote, read_path
from pagesort.common.errors import PageSortError
from pagesort.common.tables import rows_by_name
from pagesort.pages.places import open_page_file

STANDARD_INPUT = Path("-")
_BOM = "\ufeff"
_TABLES = (".csv", ".tsv")
_COLUMN = "path"
_REMEDY = "Write one path a line, or a CSV table with a column path"


def list_named(file: Path, folder: Path) -> Iterator[Path]:
    """Yield the pages that a list names, each once, in its order.

    Paths are relative to `folder` or absolute. Nothing is said here of pages that do not exist:
    they cannot be read, and end up in the table of failures.

    Args:
        file: UTF-8, other bytes of names are kept; a table if its name ends so. `-` is standard
            input, a path a line.
        folder: that all pages lie in.

    Raises:
        PageSortError: the list cannot be read, has no column of paths, or names a page outside of
            the folder.
    """
    root = absolute(folder)
    seen: set[int] = set()
    for line, text in _named(file):
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
        if (key := hash(inside)) not in seen:
            seen.add(key)
            yield folder / inside.relative_to(root)


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
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            yield from _cells(stream, file) if file.suffix.lower() in _TABLES else _lines(stream)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise PageSortError(f"cannot read the list ({reason})", where=file) from error


def _lines(stream: io.TextIOWrapper) -> Iterator[tuple[int, str]]:
    for number, text in enumerate(stream, 1):
        path = text.rstrip("\r\n").removeprefix(_BOM if number == 1 else "")
        if path:
            yield number, path


def _cells(stream: io.TextIOWrapper, file: Path) -> Iterator[tuple[int, str]]:
    """Yield the cells of the column of paths; comma, semicolon or tab part them."""
    try:
        for line, row in rows_by_name(stream, (_COLUMN,)):
            if row[_COLUMN]:
                yield line, row[_COLUMN]
    except KeyError:
        raise PageSortError("the table has no column path", where=file, remedy=_REMEDY) from None
    except csv.Error as error:
        raise PageSortError(f"the table is damaged ({error})", where=file) from error
