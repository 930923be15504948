"""Many runs over parts of a folder as one listing: by pieces of it, in several processes.

A piece of the listing is a SQLite file with the tables of a journal. For each piece, the pages are
looked up in the parts, by hashes of their paths that were sorted once a part.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pagesort.prediction.journal_files import SCHEMA
from pagesort.prediction.listing import LISTED_AT_ONCE, Stored
from pagesort.prediction.result_tables import document_of, ending_of
from pagesort.prediction.shards import Shard, digest_of

MOST_SHOWN = 3  # pages that a message names
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: makes other hashes of small numbers

PieceTask = tuple["Plan", int, int]  # the number of a piece, and that of its first page
PartTask = tuple[Path, Path]


@dataclass
class Named:
    """Pages that a message tells of: how many, and the first ones by name."""

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, pages: Iterable[Stored]) -> None:
        """Count some more."""
        for path, part in pages:
            self.count += 1
            if len(self.names) < MOST_SHOWN:
                self.names.append(os.fsdecode(path) + (f", page {part}" if part else ""))

    def join(self, others: Named) -> None:
        """Count those of another piece, which come later."""
        self.count += others.count
        self.names = (self.names + others.names)[:MOST_SHOWN]

    def __str__(self) -> str:
        return "; ".join(self.names) + (", …" if self.count > len(self.names) else "")


@dataclass(frozen=True)
class PartFile:
    """The journal of a part, and where its hashes are kept."""

    path: Path
    shard: Shard | None
    keys: Path


@dataclass(frozen=True)
class Plan:
    """What all processes know: where to work, the parts, and whether all scores are written."""

    scratch: Path
    parts: tuple[PartFile, ...]
    raw: bool

    def listed(self, number: int) -> Path:
        """The paths and numbers of the pages of a piece of the listing."""
        return self.scratch / f"listed-{number}.txt"

    def piece(self, number: int) -> Path:
        """The file of a piece of the listing."""
        return self.scratch / f"piece-{number}.sqlite"

    def members(self, number: int) -> Path:
        """Which document each page of a piece of the listing belongs to; see `group`."""
        return self.scratch / f"members-{number}.npy"

    def matches(self, number: int) -> Path:
        """The parts, and places in them, of the pages of a piece of the listing."""
        return self.scratch / f"matches-{number}.npy"

    @property
    def names(self) -> Path:
        """The file that tells what FILE is shown as."""
        return self.scratch / "names.sqlite"


@dataclass
class Found:
    """What became of a piece: pages that no part has, those that a part has as well as an earlier
    one, and how many each part has.
    """

    number: int
    missing: Named
    doubled: dict[int, Named]
    counts: list[int]


def open_piece(path: Path) -> sqlite3.Connection:
    """Open a file of scratch, which nobody needs after a power cut."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}", uri=True)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection


@contextlib.contextmanager
def attached(connection: sqlite3.Connection, path: Path, name: str) -> Iterator[None]:
    """Have a file that nobody changes meanwhile at hand; no lock keeps others from reading it."""
    connection.commit()
    connection.execute(f"ATTACH ? AS {name}", (f"{path.absolute().as_uri()}?immutable=1",))
    yield
    connection.commit()
    connection.execute(f"DETACH {name}")


def sort_keys(task: PartTask) -> int:
    """Write the sorted hashes of a part's pages, and their numbers; how many there are."""
    path, target = task
    unchanged = f"{path.absolute().as_uri()}?immutable=1"
    with contextlib.closing(sqlite3.connect(unchanged, uri=True)) as part:
        rows = part.execute("SELECT path, part FROM pages ORDER BY idx")
        keys = []
        while chunk := rows.fetchmany(50_000):
            keys.append(_keys(chunk)[1])
    every = np.concatenate(keys) if keys else np.empty(0, np.uint64)
    order = np.argsort(every, kind="stable")
    np.save(target, np.stack([every[order], order.astype(np.uint64)]))
    return len(every)


def _keys(pages: Sequence[Stored]) -> tuple[np.ndarray, np.ndarray]:
    """The hashes of some pages' paths, which tell their part, and those of path and number."""
    digests = b"".join(digest_of(path) for path, _ in pages)
    hashes = np.frombuffer(digests, ">u8").astype(np.uint64)
    numbers = np.array([0 if part is None else part + 1 for _, part in pages], np.uint64)
    return hashes, hashes ^ (numbers * _SPREAD)


