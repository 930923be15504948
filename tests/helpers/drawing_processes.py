"""Processes that draw PDF pages, kept from test to test: each takes half a second to start."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pagesort.pages import pdf_renderers
from pagesort.pages.pdf_renderers import PdfRenderers


class KeptProcesses:
    """Takes over the idle processes of what is closed, and gives them to what starts next."""

    def __init__(self) -> None:
        self.is_on = True
        self._idle: list[subprocess.Popen[bytes]] = []
        self._start_new: Callable[[], subprocess.Popen[bytes]] = pdf_renderers._start
        self._close_all: Callable[[PdfRenderers], None] = PdfRenderers.close
        self._usual = pdf_renderers.START

    def start(self) -> subprocess.Popen[bytes]:
        """A kept process, or a new one, as it always is where a test sets what is started."""
        if self.is_on and self._usual == pdf_renderers.START:
            while self._idle:
                process = self._idle.pop()
                if process.poll() is None:
                    return process
        return self._start_new()

    def close(self, renderers: PdfRenderers) -> None:
        """Close as ever, but for processes that do nothing."""
        if self.is_on:
            with renderers._lock:
                idle, renderers._idle = renderers._idle, []
                renderers._all = [each for each in renderers._all if each not in idle]
            self._idle += filter(_has_forgotten, idle)
        self._close_all(renderers)

    def end(self) -> None:
        """End what is kept."""
        while self._idle:
            pdf_renderers._end(self._idle.pop())


def _has_forgotten(process: subprocess.Popen[bytes]) -> bool:
    """Let a process close the document that it has open; ends it if it does not answer."""
    try:
        pdf_renderers._exchange(process, {"do": "survey", "digest": False, "path": os.devnull})
    except (OSError, ValueError, EOFError):
        pdf_renderers._end(process)
        return False
    return True


@contextmanager
def kept_processes() -> Iterator[KeptProcesses]:
    """Keep them for the time of the block."""
    kept = KeptProcesses()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf_renderers, "_start", kept.start)
        patch.setattr(PdfRenderers, "close", lambda renderers: kept.close(renderers))
        yield kept
    kept.end()
