"""What a run tells the programs that watch it: a file of JSON lines, to which every run appends."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pagesort.common.addresses import readable
from pagesort.common.errors import PageSortError
from pagesort.common.files import locked, translate_unwritable

_START = b'{"time": "'  # of every line
_TAIL = 1 << 16  # bytes in which an unfinished last line ends
_SURROGATE = re.compile("[\ud800-\udfff]")  # bytes of names that are no UTF-8
_events = logging.getLogger("pagesort.events")
_events.propagate = False
_events.setLevel(logging.INFO)
_events.addHandler(logging.NullHandler())

logger = logging.getLogger(__name__)


def log_event(event: str, **facts: Any) -> None:
    """Put what has happened into the log of this run, if it keeps one; `facts` are JSON values."""
    _events.info(event, extra={"facts": facts})


@contextlib.contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Append events and warnings to a file while the body runs, each as one whole line.

    A line that a killed run has left unfinished is taken away first.

    Raises:
        PageSortError: it cannot be written, is something else, or another process writes to it.
    """
    is_file = path.is_file() or not path.exists()
    with contextlib.ExitStack() as held:
        if is_file:
            lock = path.with_name(f".{path.name}.lock")
            busy = "another process writes to this log; give each its own"
            held.enter_context(locked(lock, path, busy))
        with translate_unwritable(path, "the log cannot be written", "another file with --log"):
            if is_file and path.exists():
                _mend(path)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        held.callback(os.close, descriptor)
        handler = _Writer(descriptor, path)
        for each in (logging.getLogger(), _events):
            each.addHandler(handler)
            held.callback(each.removeHandler, handler)
        yield


def _mend(path: Path) -> None:
    """Take an unfinished last line away; refuse a file that is no log."""
    with path.open("r+b") as file:
        start = file.read(len(_START))
        if not start:
            return
        if start != _START[: len(start)]:
            raise PageSortError(
                "this file is no log of the program", where=path, remedy="Name another with --log"
            )
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL))
        tail = file.read()
        if not tail.endswith(b"\n"):
            file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)


def _escaped(surrogate: re.Match[str]) -> str:
    """What any reader of JSON takes: the text `\\udcXX`, as tables write it."""
    return f"\\\\u{ord(surrogate.group()):04x}"


class _Writer(logging.Handler):
    """Writes events, and what is logged from warnings on, as JSON lines."""

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__(logging.INFO)
        self._descriptor = descriptor
        self._path = path
        self._is_broken = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line; that it cannot be written stops no run."""
        if self._is_broken:
            return
        facts: dict[str, Any] | None = getattr(record, "facts", None)
        if record.name == _events.name and facts is not None:
            content = {"event": record.getMessage(), **facts}
        elif record.levelno >= logging.WARNING:
            content = {"event": record.levelname.lower(), "message": record.getMessage()}
        else:
            return
        time = (
            datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
        )
        content = {
            name: readable(value) if isinstance(value, str) else value
            for name, value in {"time": time, **content}.items()
        }
        line = json.dumps(content, ensure_ascii=False, default=str)
        try:
            os.write(self._descriptor, _SURROGATE.sub(_escaped, line).encode("utf-8") + b"\n")
        except OSError as error:
            self._is_broken = True
            reason = error.strerror or str(error)
            logger.warning("the log cannot be written any more (%s): %s", reason, self._path)