def find_pages(task: PieceTask) -> Found:
    """Put what the parts know of some pages of the listing into a file."""
    plan, number, first = task
    pages = _read_listed(plan.listed(number))
    hashes, keys = _keys(pages)
    found = Found(number, Named(), {}, [])
    matches = [np.empty((2, 0), np.int64)]
    with contextlib.closing(open_piece(plan.piece(number))) as connection:
        start_piece(connection)
        for place, part in enumerate(plan.parts):
            wanted = _candidates(part, hashes, keys, first)
            theirs = _take(connection, part, wanted, found, place)
            found.counts.append(len(theirs))
            matches.append(np.stack([np.full(len(theirs), place), np.array(theirs, np.int64)]))
        there = _checked(connection, first, pages)
        found.missing.add(page for at, page in enumerate(pages) if at not in there)
        np.save(plan.members(number), group(connection))
        connection.commit()
    np.save(plan.matches(number), np.concatenate(matches, axis=1))
    return found


def _checked(connection: sqlite3.Connection, first: int, pages: Sequence[Stored]) -> set[int]:
    """Which pages of the listing are there, but for those that only share a hash with another."""
    there = set()
    for idx, *page in connection.execute("SELECT idx, path, part FROM pages").fetchall():
        if tuple(page) == pages[idx - first]:
            there.add(idx - first)
            continue
        for table in ("pages", "scores", "failures"):
            connection.execute(f"DELETE FROM {table} WHERE idx = ?", (idx,))
    return there


def start_piece(connection: sqlite3.Connection) -> None:
    """Make the tables of a piece."""
    for statement in SCHEMA[1:]:  # a piece tells nothing of the run
        connection.execute(statement)
    connection.execute(
        "CREATE TEMP TABLE wanted (theirs INTEGER PRIMARY KEY, ours INTEGER NOT NULL)"
    )


def _candidates(
    part: PartFile, hashes: np.ndarray, keys: np.ndarray, first: int
) -> list[tuple[int, int]]:
    """Which pages of a piece a part may have: their numbers there, and in the whole."""
    here = np.arange(len(hashes))
    if part.shard is not None:
        here = np.flatnonzero(hashes % np.uint64(part.shard.count) == part.shard.number - 1)
    known, numbers = np.load(part.keys, mmap_mode="r")
    if not len(here) or not len(known):
        return []
    at = np.minimum(np.searchsorted(known, keys[here]), len(known) - 1)
    same = known[at] == keys[here]
    return list(zip(numbers[at[same]].tolist(), (first + here[same]).tolist(), strict=True))


def _take(
    connection: sqlite3.Connection,
    part: PartFile,
    wanted: Sequence[tuple[int, int]],
    found: Found,
    place: int,
) -> list[int]:
    """Copy pages of a part, with scores or failures; their numbers there."""
    if not wanted:
        return []
    connection.execute("DELETE FROM wanted")
    connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?, ?)", wanted)
    with attached(connection, part.path, "part"):
        twice = connection.execute(
            "SELECT path, part FROM wanted JOIN pages ON idx = ours ORDER BY ours"
        ).fetchall()
        if twice:
            found.doubled[place] = Named()
            found.doubled[place].add(twice)
            connection.execute("DELETE FROM wanted WHERE ours IN (SELECT idx FROM pages)")
        copy_rows(connection)
    return [theirs for theirs, _ in wanted]


def copy_rows(connection: sqlite3.Connection) -> None:
    """Copy the pages `wanted` of an attached part, with scores and failures."""
    for table, columns in (
        ("pages", "path, file, page, part"),
        ("scores", "scores, note"),
        ("failures", "reason"),
    ):
        theirs = ", ".join(f"t.{column}" for column in columns.split(", "))
        connection.execute(
            f"INSERT INTO main.{table} SELECT ours, {theirs} FROM wanted "
            f"JOIN part.{table} AS t ON t.idx = theirs ORDER BY ours"
        )


