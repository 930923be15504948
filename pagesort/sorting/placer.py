"""Pages into a folder a class: copies, links or moves, never over another file, and undoable."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import logging
import os
import re
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from pagesort.common.addresses import absolute
from pagesort.common.errors import PageUnreadableError
from pagesort.common.files import (
    exclusive,
    file_digest,
    flush,
    translate_unwritable,
    unwritable,
)
from pagesort.common.text import MOST_NAMED, counted
from pagesort.pages.loader import PageRef
from pagesort.pages.places import facts_of, is_on_disk, open_page_file
from pagesort.sorting.destination import REVIEW, TEMPORARY, make_destination, placing_error
from pagesort.sorting.manifests import Entry, Manifest, placed

logger = logging.getLogger(__name__)

LINKS = ("copy", "hard", "sym")
NUMBERED = re.compile(r"(?P<name>.*?)(?P<page>[-_]?[0-9]+)?\Z", re.DOTALL)
CACHE_KIB = 8192  # of placed names; the rest is in a file that has no name
# Where SQLite keeps such files.
NAMES_PLACE = Path(
    tempfile.gettempdir()
    if sys.platform == "win32"
    else os.environ.get("SQLITE_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp"
)
NAMES_FAULT = "what was sorted cannot be remembered"
NAMES_REMEDY = "Free some space on the disk of temporary files, and give the same command again"
NAMES_SCHEMA = (
    "CREATE TABLE claims (key INTEGER PRIMARY KEY, is_new INTEGER NOT NULL, "
    "number INTEGER NOT NULL)",
    "CREATE TABLE earlier (key INTEGER, number INTEGER, folder BLOB, name BLOB, "
    "PRIMARY KEY (key, number)) WITHOUT ROWID",
)


@dataclass(frozen=True)
class SortedPage:
    """A page and what it was taken for; `score` is that guess's probability.

    With `needs_review` it goes to the pages to look at, whatever its score.
    One that a person has looked at, `is_corrected`, goes to its label's folder from wherever an
    earlier sorting put it.
    """

    ref: PageRef
    label: str
    score: float = 1.0
    needs_review: bool = False
    is_corrected: bool = False


@dataclass
class SortReport:
    """What a sorting did; `manifest` is None if nothing was put anywhere.

    `moved` counts those of `placed` that an earlier run had put into another folder. `folders`
    counts pages by folder, those of earlier runs included; `problems` are the first of
    the `left_out` pages that could not be sorted, with the reason.
    """

    manifest: Path | None = None
    placed: int = 0
    moved: int = 0
    present: int = 0
    folders: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    problems: list[tuple[PageRef, str]] = field(default_factory=list)

    def plan(self, folder: str, is_there: bool) -> None:
        """Count a page that a dry run would put into a folder, or leave there."""
        self.present += is_there
        self.placed += not is_there
        self.folders[folder] += 1

    def leave_out(self, ref: PageRef, reason: str) -> None:
        """Count a page that could not be sorted; there can be a million, so some are kept."""
        self.left_out += 1
        if len(self.problems) < MOST_NAMED:
            self.problems.append((ref, reason))


def sort_pages(
    pages: Iterable[SortedPage],
    destination: Path,
    *,
    link: str = "copy",
    min_score: float = 0.0,
    draw: Callable[[PageRef, Path], object] | None = None,
    dry_run: bool = False,
) -> SortReport:
    """Put pages into `<destination>/<label>/`, those below `min_score` into `_review/`.

    A page that is there already is left as it is; one whose name another page has gets a name of
    its own (`report~2-7.png`).

    Args:
        pages: in the order in which they get their names; `check_labels` passed their labels.
        destination: is made where it is missing.
        link: `copy`, `hard` or `sym`; a page of a PDF or TIFF becomes a PNG copy in any case, and
            one in an archive a copy.
        draw: writes one page of a document to a path, as PNG.
        dry_run: only find out what would go where; nothing is changed.

    Raises:
        PageSortError: another process is sorting there, the disk is full or takes no such links.
    """
    report = SortReport()
    with contextlib.ExitStack() as held:
        if not dry_run:
            make_destination(destination)
            held.enter_context(exclusive(destination))
        placer = held.enter_context(Placer(destination, link, report, dry_run))
        placer.read_earlier()
        for page in pages:
            is_sure = page.is_corrected or (page.score >= min_score and not page.needs_review)
            folder = page.label if is_sure else REVIEW
            earlier = placer.earlier_place(page.ref)
            if earlier is not None and earlier.parent.name != folder:
                reason: str | None = (
                    f"sorted before, as {earlier.parent.name}; take that back with --undo"
                )
                if page.is_corrected:
                    reason = placer.move_earlier(earlier, folder)
                if reason is not None:
                    report.leave_out(page.ref, reason)
                continue
            if dry_run:
                report.plan(folder, is_there=earlier is not None)
                continue
            try:
                placer.place(page.ref, folder, draw)
            except PageUnreadableError as error:
                report.leave_out(page.ref, error.what)
    log_report(report, destination, dry_run)
    return report


def _page_key(path: Path, part: int | None) -> tuple[str, int | None]:
    return str(absolute(path)), part


def log_report(report: SortReport, destination: Path, dry_run: bool = False) -> None:
    """Say what a sorting did, or would do."""
    for ref, reason in report.problems:
        logger.warning("not sorted: %s (%s)", ref.path, reason)
    if report.left_out > len(report.problems):
        logger.warning("and %d more", report.left_out - len(report.problems))
    pages = counted(report.placed)
    if dry_run:
        logger.info(
            "%s would be put into %s, %d are there already", pages, destination, report.present
        )
        for folder, count in sorted(report.folders.items()):
            logger.info("  %6d  %s", count, destination / folder)
        return
    logger.info("%s put into %s, %d were there already", pages, destination, report.present)
    if report.moved:
        logger.info("%s of them moved there from another folder of it", counted(report.moved))
    if report.manifest is not None:
        logger.info("what went where: %s", report.manifest)


class Placer:
    """Puts one page after the other into folders of a destination, with a manifest.

    The destination exists, and the caller holds it (`files.exclusive`), unless it is a dry run.
    """

    def __init__(
        self, destination: Path, link: str, report: SortReport, dry_run: bool = False
    ) -> None:
        self.destination = Path(os.path.abspath(destination))  # noqa: PTH100 - links stay
        self.link = link
        self.report = report
        self.dry_run = dry_run
        self.manifest = Manifest(self.destination)
        self._temporary = self.destination / TEMPORARY
        self._folders: set[str] = set()  # that are there, so that each is made once
        # Of what this run has put or found: two pages of one content are still two.
        self._names = PlacedNames()

    def __enter__(self) -> Placer:
        """Clear the destination of what a killed run left, unless nothing is to be changed."""
        try:
            if not self.dry_run:
                self._sweep()
        except OSError as error:
            raise unwritable(error, self.destination) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the manifest."""
        self.manifest.close(complete=kind is None)
        self._names.close()
        self.report.manifest = self.manifest.path
        if not self.dry_run:
            with contextlib.suppress(OSError):
                self._sweep()

    def _sweep(self) -> None:
        """Remove what is half-written; whoever draws a page has a further file beside ours."""
        for left in list(self.destination.glob(f"{TEMPORARY}*")):
            left.unlink(missing_ok=True)

    def read_earlier(self) -> None:
        """Read where earlier sortings put which pages, for `earlier_place`."""
        if not self.destination.is_dir():  # in a dry run
            return
        for entry in placed(self.destination):
            part = None
            if entry.action == "render":
                number = entry.target.stem.rpartition("-")[2]
                part = int(number) if number.isdecimal() else None
            elif entry.action == "move" and os.path.lexists(entry.source):
                continue  # its source is another page by now
            target = entry.target
            self._names.note(_page_key(entry.source, part), target.parent.name, target.name)

    def earlier_place(self, ref: PageRef) -> Path | None:
        """Where an earlier sorting put a page, if it is still there."""
        for folder, name in self._names.earlier(_page_key(ref.path, ref.page)):
            is_there = os.path.lexists(self.destination / folder / name)
            if is_there and self._names.claimed(folder, name) != "new":  # then another page's
                return self.destination / folder / name
        return None

    def move_earlier(self, place: Path, folder: str) -> str | None:
        """Move a page from its `earlier_place` into another folder of the destination.

        Returns:
            Why it stays where it is; None if it is moved.

        Raises:
            PageSortError: it cannot be moved.
        """
        if self.dry_run:
            self.report.plan(folder, is_there=False)
            return None
        try:
            (self.destination / folder).mkdir(exist_ok=True)
            target, is_there = self._free_name("move", place, folder, place.name)
            if is_there:
                return f"it is also in {place.parent.name}; remove it there"
            self._put("move", place, target)
        except OSError as error:
            raise placing_error(error, self.destination, self.link) from error
        self.report.placed += 1
        self.report.moved += 1
        self.report.folders[folder] += 1
        return None

    def place(
        self, ref: PageRef, folder: str, draw: Callable[[PageRef, Path], object] | None = None
    ) -> Path:
        """Put a page into a folder of the destination; returns where it is.

        Raises:
            PageUnreadableError: the page cannot be read.
            PageSortError: it cannot be put there.
        """
        source = absolute(ref.path)
        try:
            if facts_of(source) is None:
                raise PageUnreadableError("the file is no longer there", where=source)
            if folder not in self._folders:
                (self.destination / folder).mkdir(exist_ok=True)
                self._folders.add(folder)
            if ref.page is not None:
                action, name = "render", f"{source.stem}-{ref.page}.png"
                assert draw is not None
                draw(ref, self._temporary)
            elif not is_on_disk(source):  # so that it can be copied only
                action, name = "copy", source.name
                with open_page_file(source) as page, self._temporary.open("wb") as copy:
                    shutil.copyfileobj(page, copy)
            else:
                action, name = self.link, source.name
            earlier = self.earlier_place(ref)
            if earlier is not None and self._is_still(action, source, earlier, folder):
                target, is_there = earlier, True
            else:
                target, is_there = self._free_name(action, source, folder, name)
            if is_there:
                self.report.present += 1
            else:
                self._put(action, source, target)
                self.report.placed += 1
            self.report.folders[folder] += 1
            return target
        except PermissionError as error:
            if error.filename == str(source):
                raise PageUnreadableError("there is no permission to read it") from error
            raise placing_error(error, self.destination, self.link) from error
        except OSError as error:
            raise placing_error(error, self.destination, self.link) from error
        finally:
            if not is_on_disk(source) or ref.page is not None or self.link in ("copy", "move"):
                with contextlib.suppress(OSError):
                    self._temporary.unlink(missing_ok=True)

    def _is_still(self, action: str, source: Path, earlier: Path, folder: str) -> bool:
        """Whether a page is where an earlier sorting put it; names before its own may be free now.

        It then has this name.
        """
        if earlier.parent.name != folder or self._names.claimed(folder, earlier.name) is not None:
            return False
        if not self._is_there(action, source, earlier):
            return False
        self._names.claim(folder, earlier.name, is_new=False)
        return True

    def _free_name(self, action: str, source: Path, folder: str, name: str) -> tuple[Path, bool]:
        """Find where a page goes, and whether it is there already."""
        path = Path(name)
        parts = NUMBERED.fullmatch(path.stem)
        assert parts is not None
        wanted, number, are_claimed = name, self._names.next_number(folder, name), True
        while True:
            if number > 1:
                name = f"{parts['name']}~{number}{parts['page'] or ''}{path.suffix}"
            target = self.destination / folder / name
            if self._names.claimed(folder, name) is None:
                is_taken = os.path.lexists(target)
                if not is_taken or self._is_there(action, source, target):
                    self._names.claim(folder, name, is_new=not is_taken)
                    if number > 1 and are_claimed:  # all the names before this one
                        self._names.go_on_after(folder, wanted, number)
                    return target, is_taken
                are_claimed = False
            number += 1

    def _is_there(self, action: str, source: Path, target: Path) -> bool:
        if action == "sym":
            return target.is_symlink() and Path(os.readlink(target)) == source  # noqa: PTH115
        if target.is_symlink() or not target.is_file():
            return False
        if action == "hard":
            return target.samefile(source)
        is_written = action == "render" or not is_on_disk(source)
        compared = self._temporary if is_written else source
        return filecmp.cmp(compared, target, shallow=False)

    def _put(self, action: str, source: Path, target: Path) -> None:
        """Note a page in the manifest, then put it in place; both or, after a crash, the note."""
        written = action in ("copy", "render")
        if action == "copy" and is_on_disk(source):
            shutil.copyfile(source, self._temporary)
            shutil.copystat(source, self._temporary)
        size = (self._temporary if written else source).stat().st_size
        digest = file_digest(self._temporary) if written else ""
        self.manifest.add(Entry(action, target, source, size, digest))
        if written:
            self._temporary.rename(target)
        elif action == "hard":
            target.hardlink_to(source)
        elif action == "sym":
            target.symlink_to(source)
        else:
            _move(source, target, self._temporary)


