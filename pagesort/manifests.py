"""What a sorting put where, on disk before it happens, so that it can be taken back."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from pagesort.errors import PageSortError
from pagesort.upkeep import counted, exclusive, readable_folder, unwritable

logger = logging.getLogger(__name__)

HEADER = ("ACTION", "TARGET", "SOURCE", "SIZE", "SHA256")
PREFIX = "manifest_"
MOST_TOLD = 20
READ_BYTES = 1 << 20
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
        self._writer: Any = None

    def add(self, entry: Entry) -> None:
        """Write an entry through to the system before its page is put in place."""
        if self._file is None:
            self.path, self._file = _open_new(self.destination)
            self._writer = csv.writer(self._file, lineterminator="\n")
            self._writer.writerow(HEADER)
        target = entry.target.relative_to(self.destination).as_posix()
        self._writer.writerow([entry.action, target, entry.source, entry.size, entry.digest])
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
    """What undo took back, and what it left alone with the reason."""

    taken_back: int = 0
    kept: list[tuple[Path, str]] = field(default_factory=list)


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
            entries = _read(path, destination)
            done, left = Undone(), []
            for entry in reversed(entries):
                reason = _take_back(entry, dry_run)
                if reason is None:
                    done.taken_back += 1
                elif reason:
                    done.kept.append((entry.target, reason))
                    left.append(entry)
            if not dry_run:
                _tidy(destination, path, entries, left[::-1])
        except OSError as error:
            raise unwritable(error, destination) from error
    for place, reason in done.kept[:MOST_TOLD]:
        logger.warning("left alone: %s (%s)", place, reason)
    if len(done.kept) > MOST_TOLD:
        logger.warning("and %d more", len(done.kept) - MOST_TOLD)
    what = "would be taken back" if dry_run else "taken back"
    pages = counted(done.taken_back)
    logger.info("%s %s by %s, %d left alone", pages, what, path.name, len(done.kept))
    if earlier and not done.kept and not dry_run:
        number = "1 earlier sorting is" if earlier == 1 else f"{earlier} earlier sortings are"
        logger.info("%s left; --undo again takes back the one before", number)
    return done


def placed(destination: Path) -> Iterator[Entry]:
    """Yield what earlier sortings put into a folder and is still there; damaged lists are left."""
    destination = Path(os.path.abspath(destination))  # noqa: PTH100
    for path in _listed(destination):
        with contextlib.suppress(PageSortError):
            yield from (each for each in _read(path, destination) if os.path.lexists(each.target))


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


def _read(path: Path, destination: Path) -> list[Entry]:
    entries = []
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file)
            if tuple(next(reader, ())) != HEADER:
                raise PageSortError("this is not a manifest of a sorting", where=path)
            for row in reader:
                if len(row) != len(HEADER):  # the last one, cut short by a crash before its page
                    continue
                action, target, source, size, digest = row
                entry = Entry(action, destination / target, Path(source), int(size), digest)
                if action not in ACTIONS or destination not in entry.target.parents:
                    raise ValueError(action)
                if ".." in Path(target).parts:
                    raise ValueError(target)
                entries.append(entry)
    except (ValueError, csv.Error) as error:
        raise PageSortError("the manifest is damaged", where=path) from error
    return entries


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


def _tidy(destination: Path, path: Path, entries: list[Entry], left: list[Entry]) -> None:
    """Keep in the manifest what was left alone; remove folders of classes that became empty."""
    for folder in {entry.target.parent for entry in entries}:
        with contextlib.suppress(OSError):
            folder.rmdir()
    if not left:
        path.unlink()
        return
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for entry in left:
            target = entry.target.relative_to(destination).as_posix()
            writer.writerow([entry.action, target, entry.source, entry.size, entry.digest])
    temporary.replace(path)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(READ_BYTES):
            sha.update(data)
    return sha.hexdigest()
