"""How far runs are: what a run says of itself now and then, and what others read.

A journal that is written to is closed to others, so a running process leaves a small file beside
it. Where there is a journal without a process, its own counts are taken.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pagesort.common.checked_json import Kind, parse_object
from pagesort.common.errors import PageSortError
from pagesort.common.files import write_json
from pagesort.common.progress import Progress
from pagesort.common.run_log import log_event
from pagesort.prediction.journal import Counts, RunJournal
from pagesort.prediction.journal_files import (
    FINISHED_SUFFIX,
    JOURNAL_SUFFIX,
    newest_first,
    open_existing,
    progress_file,
)

logger = logging.getLogger(__name__)

SECONDS_BETWEEN = 5.0
SILENT_AFTER_S = 120.0
"""A run that has said nothing for so long hangs, or its machine is gone: a batch takes seconds."""
_SHAPE: dict[str, Kind] = {
    "folder": str,
    "shard": str,
    "machine": str,
    "total": int,
    "scored": int,
    "failed": int,
    "rate": (int, float),
    "time": (int, float),
}


@dataclass(frozen=True)
class RunStatus:
    """How far one run is.

    Attributes:
        name: what the names of its tables hold.
        state: running, silent (it says nothing any more), interrupted or finished.
        shard: which part of the folder it sorts, as `2/8`; empty for all of it.
        machine: where it runs, or ran when it last said something; empty if that is not known.
        rate: pages a second since it was last taken up; 0 if it is not running.
        time: when it said so, in seconds since 1970.
    """

    name: str
    state: str
    folder: str
    shard: str
    total: int
    scored: int
    failed: int
    machine: str = ""
    rate: float = 0.0
    time: float = 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time that the other pages take at this rate, in seconds; None where there is no rate."""
        waiting = self.total - self.scored - self.failed
        return waiting / self.rate if self.rate else None


class Heartbeat:
    """Says of a run every few seconds, beside its journal, how far it is."""

    def __init__(self, journal: RunJournal) -> None:
        self._journal = journal
        self._said = float("-inf")

    def beat(self, progress: Progress) -> None:
        """Say how far the run is, unless it has just been said; that it cannot be is no harm."""
        now = time.monotonic()
        if now - self._said < SECONDS_BETWEEN:
            return
        self._said = now
        self._log(progress)
        journal, counts = self._journal, self._journal.counts()
        status = {
            "folder": str(journal.folder),
            "shard": journal.settings.get("shard") or "",
            "machine": _here(),
            **asdict(counts),
            "rate": round(progress.rate, 2),
            "time": round(time.time(), 1),
        }
        with contextlib.suppress(OSError):
            write_json(progress_file(journal.path), status)

    def end(self, progress: Progress) -> None:
        """Say how far the run is in the end, or where it is stopped."""
        self._log(progress)

    def _log(self, progress: Progress) -> None:
        log_event("pages", **asdict(self._journal.counts()), rate=round(progress.rate, 2))


def run_statuses(tables: Path) -> list[RunStatus]:
    """How far the runs are whose journals lie in a folder of tables, the last one first."""
    found = []
    for path in newest_first(tables, finished=True):
        try:
            status = _status(path)
        except (OSError, sqlite3.Error, PageSortError) as error:
            logger.warning("cannot say how far a run is: %s (%s)", path, error)
            continue
        if status is not None:
            found.append(status)
    return found


def _status(path: Path) -> RunStatus | None:
    """How far the run of a journal is; None if it has just ended, or its listing is being made."""
    said = _said(path)
    connection, run, problem = open_existing(path)
    if connection is None or run is None:
        if said is not None:  # another process has it open
            return said
        if problem is not None:
            raise problem
        return None
    with RunJournal(path, connection, run) as journal:
        counts = journal.counts()
        shard = journal.settings.get("shard") or ""
    # On some network drives locks of other machines are not seen.
    is_elsewhere = said is not None and said.state == "running" and said.machine != _here()
    if said is not None and is_elsewhere:
        return said
    state = "finished" if path.name.endswith(FINISHED_SUFFIX) or not counts.waiting else ""
    return RunStatus(
        _name(path),
        state or "interrupted",
        str(run["folder"]),
        str(shard),
        counts.total,
        counts.scored,
        counts.failed,
    )


def _said(path: Path) -> RunStatus | None:
    """What a run last said of itself; None if it has said nothing that can be read."""
    try:
        text = progress_file(path).read_bytes()
        fields = parse_object(text, progress_file(path), shape=_SHAPE)
    except (OSError, PageSortError):
        return None
    facts = {name: fields[name] for name in _SHAPE}
    state = "running" if time.time() - facts["time"] < SILENT_AFTER_S else "silent"
    return RunStatus(name=_name(path), state=state, **facts)


def _here() -> str:
    return socket.gethostname()


def _name(path: Path) -> str:
    return path.name.removesuffix(JOURNAL_SUFFIX).removesuffix(FINISHED_SUFFIX)


def together(parts: Sequence[RunStatus]) -> Counts:
    """How far several parts are together."""
    return Counts(
        sum(part.total for part in parts),
        sum(part.scored for part in parts),
        sum(part.failed for part in parts),
    )
