"""What a sorting put where, on disk before it happens, so that it can be taken back."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import logging
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from pagesort.common.errors import PageSortError
from pagesort.common.upkeep import counted, exclusive, readable_folder, unwritable

logger = logging.getLogger(__name__)

HEADER = ("ACTION", "TARGET", "SOURCE", "SIZE", "SHA256")
PREFIX = "manifest_"
MOST_TOLD = 20
READ_BYTES = 1 << 20
BLOCK = 1000  # entries that undo holds at a time
# Of each link kind the word in the manifest: `render` is a copy of one page of a PDF or TIFF.
ACTIONS = ("copy", "hard", "sym", "move", "render")


@dataclass(frozen=True)
class Entry:
    """One page that was put somewhere: `target` and `source` are absolute."""

    action: str
    target: Path
    source: Path
    size: int
    digest: str


class Manifest:
    """The manifest of one sorting; its file is made with the first entry."""

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.path: Path | None = None
        self._file: IO[str] | None = None

    def add(self, entry: Entry) -> None:
        """Write an entry through to the system before its page is put in place."""
        if self._file is None:
            self.path, self._file = _open_new(self.destination)
            _write_row(self._file, HEADER)
        _write_row(self._file, _row(entry, self.destination))
        self._file.flush()

    def close(self) -> None:
        """Bring the file to the disk."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()


def _open_new(destination: Path) -> tuple[Path, IO[str]]:
    stem = f"{PREFIX}{datetime.now():%Y%m%d-%H%M%S}"
    number = 1
    while True:
        path = destination / f"{stem}{'' if number == 1 else f'~{number}'}.csv"
        try:
            # Names that are not UTF-8 keep their bytes, so that undo finds them again.
            file = path.open("x", encoding="utf-8", errors="surrogateescape", newline="")
        except FileExistsError:
            number += 1
            continue
        return path, file


@dataclass
class Undone:
    """How much undo took back and left alone; `kept` are the first of these, with the reasons."""

    taken_back: int = 0
    left_alone: int = 0
    kept: list[tuple[Path, str]] = field(default_factory=list)

    def leave(self, target: Path, reason: str) -> None:
        """Count a page that is left alone; there can be a million, so some are kept."""
        self.left_alone += 1
        if len(self.kept) < MOST_TOLD:
            self.kept.append((target, reason))


def undo(destination: Path, dry_run: bool = False) -> Undone:
    """Take the last sorting into a folder back, as its manifest tells.

    A copy or link is removed if it is what was put there and its original still exists; a moved
    page goes back if nothing has taken its place. All else is left alone and told, and stays in
    the manifest, which is removed once it is empty; then the sorting before can be taken back.

    Raises:
        PageSortError: there is no manifest, or it or a page cannot be read or changed.
    """
    readable_folder(destination)
    # Absolute, as its entries are; links in the path stay.
    destination = Path(os.path.abspath(destination))  # noqa: PTH100
    with exclusive(destination):
        try:
            manifests = _manifests(destination)
            path, earlier = manifests[-1], len(manifests) - 1
            done, left = Undone(), array("Q")
            folders: set[Path] = set()
            for place, entry in _backwards(path, destination):
                folders.add(entry.target.parent)
                reason = _take_back(entry, dry_run)
                if reason is None:
                    done.taken_back += 1
                elif reason:
                    done.leave(entry.target, reason)
                    left.append(place)
            if not dry_run:
                _tidy(destination, path, folders, left)
        except OSError as error:
            raise unwritable(error, destination) from error
    for target, reason in done.kept:
        logger.warning("left alone: %s (%s)", target, reason)
    if done.left_alone > len(done.kept):
        logger.warning("and %d more", done.left_alone - len(done.kept))
    what = "would be taken back" if dry_run else "taken back"
    pages = counted(done.taken_back)
    logger.info("%s %s by %s, %d left alone", pages, what, path.name, done.left_alone)
    if earlier and not done.kept and not dry_run:
        number = "1 earlier sorting is" if earlier == 1 else f"{earlier} earlier sortings are"
        logger.info("%s left; --undo again takes back the one before", number)
    return done


def placed(destination: Path) -> Iterator[Entry]:
    """Yield what earlier sortings put into a folder, up to where a list of them is damaged."""
    destination = Path(os.path.abspath(destination))  # noqa: PTH100
    for path in _listed(destination):
        with contextlib.suppress(PageSortError):
            yield from (entry for _, entry in _read(path, destination))


def _listed(destination: Path) -> list[Path]:
    """The manifests of a folder, the oldest first."""
    paths = [
        path for path in destination.iterdir() if path.name.startswith(PREFIX) and path.is_file()
    ]
    return sorted((path for path in paths if path.suffix == ".csv"), key=_order)