def group(connection: sqlite3.Connection) -> np.ndarray:
    """Write down the documents that pages belong to, as far as their own names tell.

    Returns:
        int64 (2, pages): the number of each page, and that of its document.
    """
    documents: dict[tuple[object, ...], int] = {}
    firsts: list[tuple[int, str, str, bytes, str, int | None]] = []
    members: list[tuple[int, int]] = []
    rows = connection.execute("SELECT idx, file, page, path, part FROM pages")
    for idx, file, page, path, part in rows:
        # Of one document as far as names tell: `document_of` and `ending_of` say no more, but of
        # names that begin with a dot.
        folder, _, name = path.rpartition(b"/")
        _, dot, ending = name.rpartition(b".") if name[:1] != b"." else ("", "", name)
        key = file, folder, dot, ending, part and 1
        document = documents.setdefault(key, len(documents))
        if document == len(firsts):
            firsts.append((document, file, document_of(path, part), path, page, part))
        members.append((idx, document))
    connection.execute(
        "CREATE TABLE documents (id INTEGER PRIMARY KEY, file TEXT, document TEXT, path BLOB, "
        "page TEXT, part INTEGER, folder TEXT, ending TEXT)"
    )
    connection.executemany(
        "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((*each, each[2].rpartition("\n")[0], ending_of(each[3])) for each in firsts),
    )
    return np.array(members, np.int64).reshape(-1, 2).T


def pieces_of(
    plan: Plan, listing: Iterable[tuple[str, int | None]], size: int
) -> Iterator[PieceTask]:
    """Cut a listing into pieces, which are written to files, so that none waits in memory."""
    listing = iter(listing)
    first = 0
    for number in itertools.count():
        count = _write_listed(plan.listed(number), itertools.islice(listing, size))
        if not count:
            return
        yield plan, number, first
        first += count


def _write_listed(target: Path, pages: Iterator[tuple[str, int | None]]) -> int:
    """Write some pages to a file; how many there are."""
    count = 0
    with target.open("w", encoding="ascii") as file:
        while some := list(itertools.islice(pages, LISTED_AT_ONCE)):
            file.write(f"{json.dumps(some)}\n")
            count += len(some)
    return count


def _read_listed(path: Path) -> list[Stored]:
    with path.open(encoding="ascii") as file:
        return [(os.fsencode(name), part) for line in file for name, part in json.loads(line)]


def add_gone(
    plan: Plan,
    first: int,
    pieces: Sequence[int],
    left: Sequence[int],
    doubled: Sequence[Named],
) -> int:
    """Put the pages of parts that are no longer listed into one more piece; its number.

    Args:
        first: the number of the first such page in the whole.
        left: how many pages of each part are in no piece.
        doubled: of each part, pages that an earlier one has are added.
    """
    number = len(pieces)
    nothing = np.empty((2, 0), np.int64)
    every = [nothing, *(np.load(plan.matches(piece)) for piece in pieces)]
    matches = np.concatenate(every, axis=1)
    seen: set[Stored] = set()
    with contextlib.closing(open_piece(plan.piece(number))) as connection:
        start_piece(connection)
        for place, part in enumerate(plan.parts):
            if left[place]:
                with attached(connection, part.path, "part"):
                    matched = matches[1, matches[0] == place]
                    _take_gone(connection, matched, first, seen, doubled[place])
        np.save(plan.members(number), group(connection))
        connection.commit()
    return number


def _take_gone(
    connection: sqlite3.Connection,
    matched: np.ndarray,
    first: int,
    seen: set[Stored],
    doubled: Named,
) -> None:
    """Copy the pages of an attached part that are not matched and not seen in an earlier part."""
    (total,) = connection.execute("SELECT coalesce(max(idx) + 1, 0) FROM part.pages").fetchone()
    is_gone = np.ones(total, bool)
    is_gone[matched] = False
    connection.execute("DELETE FROM wanted")
    for theirs in np.flatnonzero(is_gone).tolist():
        query = "SELECT path, part FROM part.pages WHERE idx = ?"
        page = connection.execute(query, (theirs,)).fetchone()
        if page in seen:
            doubled.add([page])
            continue
        connection.execute("INSERT INTO wanted VALUES (?, ?)", (theirs, first + len(seen)))
        seen.add(page)
    copy_rows(connection)
