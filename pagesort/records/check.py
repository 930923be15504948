"""Whether a table, its model and its pages are still what the record beside the table says."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pagesort.common.checked_json import Kind, is_of, read_json
from pagesort.common.errors import PageSortError
from pagesort.common.files import file_digest, translate_unreadable
from pagesort.common.text import counted
from pagesort.records.provenance import CARD, FORMAT, GONE, page_facts, record_of

SHAPE: dict[str, Kind] = {
    "format": int,
    "table": dict,
    "models": list,
    "pages": dict,
}
LONGEST_LINE = 100_000  # bytes
MOST_SHOWN = 5  # differing pages
CLOCK_S = 2  # some file systems keep times this roughly
DAMAGED = "The record is damaged; it cannot tell"


@dataclass(frozen=True)
class Finding:
    """What became of one of the things that a table depends on, in a line; `same` is good."""

    same: bool
    line: str


def check_table(table: Path) -> list[Finding]:
    """Compare a table, its models and its pages with the record beside it.

    The table and the files of a model are compared by their SHA-256, pages by size and time of the
    last change.

    Raises:
        PageSortError: there is no record, it is damaged, or something cannot be read.
    """
    record, facts = record_of(table), read_record(table)
    findings = [_table(table, _text(facts["table"], "sha256", record))]
    findings += [_model(model, record) for model in facts["models"]]
    return [*findings, _pages(facts["pages"], record)]


def read_record(table: Path) -> dict[str, Any]:
    """Read the record beside a table.

    Raises:
        PageSortError: there is none, or it is damaged or of another version.
    """
    record = record_of(table)
    try:
        facts = read_json(record, DAMAGED, shape=SHAPE)
    except FileNotFoundError:
        raise PageSortError(
            "there is no record beside this table",
            where=record,
            remedy="Name a table in result/tables; older versions of this program kept none",
        ) from None
    if facts["format"] != FORMAT:
        raise PageSortError("the record is of another version of this program", where=record)
    return facts


def replaced_files(listing: Path, folder: Path) -> Iterator[str]:
    """Yield the paths of a listing, relative to the folder, whose files are there as others now.

    Raises:
        PageSortError: the listing cannot be read.
    """
    for path, size, time in _listed(listing):
        place = folder / path  # which is absolute in tables of absolute paths
        if page_facts(place)[0] == GONE or not _difference(place, size, time):
            continue
        if place.is_relative_to(folder):
            yield place.relative_to(folder).as_posix()


def _table(table: Path, digest: str) -> Finding:
    with translate_unreadable(table):
        try:
            same = file_digest(table) == digest
        except FileNotFoundError:
            return Finding(False, f"table: is not there: {table}")
    said = "unchanged" if same else "differs from what was written"
    return Finding(same, f"table: {said}: {table}")


def _model(facts: object, record: Path) -> Finding:
    """Compare the files of a model, and name the first that differs."""
    if not isinstance(facts, dict) or not isinstance(facts.get("files"), dict):
        raise PageSortError("'models' tells no files", where=record, remedy=DAMAGED)
    folder = Path(_text(facts, "folder", record))
    expected = {
        folder if folder.is_file() else folder / name: digest
        for name, digest in facts["files"].items()
        if Path(name).name == name
    }
    card = facts.get("card")
    if isinstance(card, dict):
        expected[folder / CARD] = card.get("sha256")
    if not folder.exists():
        return Finding(False, f"model: is not there: {folder}")
    for path, digest in expected.items():
        with translate_unreadable(path):
            try:
                if file_digest(path) != digest:
                    return Finding(False, f"model: {path.name} differs: {folder}")
            except FileNotFoundError:
                return Finding(False, f"model: {path.name} is not there: {folder}")
    return Finding(True, f"model: unchanged: {folder}")


def _pages(facts: Mapping[str, Any], record: Path) -> Finding:
    """Compare every file of pages, and name the first that differ."""
    folder = Path(_text(facts, "folder", record))
    name = _text(facts, "listing", record)
    if Path(name).name != name:
        raise PageSortError("'listing' is no file's name", where=record, remedy=DAMAGED)
    listing = record.with_name(name)
    if not listing.exists():
        return Finding(False, f"pages: their listing is not there: {listing}")
    with translate_unreadable(listing):
        if file_digest(listing) != _text(facts, "sha256", record):
            return Finding(False, f"pages: their listing differs: {listing}")
    if not folder.is_dir():
        return Finding(False, f"pages: their folder is not there: {folder}")
    count = differing = 0
    shown = []
    for path, size, time in _listed(listing):
        count += 1
        if problem := _difference(folder / path, size, time):
            differing += 1
            if differing <= MOST_SHOWN:
                shown.append(f"{path} {problem}")
    if not differing:
        return Finding(True, f"pages: {_files(count)} unchanged: {folder}")
    more = f" and {differing - MOST_SHOWN} more" if differing > MOST_SHOWN else ""
    said = f"pages: {differing} of {_files(count)} differ: {', '.join(shown)}{more}"
    return Finding(False, said)


def _difference(path: Path, size: int, time: int) -> str:
    """What is different about a file; empty if nothing is."""
    now, changed = page_facts(path)
    if now == size == GONE:
        return ""
    if now == GONE:
        return "is not there"
    if now != size:
        return "has another size"
    return "was written anew" if abs(changed - time) > CLOCK_S else ""


def _listed(listing: Path) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and time of each file of a listing.

    Raises:
        PageSortError: the listing is damaged.
    """
    faults = (EOFError, ValueError, zlib.error)
    with (
        translate_unreadable(listing, "the listing of pages cannot be read", also=faults),
        gzip.open(listing, "rb") as file,
    ):
        for line in iter(lambda: file.readline(LONGEST_LINE), b""):
            size, time, path = line.decode("utf-8").split("\t", 2)
            yield str(json.loads(path)), int(size), int(time)


def _files(count: int) -> str:
    return counted(count).replace("page", "file")


def _text(facts: Mapping[str, Any], key: str, record: Path) -> str:
    value = facts.get(key)
    if not is_of(value, str):
        raise PageSortError(f"'{key}' is no text", where=record, remedy=DAMAGED)
    return str(value)