def _manifests(destination: Path) -> list[Path]:
    paths = _listed(destination)
    if not paths:
        raise PageSortError(
            "there is no sorting to take back",
            where=destination,
            remedy="Name the folder that pages were sorted into; it holds a manifest",
        )
    return paths


def _order(path: Path) -> tuple[str, int]:
    """Sorts manifests by time, and those of one second by their number."""
    time, _, number = path.stem.removeprefix(PREFIX).partition("~")
    return time, int(number) if number.isdigit() else 1


def _read(path: Path, destination: Path, start: int = 0) -> Iterator[tuple[int, Entry]]:
    """Yield the entries of a manifest, each with its place in bytes, from such a place on."""
    try:
        with path.open("rb") as file:
            reader = csv.reader(_lines(file))
            if tuple(next(reader, ())) != HEADER:
                raise PageSortError("this is not a manifest of a sorting", where=path)
            place = max(start, file.tell())
            file.seek(place)
            for row in reader:
                if len(row) == len(HEADER):  # the last one may be cut short by a crash
                    yield place, _entry(row, destination)
                place = file.tell()
    except (ValueError, csv.Error) as error:
        raise PageSortError("the manifest is damaged", where=path) from error


def _lines(file: IO[bytes]) -> Iterator[str]:
    """Yield lines one by one, so that the file's place stays that of the reader."""
    while line := file.readline():
        yield line.decode("utf-8", "surrogateescape")


def _entry(row: list[str], destination: Path) -> Entry:
    action, target, source, size, digest = row
    inside = Path(target)
    if action not in ACTIONS or inside.anchor or not inside.parts or ".." in inside.parts:
        raise ValueError(target)
    return Entry(action, destination / inside, Path(source), int(size), digest)


def _backwards(path: Path, destination: Path) -> Iterator[tuple[int, Entry]]:
    """Yield the entries of a manifest from the last to the first, each with its place in bytes.

    All of it is read before the first is yielded, so that nothing is taken back by a damaged one.
    """
    starts = [
        place for number, (place, _) in enumerate(_read(path, destination)) if not number % BLOCK
    ]
    end = path.stat().st_size
    for start in reversed(starts):
        entries = []
        for place, entry in _read(path, destination, start):
            if place >= end:
                break
            entries.append((place, entry))
        yield from reversed(entries)
        end = start


def _take_back(entry: Entry, dry_run: bool) -> str | None:
    """Undo one entry: None if that is done, a reason if not; "" if there is nothing to undo."""
    target, source = entry.target, entry.source
    if not os.path.lexists(target):
        return ""
    if entry.action == "move":
        if os.path.lexists(source):
            return f"something is at its old place, {source}"
        if target.stat().st_size != entry.size:
            return "it was changed since"
        if not dry_run:
            source.parent.mkdir(parents=True, exist_ok=True)
            _rename(target, source)
        return None
    if not source.exists():
        return f"its original is gone, {source}"
    if not _is_ours(entry):
        return "it was changed since"
    if not dry_run:
        target.unlink()
    return None


def _is_ours(entry: Entry) -> bool:
    """Whether what is at the target is what was put there."""
    target, source = entry.target, entry.source
    if entry.action == "sym":
        return target.is_symlink() and Path(os.readlink(target)) == source  # noqa: PTH115
    if target.is_symlink():
        return False
    if entry.action == "hard":
        return target.samefile(source)
    return target.stat().st_size == entry.size and file_digest(target) == entry.digest


def _rename(path: Path, target: Path) -> None:
    """Move a file, to another disk too."""
    import shutil

    shutil.move(path, target)


def _tidy(destination: Path, path: Path, folders: set[Path], left: array[int]) -> None:
    """Keep in the manifest what was left alone; remove folders of classes that became empty.

    Args:
        left: the places of these entries, from the last to the first.
    """
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
    if not left:
        path.unlink()
        return
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        _write_row(file, HEADER)
        for place, entry in _read(path, destination):
            if left and place == left[-1]:
                left.pop()
                _write_row(file, _row(entry, destination))
    temporary.replace(path)


def _write_row(file: IO[str], row: Sequence[object]) -> None:
    # The csv module reads a carriage return only in quotation marks, and does not write them.
    quoting = csv.QUOTE_ALL if any("\r" in str(cell) for cell in row) else csv.QUOTE_MINIMAL
    csv.writer(file, lineterminator="\n", quoting=quoting).writerow(row)


def _row(entry: Entry, destination: Path) -> tuple[object, ...]:
    target = entry.target.relative_to(destination).as_posix()
    return entry.action, target, entry.source, entry.size, entry.digest


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            sha.update(data)
    return sha.hexdigest()
