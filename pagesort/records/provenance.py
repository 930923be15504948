"""Where a table comes from: a JSON file beside each, and the listing of the pages in it."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagesort import __version__
from pagesort.common.addresses import resolved, shown_place
from pagesort.common.files import (
    READ_BYTES,
    RESULTS_ELSEWHERE,
    file_digest,
    translate_unreadable,
    translate_unwritable,
    whole,
    write_json,
)
from pagesort.common.hardware import processors
from pagesort.common.pieces import UNDIVIDED, Division
from pagesort.common.tables import read_column

FORMAT = 1
CARD = "README.md"
# What decides the answers of a model folder, its texts included.
MODEL_FILES = ("*.safetensors", "*.json")
GONE = -1  # the size of a file that is not there
LINES_AT_ONCE = 2000


@dataclass(frozen=True)
class Written:
    """The tables of one piece of work, and where the listing of its pages is put.

    `tables` begins with the one that names every page that was read, and holds the table of pages
    that could not be read as `failures`, too. PATH in them is relative to `folder`, or absolute.
    `division` tells of tables that several processes have written.
    """

    tables: tuple[Path, ...]
    failures: Path | None
    folder: Path
    listing: Path
    division: Division = UNDIVIDED


def record_of(table: Path) -> Path:
    """The JSON file beside a table."""
    return table.with_suffix(".json")


def write_records(written: Written, facts: Mapping[str, Any]) -> None:
    """Write the listing of pages and, beside every table, where it comes from.

    Args:
        written: the tables, which are complete.
        facts: JSON values that are told of each: command, settings, models, times, counts.

    Raises:
        PageSortError: a table cannot be read, or a record cannot be written.
    """
    pages = {"folder": shown_place(resolved(written.folder)), "listing": written.listing.name}
    pages |= _write_listing(written)
    for table in written.tables:
        with translate_unreadable(table):
            digest = file_digest(table)
        content = {
            "format": FORMAT,
            "table": {"name": table.name, "sha256": digest},
            "program": {"name": "pagesort", "version": __version__},
            **facts,
            "pages": pages,
        }
        write_json(record_of(table), content)


def model_facts(folder: Path, **more: object) -> dict[str, Any]:
    """What tells a model from all others: its files with their SHA-256, and its card.

    Args:
        folder: a model folder, or a checkpoint's file.
        more: what else is known of it.

    Raises:
        PageSortError: a file of it cannot be read.
    """
    folder = folder.resolve()
    files = [folder]
    if folder.is_dir():
        files = sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern)})
    with translate_unreadable(folder, "the model cannot be read"):
        hashes = {path.name: file_digest(path) for path in files}
        card = folder / CARD
        has_card = folder.is_dir() and card.is_file()
        about = {"path": str(card), "sha256": file_digest(card)} if has_card else None
    return {"name": folder.name, "folder": str(folder), **more, "files": hashes, "card": about}


def machine_facts() -> dict[str, Any]:
    """The machine and the versions of what computes on it."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for package in ("torch", "transformers", "pillow", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = ""
    return {
        "name": platform.node(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "processors": processors(),
        "python": platform.python_version(),
        **versions,
    }


def page_facts(path: str | Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in seconds of a page's file; GONE without one.

    Of a page in an archive, those of the archive.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - of millions of pages, no path is made
    except NotADirectoryError:
        archive = next((parent for parent in Path(path).parents if parent.is_file()), None)
        if archive is None:
            return GONE, 0
        status = archive.stat()
    except (OSError, ValueError):
        return GONE, 0
    return status.st_size, int(status.st_mtime)


def _write_listing(written: Written) -> dict[str, Any]:
    """Write a line for each file of pages: its size, time of last change, and path as JSON."""
    target, count = written.listing, 0
    with translate_unwritable(target, "the listing of pages cannot be written", RESULTS_ELSEWHERE):
        with (
            whole(target) as partial,
            partial.open("wb") as raw,
            # Neither name nor time, so that the same pages give the same bytes.
            gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        ):
            for lines in _lines(written):
                packed.write(lines)
                count += lines.count(b"\n")
        return {"files": count, "sha256": file_digest(target)}


def _lines(written: Written) -> Iterator[bytes]:
    """Yield the lines of the listing, some at a time; of divided tables others read the pieces."""
    division = written.division
    tables = [written.tables[0], *([written.failures] if written.failures else [])]
    pieces = [(piece, written.folder) for table in tables for piece in division.of(table)]
    if not division.pieces:
        yield from itertools.chain.from_iterable(itertools.starmap(_lines_of, pieces))
        return
    for path in division.workers.in_order(write_lines, pieces):
        with path.open("rb") as file:
            while lines := file.read(READ_BYTES):
                yield lines
        path.unlink()


def write_lines(task: tuple[Path, Path]) -> Path:
    """Write the lines of the listing for a piece of a table of pages in a folder, beside it."""
    piece, folder = task
    target = piece.with_name(f"{piece.name}.txt")
    with target.open("wb") as file:
        file.writelines(_lines_of(piece, folder))
    return target


def _lines_of(table: Path, folder: Path) -> Iterator[bytes]:
    """Yield the lines of the listing for a table of pages in a folder, some at a time."""
    files = _files(table)
    while some := list(itertools.islice(files, LINES_AT_ONCE)):
        lines = []
        for path in some:
            size, time = page_facts(os.path.join(folder, path))  # noqa: PTH118
            lines.append(f"{size}\t{time}\t{json.dumps(path, ensure_ascii=False)}\n")
        yield "".join(lines).encode("utf-8")


def _files(table: Path) -> Iterator[str]:
    """The paths of a table, those of the pages of one document once."""
    before: str | None = None
    for path in read_column(table, "PATH"):
        if path and path != before:
            yield path
        before = path


def forget(table: Path) -> None:
    """Remove the record of a table that is no longer there."""
    if not os.path.lexists(table):
        record_of(table).unlink(missing_ok=True)
