"""What a sorting put where, on disk before it happens, so that it can be taken back."""

from __future__ import annotations

import contextlib
import csv
import filecmp
import logging
import os
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Literal

from pagesort.common.errors import PageSortError
from pagesort.common.files import (
    exclusive,
    file_digest,
    flush,
    readable_folder,
    unfinished,
    unwritable,
)
from pagesort.common.text import MOST_NAMED, counted
from pagesort.pages.places import facts_of
from utils import SORTED_MARK

logger = logging.getLogger(__name__)

HEADER = ("ACTION", "TARGET", "SOURCE", "SIZE", "SHA256")
PREFIX = "manifest_"
BLOCK = 1000  # entries that undo holds at a time
# Of each link kind the word in the manifest: `render` is a copy of one page of a PDF or TIFF.
ACTIONS = ("copy", "hard", "sym", "move", "render")
# Rows beside the entries: the sorting came to its end; the entry at this place is being taken back.
COMPLETE = "complete"
UNDOING = "undoing"
# Names are written byte for byte, so that undo finds them in a session of another locale, too.
ENCODING = sys.getfilesystemencoding()
ERRORS = sys.getfilesystemencodeerrors()
MISSING = "it is not where it was put"


@dataclass(frozen=True)
class Entry:
    """One page that was put somewhere: `target` and `source` are absolute."""

    action: str
    target: Path
    source: Path
    size: int
    digest: str


class Manifest:
    """The manifest of one sorting; its file is made with the first entry.

    With it, a folder that nobody has put anything else into is marked, so that no run takes the
    pages in it for new ones.
    """

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self._is_ours = _is_empty(destination)
        self.path: Path | None = None
        self._file: IO[str] | None = None

    def add(self, entry: Entry) -> None:
        """Write an entry through to the system before its page is put in place."""
        if self._file is None:
            if self._is_ours:
                (self.destination / SORTED_MARK).touch()
            self.path, self._file = _open_new(self.destination)
            _write_row(self._file, HEADER)
        _write_row(self._file, _row(entry, self.destination))
        self._file.flush()

    def close(self, complete: bool) -> None:
        """Bring the file to the disk; `complete` says that every entry's page is in its place."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            if complete:
                _write_row(self._file, [COMPLETE])
            self._file.flush()
            os.fsync(self._file.fileno())
        with contextlib.suppress(OSError):
            self._file.close()


def _is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing but hidden files and lists, or is not there yet."""
    try:
        with os.scandir(folder) as entries:
            return all(
                entry.name.startswith(".") or entry.name.endswith(".csv") for entry in entries
            )
    except FileNotFoundError:
        return True


def _open_new(destination: Path) -> tuple[Path, IO[str]]:
    stem = f"{PREFIX}{datetime.now():%Y%m%d-%H%M%S}"
    number = 1
    while True:
        path = destination / f"{stem}{'' if number == 1 else f'~{number}'}.csv"
        try:
            file = path.open("x", encoding=ENCODING, errors=ERRORS, newline="")
        except FileExistsError:
            number += 1
            continue
        return path, file


@dataclass
class Undone:
    """How much undo took back and left alone; `kept` are the first of these, with the reasons."""

    taken_back: int = 0
    left_alone: int = 0
    missing: int = 0
    kept: list[tuple[Path, str]] = field(default_factory=list)

    def leave(self, target: Path, reason: str) -> None:
        """Count a page that is left alone; there can be a million, so some are kept."""
        self.left_alone += 1
        self.missing += reason == MISSING
        if len(self.kept) < MOST_NAMED:
            self.kept.append((target, reason))


def undo(destination: Path, dry_run: bool = False) -> Undone:
    """Take the last sorting into a folder back, as its manifest tells.

    A copy or link is removed if it is what was put there and its original still exists; a moved
    page goes back if nothing has taken its place. All else, and what is no longer where it was put,
    is left alone and told, and stays in the manifest, which is removed once it is empty; then the
    sorting before can be taken back.

    Raises:
        PageSortError: there is no manifest, or it cannot be read or changed.
    """
    readable_folder(destination)
    # Absolute, as its entries are; links in the path stay.
    destination = Path(os.path.abspath(destination))  # noqa: PTH100
    with exclusive(destination):
        try:
            manifests = _manifests(destination)
            path, earlier = manifests[-1], len(manifests) - 1
            done = _undo(path, destination, dry_run)
        except OSError as error:
            raise unwritable(error, destination) from error
    _log_outcome(done, path, dry_run)
    if earlier and not done.kept and not dry_run:
        number = "1 earlier sorting is" if earlier == 1 else f"{earlier} earlier sortings are"
        logger.info("%s left; --undo again takes back the one before", number)
    return done


