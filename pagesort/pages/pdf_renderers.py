"""PDF pages for a program of many threads: drawn by processes of their own, as PDFium needs it."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from pagesort.common import addresses
from pagesort.common.closing import Closing
from pagesort.common.errors import PageSortError, PageUnreadableError
from pagesort.common.files import is_full
from pagesort.common.paths import ROOT
from pagesort.pages.places import open_page_file

LONGEST_SECONDS = 300.0  # for one page; a map of a million lines takes some 20
START = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from pagesort.pages.pdf_worker import main; main()"
)
BIG_PIXELS = 50_000_000  # above this, pages are drawn one at a time


def is_pdf(path: str | Path) -> bool:
    """Whether a file begins as a PDF does; False if it cannot be read."""
    try:
        with open_page_file(path) as file:
            return b"%PDF-" in file.read(1024)
    except (OSError, PageUnreadableError):
        return False


class PdfRenderers(Closing):
    """Processes that draw PDF pages, started when they are needed; safe to share by threads.

    Each thread that asks has a process to itself for as long as the answer takes. One that crashes
    or takes too long fails its page and is replaced. Use as a context manager, or call `close`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._all: list[subprocess.Popen[bytes]] = []
        self._closed = False
        self._big_pages = threading.Lock()

    def close(self) -> None:
        """End all processes at once; threads that wait for one get a PageUnreadableError."""
        with self._lock:
            self._closed = True
            processes, self._all, self._idle = self._all, [], []
        for process in processes:
            _end(process)

    def survey(self, path: str | Path, digest: bool = False) -> tuple[int, str]:
        """Return a document's number of pages, at least 1, and its digest, empty unless wanted.

        Raises:
            PageUnreadableError: encrypted, damaged, empty, without pages, or not there.
        """
        answer, _ = self._ask(path, {"do": "survey", "digest": digest})
        return answer["pages"], answer["digest"]

    def render(self, path: str | Path, page: int, width: int, height: int) -> Image.Image:
        """Draw page `page` (from 1) at least `width` x `height` pixels large: mode L or RGB.

        Raises:
            PageUnreadableError: the page cannot be drawn; others of the document may be sound.
        """
        request = {"do": "render", "page": page, "width": width, "height": height}
        answer, data = self._ask(path, request)
        return Image.frombytes(answer["mode"], tuple(answer["size"]), data)

    def save(self, path: str | Path, page: int, target: Path, temporary: Path, **how: Any) -> str:
        """Write a page as PNG; see `pdf_worker.Worker.save` for `how` and the answer.

        Raises:
            PageUnreadableError: the page cannot be drawn, or something else has its name.
            PageSortError: the disk is full, or cannot be written.
        """
        request = {
            "do": "save",
            "page": page,
            "target": str(target),
            "temporary": str(temporary),
            "big_pixels": BIG_PIXELS,
            **how,
        }
        answer, _ = self._ask(path, request)
        if answer["state"] != "big":
            return str(answer["state"])
        with self._big_pages:
            answer, _ = self._ask(path, request | {"big_pixels": how["most_pixels"]})
        return str(answer["state"])

    def _ask(self, path: str | Path, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Let an idle process answer; refusals become errors."""
        absolute = str(addresses.absolute(Path(path)))  # links in the path stay
        with self._process() as process:
            answer, data = _exchange(process, request | {"path": absolute})
        if "refused" in answer:
            raise PageUnreadableError(answer["refused"], where=path)
        if "errno" in answer:
            raise _translated(answer, Path(path), absolute)
        return answer, data

    @contextlib.contextmanager
    def _process(self) -> Iterator[subprocess.Popen[bytes]]:
        with self._lock:
            if self._closed:
                raise PageUnreadableError("the run was stopped")
            process = self._idle.pop() if self._idle else None
            if process is None:
                process = _start()
                self._all.append(process)
        sound = False
        try:
            yield process
            sound = True
        except (OSError, ValueError, EOFError) as error:
            stopped = "the run was stopped" if self._closed else "drawing the page failed badly"
            raise PageUnreadableError(f"{stopped}; the PDF may be damaged") from error
        finally:
            with self._lock:
                if sound and not self._closed:
                    self._idle.append(process)
                elif process in self._all:
                    self._all.remove(process)
            if not sound:
                _end(process)


def _start() -> subprocess.Popen[bytes]:
    """Start a drawing process, out of reach of Ctrl-C, which is for its parent to answer."""
    if importlib.util.find_spec("pypdfium2") is None:
        raise PageSortError(
            "PDFs need the package pypdfium2", remedy="Run pip install -r requirements.txt again"
        )
    apart: dict[str, Any] = (
        {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        if sys.platform == "win32"
        else {"start_new_session": True}
    )
    return subprocess.Popen(
        [sys.executable, "-c", START, str(ROOT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        **apart,
    )


def _exchange(
    process: subprocess.Popen[bytes], request: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    """Send a request and read its answer; a process that takes too long is ended."""
    assert process.stdin is not None and process.stdout is not None
    alarm = threading.Timer(LONGEST_SECONDS, process.kill)
    alarm.daemon = True
    alarm.start()
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        answer = json.loads(line)
        data = process.stdout.read(answer.get("bytes", 0))
        if len(data) != answer.get("bytes", 0):
            raise EOFError
        return answer, data
    finally:
        alarm.cancel()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        # A request that was not sent whole is flushed by closing, to nobody.
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()


def _translated(answer: dict[str, Any], path: Path, absolute: str) -> PageSortError:
    """Turn a system error of the process into one line: the PDF's own fault, or the disk's."""
    number, reason = answer["errno"], (answer["strerror"] or "unknown reason").lower()
    if is_full(OSError(number, reason)):
        return PageSortError(
            "the disk is full",
            where=answer["filename"] or path.parent,
            remedy="Free some space and give the same command again; what is written is kept",
        )
    if number == errno.ENOENT and answer["filename"] in ("", absolute):
        return PageUnreadableError("the file is no longer there", where=path)
    if answer["filename"] in ("", absolute) or number == errno.ENAMETOOLONG:
        return PageUnreadableError(f"the file cannot be read or written ({reason})", where=path)
    return PageSortError(
        f"cannot write ({reason})",
        where=answer["filename"],
        remedy="Check the permissions, or name another folder",
    )
