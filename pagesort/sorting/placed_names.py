"""What a sorting must remember of every page, beside its memory once that is much."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import tempfile
from pathlib import Path

from pagesort.common.files import translate_unwritable

CACHE_KIB = 8192  # above this, the rest is in a file that has no name
# Where SQLite keeps such files.
PLACE = Path(
    tempfile.gettempdir()
    if sys.platform == "win32"
    else os.environ.get("SQLITE_TMPDIR") or os.environ.get("TMPDIR") or "/var/tmp"
)
FAULT = "what was sorted cannot be remembered"
REMEDY = "Free some space on the disk of temporary files, and give the same command again"
SCHEMA = (
    "CREATE TABLE claims (key INTEGER PRIMARY KEY, is_new INTEGER NOT NULL, "
    "number INTEGER NOT NULL)",
    "CREATE TABLE earlier (key INTEGER, number INTEGER, folder BLOB, name BLOB, "
    "PRIMARY KEY (key, number)) WITHOUT ROWID",
)


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
            for statement in SCHEMA:
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
        return translate_unwritable(PLACE, FAULT, remedy=REMEDY, also=(sqlite3.Error,))
