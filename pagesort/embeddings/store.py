"""Embeddings that are kept: one SQLite file a model, from which a page's is had without seeing it.

Any number of processes of one machine may use a file at once. On a network drive that several
machines write to, SQLite's locks are not to be relied on: there each needs a folder of its own.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pagesort.common.errors import PageUnreadableError
from pagesort.common.files import RESULTS_ELSEWHERE, translate_unwritable
from pagesort.common.hardware import decoding_threads
from pagesort.common.parallel import in_order
from pagesort.embeddings.page import STORED, EmbeddedPage, unit_rows
from pagesort.models.protocols import Embedder
from pagesort.pages.loader import Failure, PageRef
from pagesort.pages.places import digest_of, facts_of

logger = logging.getLogger(__name__)

LOOKED_UP_AT_ONCE = 256
ROWS_AT_ONCE = 4096
LOCK_WAIT_S = 60.0  # other processes write for milliseconds at a time
FRESH_S = 2.0  # a file changed so lately may change again within the tick of its disk's clock
JUST_NOW = -1  # stands for the time of such a change
VERSION = "1"  # of the layout
DAMAGED_SUFFIX = ".damaged"
BESIDE = ("-journal", "-wal", "-shm")  # endings of what SQLite keeps beside a file

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS store (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    # What a file held when it was looked at: absolute path, bytes, nanoseconds, SHA-256.
    "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER NOT NULL, "
    "changed INTEGER NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS files_by_hash ON files (hash)",
    # `part` counts a document's pages from 1; 0 is a file that is one page.
    "CREATE TABLE IF NOT EXISTS pages (id INTEGER PRIMARY KEY, hash BLOB NOT NULL, "
    "part INTEGER NOT NULL, look TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL, "
    "note TEXT NOT NULL, UNIQUE (hash, part, look))",
    # Apart from all else, as a search reads all of them.
    "CREATE TABLE IF NOT EXISTS vectors (id INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS features (id INTEGER NOT NULL, version TEXT NOT NULL, "
    "data BLOB NOT NULL, PRIMARY KEY (id, version)) WITHOUT ROWID",
)

Found = TypeVar("Found")


@dataclass(frozen=True)
class Content:
    """What a page is known by, whatever its file is called: SHA-256 of the file, and the part."""

    hash: bytes
    part: int


class EmbeddingStore:
    """The embeddings that one model made of pages; use as a context manager, in one thread.

    Pages are known by the content of their files. A file whose path, size and time of change are as
    they were is not read again. A file that is damaged is put aside and begun anew. Use `open`.

    Attributes:
        path: the SQLite file.
        look: how the model looked at the pages: height and width in pixels, and the precision.
    """

    def __init__(self, path: Path, fingerprint: str, look: str) -> None:
        """Store the values; nothing is opened yet."""
        self.path = path
        self.look = look
        self._fingerprint = fingerprint
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def open(cls, folder: Path, model: Embedder) -> EmbeddingStore:
        """Open the file of a model, or begin one.

        Args:
            folder: made where it is missing.
            model: its weights, settings, input size and precision decide which embeddings count.

        Raises:
            PageSortError: nothing can be written there.
        """
        name = re.sub(r"[^\w.+@-]+", "-", model.name).strip("-.") or "model"
        height, width = model.preprocessing.input_size
        path = folder / f"{name}_{model.model_fingerprint[:12]}.sqlite"
        store = cls(path, model.model_fingerprint, f"{height}x{width} {model.precision}")
        with store._translated():
            folder.mkdir(parents=True, exist_ok=True)
            store._mended(store._connect)
        return store

    def __enter__(self) -> EmbeddingStore:
        """Hold the store for a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Close the file; what was kept stays."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def look_up(
        self, refs: Sequence[PageRef], version: str | None = None
    ) -> list[tuple[Content | None, EmbeddedPage | None]]:
        """Find pages: of each what it is known by, and its embedding if that is kept.

        Args:
            refs: some pages. Files that are new or have changed are read and hashed.
            version: of the features that are wanted, too; pages without these count as not kept.

        Returns:
            For each page its content, None where the file cannot be read, and the page.

        Raises:
            PageSortError: the disk refuses.
        """
        paths = list(dict.fromkeys(ref.path for ref in refs))
        with self._translated():
            hashes = dict(zip(paths, self._mended(lambda: self._hashes(paths)), strict=True))
            return self._mended(
                lambda: [self._find(ref, hashes[ref.path], version) for ref in refs]
            )

    def keep(
        self,
        pages: Iterable[tuple[Content | None, EmbeddedPage | Failure]],
        version: str | None = None,
    ) -> None:
        """Keep some embeddings, all of them or none; from then on they outlive the process.

        Args:
            pages: those that failed, or whose content is not known, are passed over.
            version: of their features.

        Raises:
            PageSortError: the disk is full or refuses.
        """
        good = [
            (content, page)
            for content, page in pages
            if content is not None and isinstance(page, EmbeddedPage)
        ]
        if good:
            with self._translated():
                self._mended(lambda: self._keep(good, version))

    @property
    def token(self) -> str:
        """What tells this file from one that was begun anew in its place."""
        with self._translated():
            query = "SELECT value FROM store WHERE key = 'token'"
            return str(self._open.execute(query).fetchone()[0])

    def rows_after(self, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield all embeddings of this look whose number is greater, some thousand at a time.

        Returns:
            Numbers, int64 (N,), ascending, and embeddings as they are kept, float16 (N, D).

        Raises:
            PageSortError: the disk refuses.
        """
        query = (
            "SELECT id, vector FROM pages JOIN vectors USING (id) WHERE id > ? AND look = ? "
            "ORDER BY id LIMIT ?"
        )
        while True:
            values = (number, self.look, ROWS_AT_ONCE)
            with self._translated():
                rows = self._mended(functools.partial(self._all, query, values))
            if not rows:
                return
            numbers = np.array([each[0] for each in rows], np.int64)
            number = rows[-1][0]
            yield numbers, _read(b"".join(each[1] for each in rows), STORED).reshape(len(rows), -1)

    def _all(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return self._open.execute(query, values).fetchall()

    def places(self, number: int) -> list[PageRef]:
        """Where the page of this number was found, by the paths of its copies."""
        with self._translated():
            rows = self._open.execute(
                "SELECT path, part FROM pages JOIN files USING (hash) WHERE id = ? ORDER BY path",
                (number,),
            ).fetchall()
        return [PageRef(0, Path(os.fsdecode(path)), part or None) for path, part in rows]

    def last_seen(self, ref: PageRef) -> EmbeddedPage | None:
        """The embedding of a page whose file is not there any more; None if none is kept."""
        with self._translated():
            query = "SELECT hash FROM files WHERE path = ?"
            row = self._open.execute(query, (os.fsencode(ref.path.absolute()),)).fetchone()
            return self._find(ref, row[0], None)[1] if row else None

    def _keep(self, pages: Sequence[tuple[Content, EmbeddedPage]], version: str | None) -> None:
        with self._transaction() as connection:
            for content, page in pages:
                key = (content.hash, content.part, self.look)
                connection.execute(
                    "INSERT OR IGNORE INTO pages (hash, part, look, width, height, note) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (*key, *page.size, page.note),
                )
                query = "SELECT id FROM pages WHERE hash = ? AND part = ? AND look = ?"
                number = connection.execute(query, key).fetchone()[0]
                vector = np.asarray(page.vector, STORED).tobytes()
                connection.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?)", (number, vector))
                if version is not None and page.features is not None:
                    data = np.asarray(page.features, "<f4").tobytes()
                    row = (number, version, data)
                    connection.execute("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", row)

    def _find(
        self, ref: PageRef, hashed: bytes | None, version: str | None
    ) -> tuple[Content | None, EmbeddedPage | None]:
        if hashed is None:
            return None, None
        content = Content(hashed, ref.page or 0)
        row = self._open.execute(
            "SELECT vector, width, height, note, id FROM pages JOIN vectors USING (id) "
            "WHERE hash = ? AND part = ? AND look = ?",
            (content.hash, content.part, self.look),
        ).fetchone()
        if row is None:
            return content, None
        features = None
        if version is not None:
            query = "SELECT data FROM features WHERE id = ? AND version = ?"
            found = self._open.execute(query, (row[4], version)).fetchone()
            if found is None:
                return content, None
            features = _read(found[0], np.dtype("<f4"))
        vector = unit_rows(_read(row[0], STORED)[None])[0]
        return content, EmbeddedPage(ref, vector, (row[1], row[2]), row[3], features)

    def _hashes(self, paths: Sequence[Path]) -> list[bytes | None]:
        """The hash of each file, from what is known of it, else from its bytes."""
        states = [_state(path) for path in paths]
        keys = [os.fsencode(path.absolute()) for path in paths]
        known: list[bytes | None] = []
        for key, state in zip(keys, states, strict=True):
            query = "SELECT hash FROM files WHERE path = ? AND size = ? AND changed = ?"
            is_told = state is not None and state[1] != JUST_NOW
            row = self._open.execute(query, (key, *(state or ()))).fetchone() if is_told else None
            known.append(row[0] if row else None)
        unread = [
            place for place, state in enumerate(states) if state is not None and not known[place]
        ]
        rows = []
        hashing = in_order(unread, lambda place: _hash(paths[place]), decoding_threads())
        for place, found in hashing:
            known[place] = found
            state = states[place]
            if found is not None and state is not None:
                rows.append((keys[place], *state, found))
        if rows:
            with self._transaction() as connection:
                connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
        return known

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._connection is not None, "the store is open"
        return self._connection

    def _connect(self) -> None:
        """Open the file, and write down what it is or check that.

        Raises:
            sqlite3.DatabaseError: it is none of ours.
        """
        self.close()
        # With its own transactions, as Python's begin too late to keep other writers out.
        self._connection = sqlite3.connect(self.path, timeout=LOCK_WAIT_S, isolation_level=None)
        self._open.execute("PRAGMA journal_mode = WAL")
        self._open.execute("PRAGMA synchronous = NORMAL")
        facts = {"version": VERSION, "fingerprint": self._fingerprint}
        token = {"token": secrets.token_hex(16)}
        with self._transaction() as connection:
            for statement in SCHEMA:
                connection.execute(statement)
            row = "INSERT OR IGNORE INTO store VALUES (?, ?)"
            connection.executemany(row, {**facts, **token}.items())
            found = dict(connection.execute("SELECT key, value FROM store").fetchall())
        if any(found[key] != value for key, value in facts.items()):
            raise sqlite3.DatabaseError("it is of another model or version")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of it or nothing, while other processes wait."""
        connection = self._open
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    def _mended(self, work: Callable[[], Found]) -> Found:
        """Do something with the file; if it turns out to be damaged, with a new one."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            logger.warning(
                "the embeddings kept in %s cannot be used (%s); the file is put aside as %s, and "
                "they are computed anew",
                self.path,
                error,
                self._put_aside().name,
            )
        self._connect()
        return work()

    def _put_aside(self) -> Path:
        """Give the file another name, in place of an earlier one that was put aside."""
        self.close()
        aside = self.path.with_name(self.path.name + DAMAGED_SUFFIX)
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            self.path.replace(aside)
        for ending in BESIDE:
            self.path.with_name(f"{self.path.name}{ending}").unlink(missing_ok=True)
        return aside

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        """Turn what the disk or SQLite reports into one line for a person."""
        return translate_unwritable(
            self.path,
            "the embeddings cannot be kept",
            RESULTS_ELSEWHERE,
            also=(sqlite3.Error,),
        )


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether a file holds what it cannot, unlike one that is locked or on a full disk."""
    if isinstance(error, sqlite3.OperationalError):
        return "no such" in str(error) or "has no column" in str(error)
    return type(error) is sqlite3.DatabaseError


def _read(data: bytes, dtype: np.dtype[np.floating]) -> np.ndarray:
    """Numbers as they were kept.

    Raises:
        sqlite3.DatabaseError: they cannot have been.
    """
    if not isinstance(data, bytes) or not data or len(data) % dtype.itemsize:
        raise sqlite3.DatabaseError("a row is damaged")
    values = np.frombuffer(data, dtype)
    if not np.isfinite(values).all():
        raise sqlite3.DatabaseError("a row is damaged")
    return values


def _state(path: Path) -> tuple[int, int] | None:
    """Size in bytes and time of change in nanoseconds of a file; None: it cannot be read.

    A change that is only just over is JUST_NOW, which no look takes for unchanged.
    """
    found = facts_of(path)
    if found is None:
        return None
    is_fresh = time.time() - found.changed_ns / 1e9 < FRESH_S
    return found.size, JUST_NOW if is_fresh else found.changed_ns


def _hash(path: Path) -> bytes | None:
    try:
        return digest_of(path)
    except (OSError, PageUnreadableError):  # reading it as a page tells why
        return None