def _synced_digest(path: Path) -> str:
    """Hash a new file and bring it to the disk, before what it was copied from is removed."""
    digest = file_digest(path)
    flush(path)
    return digest


def _move(source: Path, target: Path, temporary: Path) -> None:
    """Move a file; to another disk, it is there whole before the original goes."""
    try:
        source.rename(target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    shutil.copyfile(source, temporary)
    shutil.copystat(source, temporary)
    if _synced_digest(temporary) != file_digest(source):
        raise OSError(errno.EIO, "what was copied reads back differently", str(target))
    temporary.rename(target)
    source.unlink()


class PlacedNames:
    """Which names a sorting has given away, and where pages were put by earlier ones.

    Pages and names are known by their hashes, of 64 bits each.

    Raises:
        PageSortError: by each method, if there is no space for temporary files.
    """

    def __init__(self) -> None:
        self._count = 0
        with self._translate_faults():
            self._base = sqlite3.connect("", isolation_level=None)
            for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
                self._base.execute(f"PRAGMA {pragma}")
            for statement in NAMES_SCHEMA:
                self._base.execute(statement)
            self._base.execute("BEGIN")

    def close(self) -> None:
        """Forget everything."""
        self._base.close()

    def claim(self, folder: str, name: str, is_new: bool) -> None:
        """Give a name in a folder of the destination to a page, that was there or is put there."""
        with self._translate_faults():
            self._base.execute(
                "INSERT OR REPLACE INTO claims VALUES (?, ?, 1)",
                (hash((folder, name)), int(is_new)),
            )

    def claimed(self, folder: str, name: str) -> str | None:
        """Whether this sorting gave the name to a page that was there (`found`) or not (`new`)."""
        query = "SELECT is_new FROM claims WHERE key = ?"
        with self._translate_faults():
            row = self._base.execute(query, (hash((folder, name)),)).fetchone()
        return None if row is None else "new" if row[0] else "found"

    def next_number(self, folder: str, name: str) -> int:
        """The first number that may make a name free: 1 is the name as it is, 2 its `~2`.

        Thousands of volumes have a page of one name, and each would else ask for all before it.
        """
        query = "SELECT number FROM claims WHERE key = ?"
        with self._translate_faults():
            row = self._base.execute(query, (hash((folder, name)),)).fetchone()
        return 1 if row is None else row[0] + 1

    def go_on_after(self, folder: str, name: str, number: int) -> None:
        """Remember that a claimed name is claimed with all numbers up to this one."""
        query = "UPDATE claims SET number = ? WHERE key = ?"
        with self._translate_faults():
            self._base.execute(query, (number, hash((folder, name))))

    def note(self, page: tuple[str, int | None], folder: str, name: str) -> None:
        """Write down that an earlier sorting put a page there."""
        self._count += 1
        with self._translate_faults():
            self._base.execute(
                "INSERT INTO earlier VALUES (?, ?, ?, ?)",
                (hash(page), self._count, os.fsencode(folder), os.fsencode(name)),
            )

    def earlier(self, page: tuple[str, int | None]) -> list[tuple[str, str]]:
        """The folders and names that earlier sortings gave a page, the last one first."""
        with self._translate_faults():
            rows = self._base.execute(
                "SELECT folder, name FROM earlier WHERE key = ? ORDER BY number DESC", (hash(page),)
            ).fetchall()
        return [(os.fsdecode(folder), os.fsdecode(name)) for folder, name in rows]

    @staticmethod
    def _translate_faults() -> contextlib.AbstractContextManager[None]:
        return translate_unwritable(
            NAMES_PLACE, NAMES_FAULT, remedy=NAMES_REMEDY, also=(sqlite3.Error,)
        )