def _undo(path: Path, destination: Path, dry_run: bool) -> Undone:
    """Take back what one manifest tells, from its last entry to its first."""
    survey = _survey(path, destination)
    done, left = Undone(), array("Q")
    folders: set[Path] = set()
    with _notes(path, survey.end, dry_run) as note:
        for place, entry in _backwards(path, destination, survey.starts):
            folders.add(entry.target.parent)
            reason = _take_back(entry, survey.may_be_gone(place), partial(note, place), dry_run)
            if reason is None:
                done.taken_back += 1
            elif reason:
                done.leave(entry.target, reason)
                left.append(place)
    if not dry_run:
        _tidy(destination, path, folders, left)
    return done


def _log_outcome(done: Undone, path: Path, dry_run: bool) -> None:
    for target, reason in done.kept:
        logger.warning("left alone: %s (%s)", target, reason)
    if done.left_alone > len(done.kept):
        logger.warning("and %d more", done.left_alone - len(done.kept))
    if done.missing:
        logger.warning(
            "put what was renamed or moved back and give the command again, or delete %s to "
            "forget it",
            path,
        )
    what = "would be taken back" if dry_run else "taken back"
    pages = counted(done.taken_back)
    logger.info("%s %s by %s, %d left alone", pages, what, path.name, done.left_alone)


def placed(destination: Path) -> Iterator[Entry]:
    """Yield what earlier sortings put into a folder, each where later ones have moved it.

    Up to where a list of them is damaged.
    """
    destination = Path(os.path.abspath(destination))  # noqa: PTH100
    moves: dict[Path, list[tuple[int, Path]]] = {}  # within the folder: few, as a person's work
    for number, entry in enumerate(_entries(destination)):
        if _is_moved_on(entry, destination):
            moves.setdefault(entry.source, []).append((number, entry.target))
    for number, entry in enumerate(_entries(destination)):
        if not _is_moved_on(entry, destination):
            yield replace(entry, target=_last_place(entry.target, number, moves))


def _entries(destination: Path) -> Iterator[Entry]:
    for path in _listed(destination):
        with contextlib.suppress(PageSortError):
            yield from (entry for _, entry in _read(path, destination))


def _is_moved_on(entry: Entry, destination: Path) -> bool:
    """Whether an entry tells of a page that an earlier one had put into the folder."""
    return entry.action == "move" and entry.source.is_relative_to(destination)


def _last_place(place: Path, number: int, moves: Mapping[Path, list[tuple[int, Path]]]) -> Path:
    """Where what an entry put in a place is after the moves that followed, as far as they were."""
    while step := next((move for move in moves.get(place, ()) if move[0] > number), None):
        if os.path.lexists(place) and not os.path.lexists(step[1]):
            break  # noted, and stopped before it happened
        number, place = step
    return place


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
    for place, row, _ in _rows(path, start):
        if len(row) == len(HEADER):  # the last one may be cut short by a crash
            try:
                yield place, _entry(row, destination)
            except ValueError as error:
                raise PageSortError("the manifest is damaged", where=path) from error


def _rows(path: Path, start: int = 0) -> Iterator[tuple[int, list[str], int]]:
    """Yield all rows of a manifest below its header, each with its first byte and its end."""
    try:
        with path.open("rb") as file:
            reader = csv.reader(_lines(file))
            if tuple(next(reader, ())) != HEADER:
                raise PageSortError("this is not a manifest of a sorting", where=path)
            place = max(start, file.tell())
            file.seek(place)
            for row in reader:
                yield place, row, file.tell()
                place = file.tell()
    except csv.Error as error:
        raise PageSortError("the manifest is damaged", where=path) from error


def _lines(file: IO[bytes]) -> Iterator[str]:
    """Yield lines one by one, so that the file's place stays that of the reader."""
    while line := file.readline():
        yield line.decode(ENCODING, ERRORS)


@dataclass(frozen=True)
class _Survey:
    """What a manifest says as a whole.

    Attributes:
        starts: the place of every 1000th entry.
        last: the place of the last entry whose page may not have been put anywhere; -1 if all were.
        undoing: the places of entries that an undo was about to take back, ascending.
        end: where the last whole row ends.
    """

    starts: list[int]
    last: int
    undoing: array[int]
    end: int

    def may_be_gone(self, place: int) -> bool:
        """Whether there may be nothing of an entry without anybody having moved it."""
        found = bisect_left(self.undoing, place)
        return place == self.last or place in self.undoing[found : found + 1]


def _survey(path: Path, destination: Path) -> _Survey:
    """Read all of a manifest, so that nothing is taken back by a damaged one."""
    starts: list[int] = []
    undoing = array("Q")
    entries, last, end = 0, -1, 0
    for place, row, row_end in _rows(path):
        if len(row) == len(HEADER):
            try:
                _entry(row, destination)
            except ValueError as error:
                raise PageSortError("the manifest is damaged", where=path) from error
            if not entries % BLOCK:
                starts.append(place)
            entries, last = entries + 1, place
        elif row == [COMPLETE]:
            last = -1
        elif len(row) == 2 and row[0] == UNDOING and row[1].isdecimal():
            undoing.append(int(row[1]))
        else:
            continue
        end = row_end
    return _Survey(starts, last, array("Q", sorted(undoing)), end)


@contextlib.contextmanager
def _notes(path: Path, end: int, dry_run: bool) -> Iterator[Callable[[int], object]]:
    """Give a function that notes, by its place, that an entry is about to be taken back.

    A disk that is too full for notes must not keep anybody from making room by an undo: they only
    matter if that is killed.
    """
    if dry_run or not end:
        yield lambda place: None
        return
    with path.open("r+b", buffering=0) as file:
        file.seek(end)
        file.truncate()

        def note(place: int) -> None:
            with contextlib.suppress(OSError):
                file.write(f"{UNDOING},{place}\n".encode("ascii"))

        yield note


def _entry(row: list[str], destination: Path) -> Entry:
    action, target, source, size, digest = row
    inside = Path(target)
    if action not in ACTIONS or inside.anchor or not inside.parts or ".." in inside.parts:
        raise ValueError(target)
    return Entry(action, destination / inside, Path(source), int(size), digest)


def _backwards(path: Path, destination: Path, starts: Sequence[int]) -> Iterator[tuple[int, Entry]]:
    """Yield the entries of a manifest from the last to the first, each with its place in bytes."""
    end = sys.maxsize
    for start in reversed(starts):
        entries = []
        for place, entry in _read(path, destination, start):
            if place >= end:
                break
            entries.append((place, entry))
        yield from reversed(entries)
        end = start


def _take_back(
    entry: Entry, may_be_gone: bool, note: Callable[[], object], dry_run: bool
) -> str | None:
    """Undo one entry: None if that is done, a reason if not; "" if there is nothing to undo."""
    target, source = entry.target, entry.source
    try:
        os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        is_undone = may_be_gone and (entry.action != "move" or os.path.lexists(source))
        return "" if is_undone else MISSING
    except OSError as error:
        return f"it cannot be looked at: {(error.strerror or str(error)).lower()}"
    try:
        reason = _reason_to_stay(entry, may_be_gone)
        if reason is None and not dry_run:
            note()
            if entry.action == "move" and not os.path.lexists(source):
                source.parent.mkdir(parents=True, exist_ok=True)
                _rename(target, source)
            else:
                target.unlink()
    except OSError as error:
        return f"it cannot be taken back: {(error.strerror or str(error)).lower()}"
    return reason


def _reason_to_stay(entry: Entry, may_be_gone: bool) -> str | None:
    target, source = entry.target, entry.source
    if entry.action == "move":
        if os.path.lexists(source):
            # A move to another disk that was killed has left both.
            if may_be_gone and filecmp.cmp(target, source, shallow=False):
                return None
            return f"something is at its old place, {source}"
        return "it was changed since" if target.stat().st_size != entry.size else None
    if not source.exists() and facts_of(source) is None:
        return f"its original is gone, {source}"
    return None if _is_ours(entry) else "it was changed since"


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
    with unfinished(path) as partial:
        if not left:
            # The manifest goes last: an undo that is killed can then be given again.
            if _listed(destination) == [path]:
                (destination / SORTED_MARK).unlink(missing_ok=True)
            path.unlink()
            return
        with partial.open("w", encoding=ENCODING, errors=ERRORS, newline="") as file:
            _write_row(file, HEADER)
            for place, entry in _read(path, destination):
                if left and place == left[-1]:
                    left.pop()
                    _write_row(file, _row(entry, destination))
            _write_row(file, [COMPLETE])
        flush(partial)
        partial.replace(path)


def _write_row(file: IO[str], row: Sequence[object]) -> None:
    # The csv module reads a carriage return only in quotation marks, and does not write them.
    has_return = any("\r" in str(cell) for cell in row)
    quoting: Literal[0, 1] = csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL
    csv.writer(file, lineterminator="\n", quoting=quoting).writerow(row)


def _row(entry: Entry, destination: Path) -> tuple[object, ...]:
    target = entry.target.relative_to(destination).as_posix()
    return entry.action, target, entry.source, entry.size, entry.digest
